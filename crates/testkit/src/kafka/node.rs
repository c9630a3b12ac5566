//! One broker's process: format, start, signal, end.

use std::fs::{self, File, OpenOptions};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::properties::Plan;
use super::{Error, LOG_LINES_SHOWN, LOOK_EVERY, Result};

/// A broker told to stop in good order has this long until it is killed.
const STOP_WITHIN: Duration = Duration::from_secs(60);

/// `read` ends when its pipe does, and the pipe ends with this process, however that ends.
const WATCHDOG: &str = r#"read -r _; kill -9 "$1"; sleep 1; rm -rf "$2"; rmdir "${2%/*}""#;

/// To standard output, which goes to `broker.log`.
const LOG4J2: &str = "\
appender.out.type=Console
appender.out.name=out
appender.out.layout.type=PatternLayout
appender.out.layout.pattern=%d{HH:mm:ss.SSS} %p %m (%c{1})%n
rootLogger.level=INFO
rootLogger.appenderRef.out.ref=out
";

/// A broker, running or not; ended when dropped.
pub(super) struct Node {
    plan: Plan,
    libs: PathBuf,
    running: Option<Running>,
}

struct Running {
    java: Child,
    /// Kills the broker and clears up when this process goes away without having dropped the [`Node`].
    watchdog: Child,
}

/// Formats the folders side by side, then starts all brokers (a quorum needs most of them) without waiting for them.
pub(super) fn format_and_start(libs: &Path, plans: Vec<Plan>) -> Result<Vec<Node>> {
    let formatting = plans
        .iter()
        .map(|plan| format(libs, plan))
        .collect::<Result<Vec<_>>>()?;
    for (mut format, plan) in formatting.into_iter().zip(&plans) {
        let status = format.wait().map_err(|source| Error::Io {
            doing: "awaiting the format",
            source,
        })?;
        if !status.success() {
            let what = format!("formatting broker {} ended with {status}", plan.id);
            return Err(Error::Ended {
                what,
                log: log_tail(&log_path(plan), LOG_LINES_SHOWN),
            });
        }
    }
    plans
        .into_iter()
        .map(|plan| {
            let mut node = Node {
                plan,
                libs: libs.to_owned(),
                running: None,
            };
            node.start()?;
            Ok(node)
        })
        .collect()
}

fn format(libs: &Path, plan: &Plan) -> Result<Child> {
    let write = |name: &str, text: &str| fs::write(plan.folder.join(name), text);
    fs::create_dir_all(&plan.folder)
        .and_then(|()| write("server.properties", &plan.properties))
        .and_then(|()| write("log4j2.properties", LOG4J2))
        .map_err(|source| Error::Io {
            doing: "writing a broker's configuration",
            source,
        })?;
    let mut command = java(libs, plan, 128)?;
    command
        .args([
            "kafka.tools.StorageTool",
            "format",
            "-t",
            &plan.cluster_id,
            "-c",
        ])
        .arg(plan.folder.join("server.properties"));
    command.spawn().map_err(|source| Error::Io {
        doing: "starting Kafka's StorageTool",
        source,
    })
}

impl Node {
    pub(super) fn id(&self) -> i32 {
        self.plan.id
    }

