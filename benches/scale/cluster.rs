//! Client of the simulated cluster's process.

use crate::Outcome;
use crate::process::Process;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, SystemTime};

/// Number of workloads of 25 pods in a restart.
pub(crate) const RESTARTED: u32 = 40;
/// Events a second of a restart that podskew and kube-state-metrics are compared by.
pub(crate) const RATE: u32 = 500;

/// A cluster in a process of its own.
pub(crate) struct Cluster {
    pub(crate) pods: u32,
    /// `HOST:PORT` of its API server.
    pub(crate) host: String,
    pub(crate) kubeconfig: tempfile::NamedTempFile,
    process: Process,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

/// Result of a command.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Done {
    /// Changes of pods.
    pub(crate) pods: f64,
    /// Changes of any object.
    pub(crate) all: f64,
    pub(crate) seconds: f64,
}

impl Cluster {
    /// Starts a cluster, and waits until all objects are encoded in JSON and protobuf.
    pub(crate) fn start(pods: u32) -> Outcome<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["cluster", &pods.to_string()]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = Process::start(&mut command)?;
        let input = process.child().stdin.take().ok_or("no input")?;
        let mut output = BufReader::new(process.child().stdout.take().ok_or("no output")?);
        let mut url = String::new();
        output.read_line(&mut url)?;
        let host = url.trim().strip_prefix("http://").ok_or("the cluster's process ended at once")?.to_owned();
        let mut kubeconfig = tempfile::NamedTempFile::new()?;
        write!(
            kubeconfig,
            "apiVersion: v1\nkind: Config\ncurrent-context: bench\n\
             clusters:\n- name: bench\n  cluster: {{server: \"http://{host}\"}}\n\
             users:\n- name: bench\n  user: {{}}\n\
             contexts:\n- name: bench\n  context: {{cluster: bench, user: bench}}\n"
        )?;
        Ok(Self { pods, host, kubeconfig, process, input, output })
    }

    /// Sets whether lists may be streamed, or only paged.
    pub(crate) fn serve_streams(&mut self, streams: bool) -> Outcome<()> {
        self.tell(if streams { "streaming" } else { "paged" }).map(drop)
    }

    /// Sets whether protobuf is served on request, or only JSON.
    pub(crate) fn serve_protobuf(&mut self, protobuf: bool) -> Outcome<()> {
        self.tell(if protobuf { "protobuf" } else { "json" }).map(drop)
    }

    /// Limits all responses together to `megabytes` per second; 0 for no limit.
    pub(crate) fn serve_at(&mut self, megabytes: u32) -> Outcome<()> {
        self.tell(&format!("pace {megabytes}")).map(drop)
    }

    /// Expires every watch, and waits for the relists.
    pub(crate) fn relist(&mut self) -> Outcome<Done> {
        self.do_it("relist")
    }

    /// Adds `count` nodes.
    pub(crate) fn put_nodes(&mut self, count: u32) -> Outcome<Done> {
        self.do_it(&format!("nodes {count}"))
    }

    /// Starts `count` registries, the last of which fails at random, and adds workloads that run `references` of their
    /// images. Returns the addresses; `file` has a line for each reference, with its digest.
    pub(crate) fn put_registries(&mut self, references: u32, count: u32, file: &Path) -> Outcome<Vec<String>> {
        self.tell(&format!("registries {references} {count} {}", file.display()))
    }

    /// Number of requests that each registry received since the last call.
    pub(crate) fn requests_to_registries(&mut self) -> Outcome<Vec<f64>> {
        self.tell("requests")?.iter().map(|count| Ok(count.parse()?)).collect()
    }

    /// Moves every `every`th tag to another image.
    pub(crate) fn move_tags(&mut self, every: usize) -> Outcome<Done> {
        self.do_it(&format!("move-tags {every}"))
    }

    /// Updates every service `times` times, as fast as it is read.
    pub(crate) fn roll(&mut self, times: u32) -> Outcome<Done> {
        self.do_it(&format!("roll {times}"))
    }

    /// Makes `rate` pod events per second.
    pub(crate) fn churn(&mut self, rate: u32, time: Duration) -> Outcome<Done> {
        self.do_it(&format!("churn {rate} {}", time.as_secs_f64()))
    }

    /// Updates `services` services in parallel, at `rate` pod events per second.
    pub(crate) fn update(&mut self, services: u32, rate: u32) -> Outcome<Done> {
        self.do_it(&format!("update {services} {rate}"))
    }

    /// Serves the cluster as a real API server does: over TLS, and each event in a record of its own. Returns the
    /// kubeconfig.
    pub(crate) fn over_tls(&mut self) -> Outcome<PathBuf> {
        Ok(self.tell("tls")?.first().ok_or("no kubeconfig")?.into())
    }

    /// Restarts `services` services at the same time, at `rate` events per second, with all events of a real rollout.
    pub(crate) fn restart(&mut self, services: u32, rate: u32) -> Outcome<Done> {
        self.do_it(&format!("restart {services} {rate}"))
    }

    /// Restarts services one after another for `time`, at `rate` events per second.
    pub(crate) fn flow(&mut self, rate: u32, time: Duration) -> Outcome<Done> {
        self.do_it(&format!("flow {rate} {}", time.as_secs_f64()))
    }

    /// Adds one service of `replicas` pods.
    pub(crate) fn add(&mut self, replicas: u32) -> Outcome<Done> {
        self.do_it(&format!("add {replicas}"))
    }

    /// Updates the service that was added last.
    pub(crate) fn update_last(&mut self, rate: u32) -> Outcome<Done> {
        self.do_it(&format!("update-last {rate}"))
    }

    /// Writes an event of one pod, and returns its time.
    pub(crate) fn touch(&mut self) -> Outcome<SystemTime> {
        let nanos: u128 = self.tell("touch")?.first().ok_or("no time")?.parse()?;
        Ok(SystemTime::UNIX_EPOCH + Duration::from_nanos(u64::try_from(nanos)?))
    }

    /// Memory of its process, which has all encoded objects.
    pub(crate) fn resident_mib(&self) -> Outcome<f64> {
        self.process.resident_mib()
    }

    fn do_it(&mut self, command: &str) -> Outcome<Done> {
        let words = self.tell(command)?;
        let number = |index: usize| -> Outcome<f64> { Ok(words.get(index).ok_or("too few numbers")?.parse()?) };
        Ok(Done { pods: number(0)?, all: number(1)?, seconds: number(2)? })
    }

    fn tell(&mut self, command: &str) -> Outcome<Vec<String>> {
        writeln!(self.input, "{command}")?;
        let mut answer = String::new();
        self.output.read_line(&mut answer)?;
        let mut words = answer.split_whitespace().map(str::to_owned);
        match words.next().as_deref() {
            Some("done") => Ok(words.collect()),
            _ => Err(format!("the simulated cluster failed: {command}: {answer:?}").into()),
        }
    }
}
