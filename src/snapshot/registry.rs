//! Asks registries about the images of a snapshot.

use crate::inventory::{AskedImages, RegistryEvidence};
use crate::registry::{RegistryAnswers, RegistryOptions, RegistryTimings, ask_once};
use std::fmt::Write as _;
use std::sync::Arc;

/// Number of images to name before the rest is only counted.
const NAMED: usize = 10;

/// Asks registries once. Returns their evidence, and a note about missing answers.
pub(super) async fn ask(
    options: &RegistryOptions,
    asked: AskedImages,
) -> anyhow::Result<(Arc<RegistryEvidence>, Option<String>)> {
    let RegistryAnswers { evidence, unanswered } = ask_once(options, &RegistryTimings::default(), asked).await?;
    let mut note = String::new();
    for (image, why) in unanswered.iter().take(NAMED) {
        let _ = write!(note, "{}{image} ({why})", if note.is_empty() { "" } else { ", " });
    }
    if let more @ 1.. = unanswered.len().saturating_sub(NAMED) {
        let _ = write!(note, " and {more} more");
    }
    let note = (!note.is_empty()).then(|| format!("which images their registry has under these names: {note}"));
    Ok((Arc::new(evidence), note))
}
