//! What each command's help says behind its options: examples that can be typed as they stand, and what the exit code means.

pub(super) const PODSKEW: &str = "\
Without a command, podskew serves. Each option of serve has an environment variable; separate several values in it by \
commas. What is typed wins.

Examples:
  podskew audit -A                        which workloads of the cluster are not uniform
  podskew explain -n shop deployment/api  what is known of one of them
  podskew --namespace shop                serve the metrics of one namespace
  podskew demo                            serve those of a simulated cluster";

pub(super) const SERVE: &str = "\
Examples:
  podskew serve                          the cluster that kubectl would ask
  podskew serve --context prod -n shop   one namespace of another
  podskew serve --listen-address 127.0.0.1:9090 --log-format json";

pub(super) const AUDIT: &str = "\
Exit code: 0 if all is uniform, 1 if something is not, 2 if podskew could not look or nothing was selected, 3 if something \
could not be compared (with --strict), 4 if time ran out (with --wait).

Examples:
  podskew audit -A                                 everything
  podskew audit -n shop deployment/web --wait 10m  after a deploy
  podskew audit -n shop -l tier=front -o json      some workloads, for a program
  podskew audit -f dump.json                       what kubectl get -o json printed";

pub(super) const EXPLAIN: &str = "\
Exit code: 0, or 2 if podskew could not look.

Examples:
  podskew explain -n shop deployment/api
  podskew explain -n shop pod/api-5d59d67564-x2x7v   the workload of a pod
  podskew explain -n shop sts/db ds/agent -o json
  podskew explain -f dump.json deployment/api";

pub(super) const DIFF: &str = "\
Exit code: 0 if nothing differs, 1 if something does, 2 if podskew could not look.

Examples:
  podskew diff -n shop deployment/api                   the previous template and the current one
  podskew diff -n shop deployment/api 5d59              that one and the current one
  podskew diff -n shop deployment/api 5d59 77c8 -o json
  podskew diff -f dump.json deployment/api --show-values";

#[cfg(feature = "demo")]
pub(super) const DEMO: &str = "\
Examples:
  podskew demo
  podskew demo --listen-address 127.0.0.1:9090      where port 8080 is taken
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
