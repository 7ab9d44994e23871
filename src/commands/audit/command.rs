//! Runs `podskew audit`: takes a snapshot or waits, then prints the audit.

use super::empty_hint::empty_hint;
use super::{AuditOptions, Auditor, Terminal, Verdict, WaitOptions, WaitProgress, audit, wait};
use crate::snapshot::take_snapshot;
use crate::terminal::humanize::{age, visible};
use crate::terminal::output;
use crate::terminal::text_layout::cut;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Minimum interval between two progress lines in a log.
const LOG_INTERVAL: Duration = Duration::from_secs(2);

/// Width of the progress bar in columns.
const BAR: u32 = 20;

/// Prints which workloads are not uniform. The exit code is the verdict's.
pub async fn command(options: AuditOptions) -> anyhow::Result<ExitCode> {
    let AuditOptions { snapshot_options, names, format, strictness, patience, .. } = options;
    let audit = if let Some(patience) = patience {
        let waiting = WaitOptions { snapshot_options, names, strictness, format, patience };
        let mut progress_line = ProgressLine::new();
        let audit = wait(&waiting, &mut |progress| progress_line.show(progress)).await;
        progress_line.clear();
        audit?
    } else {
        let began = Instant::now();
        let mut snapshot = take_snapshot(&snapshot_options, None).await?;
        tracing::debug!(took = ?began.elapsed(), "listing complete");
        let mut audit = audit(&mut snapshot, &names, Auditor::new(strictness, format, false))?;
        if audit.verdict == Verdict::Empty {
            audit.empty_hint =
                empty_hint(&snapshot_options, snapshot.connected.as_ref(), &|resource| snapshot.objects(resource))
                    .await;
        }
        audit
    };
    let terminal = Terminal { coloured: output::takes_colours(), width: output::width() };
    output::page(|out| audit.write(format, terminal, out))?;
    if audit.verdict == Verdict::Empty {
        let empty_hint = audit.empty_hint.as_deref().unwrap_or("read other namespaces, or use --allow-empty");
        output::print_error(&format!("nothing was selected in {}; {empty_hint}", audit.of));
    }
    tracing::debug!("printed");
    Ok(ExitCode::from(audit.verdict.exit_code()))
}

/// Shows progress on stderr: one line that a terminal overwrites, or a new line in a log for each change.
struct ProgressLine {
    width: Option<usize>,
    last_line: String,
    when: Option<Instant>,
}

impl ProgressLine {
    fn new() -> Self {
        Self { width: output::progress_width(), last_line: String::new(), when: None }
    }

    fn show(&mut self, progress: &WaitProgress) {
        let WaitProgress { done, workloads, new_pods, pods, next, elapsed } = progress;
        let clock = age(u32::try_from(elapsed.as_secs()).unwrap_or(u32::MAX));
        let next: String = next.chars().map(visible).collect();
        let line = format!("{done} of {workloads} workloads, {new_pods} of {pods} pods  {next}");
        if let Some(width) = self.width {
            // The bar is full only at the end: all pods may be Ready and still run different digests.
            let most = if done == workloads { BAR } else { BAR - 1 };
            let filled = (BAR * new_pods / (*pods).max(1)).min(most);
            let bar = "#".repeat(filled as usize) + &"-".repeat((BAR - filled) as usize);
            let line = format!("[{bar}] {clock}  {line}");
            let line = cut(&line, width.saturating_sub(1));
            output::progress(&format!("\r\u{1b}[2K{line}"));
            return;
        }
        let is_news =
            self.last_line != line && self.when.is_none_or(|when| when.elapsed() >= LOG_INTERVAL || done == workloads);
        if is_news {
            output::progress(&format!("{clock}: {line}\n"));
            self.last_line = line;
            self.when = Some(Instant::now());
        }
    }

    fn clear(&self) {
        if self.width.is_some() {
            output::progress("\r\u{1b}[2K");
        }
    }
}
