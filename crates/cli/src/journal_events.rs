//! What the log of a run tells the user: on the terminal and in the log file, each thing once.

use crate::terminal::units;
use anmok_tracking::delivery::{Event, Listener};
use std::sync::Arc;

/// Tells through the log.
pub fn listener() -> Listener {
    Arc::new(|event: &Event<'_>| tell(event))
}

fn tell(event: &Event<'_>) {
    match event {
        Event::Away(error) => tracing::warn!(
            "the tracking store is away: {error}\n  training goes on; what is logged waits in the journal and is delivered when the store is back"
        ),
        Event::RunGone(error) => tracing::warn!(
            "nothing more can be stored: {error}\n  training goes on; what is logged waits in the journal: restore the run, or deliver it to \
             another store with `anmok sync --tracking-uri URI`"
        ),
        Event::Back(after) => tracing::info!("the tracking store is back after {}", units::duration(*after)),
        Event::Refused(refusal) => tracing::warn!("the tracking store refuses {}, which is left out: {}", refusal.what, refusal.why),
        Event::ArtifactWaits(path, error) => {
            tracing::warn!("the artifact {path} cannot be stored yet: {error}\n  it waits in the journal, and metrics do not wait for it");
        }
        Event::JournalFails(error) => tracing::error!("{error}; training goes on, and no checkpoint is taken until it works again"),
        Event::JournalWorks => tracing::info!("the journal can be written again; nothing was lost"),
        Event::RecordLost => tracing::error!(
            "the journal could not be written for so long that what is logged from now on is dropped; the last checkpoint is from before that, \
             and going on from it logs everything again"
        ),
        Event::Cut(bytes, folder) => tracing::warn!(
            "the journal in {} ended in {bytes} bytes that are no whole record (a crash cut them off, or the disk is damaged); they are kept \
             in journal.torn beside it",
            folder.display()
        ),
    }
}
