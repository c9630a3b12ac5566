//! Whether real Kafka can be had here, and how a test says that it cannot.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// Why real Kafka cannot be had on this machine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no real Kafka: {0}")]
pub struct Skipped(&'static str);

impl Skipped {
    /// Says so past the test runner's capture, and in the file that `tests/run` makes its summary from.
    ///
    /// # Panics
    /// With `CI=true`, where a missing part is a failure.
    pub(super) fn report(&self) {
        assert!(
            std::env::var("CI").as_deref() != Ok("true"),
            "{self}, and CI=true"
        );
        let thread = std::thread::current();
        let line = format!("{} ({self})", thread.name().unwrap_or("a test"));
        // Not eprintln!, whose text the test runner keeps to itself when the test passes.
        let _ = writeln!(std::io::stderr(), "skipped: {line}");
        if let Some(path) = std::env::var_os("LINKFUNNEL_SKIPPED")
            && let Ok(mut file) = OpenOptions::new().append(true).create(true).open(path)
        {
            let _ = writeln!(file, "{line}");
        }
    }
}

/// Looked up once: asking Java for its version takes a while.
pub(super) fn available() -> Result<PathBuf, Skipped> {
    static FOUND: OnceLock<Result<PathBuf, Skipped>> = OnceLock::new();
    FOUND.get_or_init(look).clone()
}

fn look() -> Result<PathBuf, Skipped> {
    let libs = std::env::var_os("LINKFUNNEL_KAFKA_LIBS")
        .map(PathBuf::from)
        .ok_or(Skipped(
            "LINKFUNNEL_KAFKA_LIBS names no folder with its jars; tests/run fetches them",
        ))?;
    if !libs.is_dir() {
        return Err(Skipped(
            "LINKFUNNEL_KAFKA_LIBS names a folder that is not there",
        ));
    }
    let java = Command::new("java")
        .arg("-version")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    match java {
        Ok(status) if status.success() => Ok(libs),
        _ => Err(Skipped("java does not run")),
    }
}
