//! Logs on stderr: `info` for the server, only warnings for commands that talk to a person.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Starts logging at `level`. Libraries that talk a lot are kept to warnings.
pub(crate) fn start(level: &str) {
    let libraries = "warn";
    let filter = format!(
        "{libraries},linkfunnel={level},linkfunnel_api={level},linkfunnel_ingest={level},linkfunnel_query={level},linkfunnel_store={level}"
    );
    let started = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter))
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none())
        .with_target(false)
        .try_init();
    // Only a test harness may have been here first.
    drop(started);
}