    pub(super) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.plan.port)
    }

    pub(super) fn start(&mut self) -> Result<()> {
        if self.running.is_some() {
            return Ok(());
        }
        let java = java(&self.libs, &self.plan, self.plan.heap_mib)?
            .arg("kafka.Kafka")
            .arg(self.plan.folder.join("server.properties"))
            .spawn()
            .map_err(|source| Error::Io {
                doing: "starting a broker",
                source,
            })?;
        let watchdog = Command::new("sh")
            .args(["-c", WATCHDOG, "sh", &java.id().to_string()])
            .arg(&self.plan.folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|source| Error::Io {
                doing: "starting a broker's watchdog",
                source,
            })?;
        self.running = Some(Running { java, watchdog });
        Ok(())
    }

    /// Waits until the broker accepts connections.
    pub(super) fn await_listening(&self, within: Duration) -> Result<()> {
        let deadline = Instant::now() + within;
        while TcpStream::connect((Ipv4Addr::LOCALHOST, self.plan.port)).is_err() {
            if !self.is_alive() {
                let what = format!("broker {} is not running", self.plan.id);
                return Err(Error::Ended {
                    what,
                    log: self.log_tail(LOG_LINES_SHOWN),
                });
            }
            if Instant::now() > deadline {
                let log = self.log_tail(LOG_LINES_SHOWN);
                return Err(Error::NotInTime {
                    what: "a broker that listens",
                    within,
                    log,
                });
            }
            std::thread::sleep(LOOK_EVERY);
        }
        Ok(())
    }

    pub(super) fn is_alive(&self) -> bool {
        // A process that has ended and was not awaited yet is a zombie: the state behind the name's bracket is Z.
        self.running.as_ref().is_some_and(|running| {
            fs::read_to_string(format!("/proc/{}/stat", running.java.id())).is_ok_and(|stat| {
                !stat
                    .rsplit(')')
                    .next()
                    .unwrap_or_default()
                    .starts_with(" Z")
            })
        })
    }

    /// SIGKILL, and waits for the end. Nothing to do when the broker does not run.
    pub(super) fn kill(&mut self) -> Result<()> {
        let Some(mut running) = self.running.take() else {
            return Ok(());
        };
        running.end_watchdog();
        running.java.kill().map_err(|source| Error::Io {
            doing: "killing a broker",
            source,
        })?;
        running.java.wait().map_err(|source| Error::Io {
            doing: "awaiting a killed broker",
            source,
        })?;
        Ok(())
    }

    /// SIGTERM, and waits for the end; SIGKILL when it does not come.
    pub(super) fn stop(&mut self) -> Result<()> {
        if self.running.is_none() {
            return Ok(());
        }
        // A paused process sees no SIGTERM.
        self.signal("CONT")?;
        self.signal("TERM")?;
        let deadline = Instant::now() + STOP_WITHIN;
        while self.is_alive() && Instant::now() < deadline {
            std::thread::sleep(LOOK_EVERY);
        }
        self.kill()
    }

    /// Sends a signal by its name without SIG.
    pub(super) fn signal(&self, name: &str) -> Result<()> {
        let Some(running) = &self.running else {
            return Ok(());
        };
        // The broker is our child and not awaited yet, so its id is still its own.
        Command::new("sh")
            .args([
                "-c",
                "kill -s \"$1\" \"$2\"",
                "sh",
                name,
                &running.java.id().to_string(),
            ])
            .stdin(Stdio::null())
            .status()
            .map_err(|source| Error::Io {
                doing: "sending a signal to a broker",
                source,
            })?;
        Ok(())
    }

    pub(super) fn log_tail(&self, lines: usize) -> String {
        format!(
            "broker {}:\n{}",
            self.plan.id,
            log_tail(&log_path(&self.plan), lines)
        )
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

impl Running {
    /// Before the broker is awaited: afterwards its process id may be another's.
    fn end_watchdog(&mut self) {
        let _ = self.watchdog.kill();
        let _ = self.watchdog.wait();
    }
}

fn java(libs: &Path, plan: &Plan, heap_mib: u32) -> Result<Command> {
    let log = open_log(plan).map_err(|source| Error::Io {
        doing: "opening a broker's log",
        source,
    })?;
    let errors = log.try_clone().map_err(|source| Error::Io {
        doing: "opening a broker's log",
        source,
    })?;
    let mut command = Command::new("java");
    command
        .arg(format!("-Xmx{heap_mib}m"))
        // Brokers of tests live for seconds: the first compiler alone halves what they cost the processor.
        .args(["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"])
        .arg(format!(
            "-Dlog4j2.configurationFile={}",
            plan.folder.join("log4j2.properties").display()
        ))
        .arg("-cp")
        .arg(libs.join("*"))
        .current_dir(&plan.folder)
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors);
    Ok(command)
}

fn log_path(plan: &Plan) -> PathBuf {
    plan.folder.join("broker.log")
}

fn open_log(plan: &Plan) -> std::io::Result<File> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .open(log_path(plan))
}

fn log_tail(path: &Path, lines: usize) -> String {
    let text = fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}
