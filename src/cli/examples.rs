//! Text after the options in each command's help: examples, and the exit codes.

pub(super) const PODSKEW: &str = "\
Without a command, podskew runs serve. Each option of serve has an environment variable; separate several values in it by \
commas. Flags override environment variables.

Examples:
  podskew audit -A                        find workloads that are not uniform
  podskew explain -n shop deployment/api  show everything about one of them
  podskew --namespace shop                serve the metrics of one namespace
  podskew demo                            serve the metrics of a simulated cluster";

pub(super) const SERVE: &str = "\
Examples:
  podskew serve                          the cluster that kubectl would use
  podskew serve --context prod -n shop   one namespace of another cluster
  podskew serve --listen-address 127.0.0.1:9090 --log-format json";

pub(super) const AUDIT: &str = "\
Exit code: 0 if everything is uniform, 1 if something is not, 2 if podskew could not read the cluster or file, or nothing was \
selected, 3 if something could not be compared (with --strict), 4 if --wait ran out of time.

Examples:
  podskew audit -A                                 the whole cluster
  podskew audit -n shop deployment/web --wait 10m  after a deploy
  podskew audit -n shop -l tier=front -o json      some workloads, as JSON
  podskew audit -f dump.json                       the output of kubectl get -o json";

pub(super) const EXPLAIN: &str = "\
Exit code: 0, or 2 if podskew could not read the cluster or file.

Examples:
  podskew explain -n shop deployment/api
  podskew explain -n shop pod/api-5d59d67564-x2x7v   the workload of a pod
  podskew explain -n shop sts/db ds/agent -o json
  podskew explain -f dump.json deployment/api";

pub(super) const DIFF: &str = "\
Exit code: 0 if nothing differs, 1 if something does, 2 if podskew could not read the cluster or file.

Examples:
  podskew diff -n shop deployment/api                   the previous template and the current one
  podskew diff -n shop deployment/api 5d59              the template 5d59… and the current one
  podskew diff -n shop deployment/api 5d59 77c8 -o json
  podskew diff -f dump.json deployment/api --show-values";

#[cfg(feature = "demo")]
pub(super) const DEMO: &str = "\
Examples:
  podskew demo
  podskew demo --listen-address 127.0.0.1:9090      if port 8080 is taken
  podskew demo --workloads 200 --pods 5000";

pub(super) const COMPLETIONS: &str = "\
Examples:
  source <(podskew completions bash)
  podskew completions zsh > \"${fpath[1]}/_podskew\"
  podskew completions fish > ~/.config/fish/completions/podskew.fish";

pub(super) const MAN: &str = "\
Examples:
  podskew man > podskew.1
  podskew man audit | man -l -";
