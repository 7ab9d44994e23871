//! Cost of `podskew audit` for a cluster, and for a file with all objects.

use crate::cluster::Cluster;
use crate::figures::{Figures, median};
use crate::http::{Connection, Wanted};
use crate::podskew::BINARY;
use crate::process::Process;
use crate::{Outcome, progress};
use podskew::objects::Resource;
use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, BufWriter, Write as _};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const RUNS: usize = 3;

/// Interval between two reads of its memory.
const PACE: Duration = Duration::from_millis(2);

/// One audit.
struct Audited {
    seconds: f64,
    /// From the end of the last list to the last line of output.
    printing: f64,
    peak_mib: f64,
}

pub(crate) fn measure(cluster: &Cluster, figures: &mut Figures) -> Outcome<()> {
    let kubeconfig = cluster.kubeconfig.path().as_os_str();
    let of_cluster = runs(&[OsStr::new("-A"), OsStr::new("--kubeconfig"), kubeconfig])?;
    figures.put("audit-seconds", of_cluster.seconds);
    figures.put("audit-printing", of_cluster.printing);
    figures.put("audit-peak", of_cluster.peak_mib);

    let mut file = tempfile::NamedTempFile::new_in(env!("CARGO_TARGET_TMPDIR"))?;
    let mut bytes = 0;
    let mut writer = BufWriter::new(file.as_file_mut());
    // The simulated cluster has no Rollouts, and answers 404.
    for resource in Resource::ALL.into_iter().filter(|resource| !resource.is_optional()) {
        let path = format!("{}/{}", resource.api_path(), resource.plural());
        let mut written = Ok(());
        let answer = Connection::open(&cluster.host)?.get_with(&path, None, &mut |here| {
            written = written.as_ref().map_or_else(|_| Ok(()), |()| writer.write_all(here));
            Wanted::More
        })?;
        written?;
        bytes += answer.bytes;
    }
    writer.flush()?;
    drop(writer);
    progress(&format!("a file of {:.2} GB", bytes as f64 / 1e9));
    let of_file = runs(&[OsStr::new("-f"), file.path().as_os_str()])?;
    figures.put("audit-file", bytes as f64 / 1e6);
    figures.put("audit-file-seconds", of_file.seconds);
    figures.put("audit-file-peak", of_file.peak_mib);
    Ok(())
}

/// Median of several audits, and the highest peak.
fn runs(arguments: &[&OsStr]) -> Outcome<Audited> {
    let audits = (0..RUNS).map(|_| audit(arguments)).collect::<Outcome<Vec<Audited>>>()?;
    let of = |what: fn(&Audited) -> f64| audits.iter().map(what).collect::<Vec<f64>>();
    let told = audits.iter().map(|audit| format!("{:.2} s, {:.1} MiB", audit.seconds, audit.peak_mib));
    progress(&format!("audit: {}", told.collect::<Vec<_>>().join("; ")));
    Ok(Audited {
        seconds: median(&mut of(|audit| audit.seconds)),
        printing: median(&mut of(|audit| audit.printing)),
        peak_mib: of(|audit| audit.peak_mib).into_iter().fold(0.0, f64::max),
    })
}

fn audit(arguments: &[&OsStr]) -> Outcome<Audited> {
    let mut command = Command::new(BINARY);
    command.args(["audit", "--log-level", "debug"]).args(arguments).stdout(Stdio::null()).stderr(Stdio::piped());
    let begun = Instant::now();
    let mut process = Process::start(&mut command)?;
    let log = BufReader::new(process.child().stderr.take().ok_or("no log")?);
    let told = std::thread::spawn(move || {
        let (mut listed, mut printed) = (None, None);
        for line in log.lines().map_while(Result::ok) {
            if line.contains("listing complete") {
                listed = Some(Instant::now());
            } else if line.contains("printed") {
                printed = Some(Instant::now());
            }
        }
        (listed, printed)
    });
    let mut peak_mib = 0.0_f64;
    while process.runs() {
        peak_mib = process.peak_mib().unwrap_or(0.0).max(peak_mib);
        std::thread::sleep(PACE);
    }
    let seconds = begun.elapsed().as_secs_f64();
    let (listed, printed) = told.join().map_err(|_| "the reader of the log panicked")?;
    let (listed, printed) = listed.zip(printed).ok_or("the audit did not finish")?;
    Ok(Audited { seconds, printing: (printed - listed).as_secs_f64(), peak_mib })
}
