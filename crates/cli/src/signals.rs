//! Ctrl-C and SIGTERM.

use tokio::signal::unix::{SignalKind, signal};

use crate::failure::Result;

/// Status of a process ended by Ctrl-C, as shells report it.
const INTERRUPTED: i32 = 130;

/// Resolves when the process is asked to end. After that a second request ends it at once.
pub(crate) async fn asked_to_end() -> Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        std::process::exit(INTERRUPTED);
    });
    Ok(())
}
