//! Runs the built `linkfunnel` and asks it over HTTP.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde_json::Value as Json;

/// Longest wait for anything a test awaits.
const WITHIN: Duration = Duration::from_secs(90);
/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The program with arguments; nothing of this machine's settings.
pub(crate) fn linkfunnel(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_linkfunnel"));
    command
        .args(args)
        .stdin(Stdio::null())
        .env("NO_COLOR", "1")
        .env("TZ", "UTC");
    command
        .env_remove("LINKFUNNEL_KEY")
        .env_remove("LINKFUNNEL_CRASH_AT");
    command
}

/// What a finished run said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) status: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Runs to the end.
pub(crate) fn run(args: &[&str]) -> Said {
    let output = linkfunnel(args).output().expect("the program starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("it writes UTF-8");
    Said {
        status: output.status.code(),
        out: text(output.stdout),
        err: text(output.stderr),
    }
}

/// Runs to the end, which must be a good one; its standard output.
pub(crate) fn run_well(args: &[&str]) -> String {
    let said = run(args);
    assert_eq!(said.status, Some(0), "{args:?}: {said:?}");
    said.out
}

/// Runs to the end, which must be a refusal: one sentence, no backtrace; the sentence.
pub(crate) fn refused(args: &[&str]) -> String {
    let said = run(args);
    assert_ne!(said.status, Some(0), "{args:?}: {said:?}");
    let lines: Vec<&str> = said
        .err
        .lines()
        .filter(|line| line.starts_with("linkfunnel: "))
        .collect();
    assert_eq!(lines.len(), 1, "{args:?}: {said:?}");
    assert!(
        !said.err.contains("panicked") && !said.err.contains("stack backtrace"),
        "{said:?}"
    );
    lines[0].to_owned()
}

/// A program that runs beside the test; killed when dropped.
pub(crate) struct Running {
    child: Child,
    lines: mpsc::Receiver<String>,
    seen: Vec<String>,
}

impl Running {
    /// Starts it; standard output is read line by line.
    pub(crate) fn start(mut command: Command) -> Running {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let (send, lines) = mpsc::channel();
        let stdout = child.stdout.take().expect("standard output is piped");
        let to = send.clone();
        std::thread::spawn(move || {
            BufReader::new(stdout)
                .lines()
                .map_while(Result::ok)
                .try_for_each(|l| to.send(l))
        });
        let stderr = child.stderr.take().expect("standard error is piped");
        std::thread::spawn(move || {
            let lines = BufReader::new(stderr).lines().map_while(Result::ok);
            lines
                .into_iter()
                .try_for_each(|l| send.send(format!("stderr: {l}")))
        });
        Running {
            child,
            lines,
            seen: Vec::new(),
        }
    }

    /// A server on a free port; returns when it has printed its URL.
    pub(crate) fn serve(args: &[&str]) -> (Running, String) {
        let mut all = vec!["serve", "--listen", "127.0.0.1:0"];
        all.extend(args);
        let mut server = Running::start(linkfunnel(&all));
        let line = server.line_with("http://");
        let url = line
            .split_whitespace()
            .find(|word| word.starts_with("http://"))
            .expect("a URL");
        (server, url.to_owned())
    }

    /// Waits for a line with these words.
    pub(crate) fn line_with(&mut self, words: &str) -> String {
        let until = Instant::now() + WITHIN;
        loop {
            match self
                .lines
                .recv_timeout(until.saturating_duration_since(Instant::now()))
            {
                Ok(line) => {
                    self.seen.push(line.clone());
                    if line.contains(words) {
                        return line;
                    }
                }
                Err(_) => panic!("no line with {words:?}, only {:#?}", self.seen),
            }
        }
    }

    /// The process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal and does not wait.
    pub(crate) fn send(&self, name: &str) {
        let id = self.id().to_string();
        let sent = Command::new("sh")
            .args(["-c", &format!("kill -{name} {id}")])
            .status()
            .expect("sh is there");
        assert!(sent.success());
    }

    /// Everything it has printed so far.
    pub(crate) fn said(&mut self) -> String {
        self.seen.extend(self.lines.try_iter());
        self.seen.join("\n")
    }

    /// Waits until it has printed these words, now or before.
    pub(crate) fn await_said(&mut self, words: &str) {
        let end = Instant::now() + WITHIN;
        while !self.said().contains(words) {
            assert!(
                Instant::now() < end,
                "it never said {words:?}:\n{}",
                self.said()
            );
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// Whether it still runs.
    pub(crate) fn is_alive(&mut self) -> bool {
        self.child
            .try_wait()
            .expect("it can be waited for")
            .is_none()
    }

    /// Asks it to end, as an operator would; its status and how long that took.
    pub(crate) fn end(self) -> (Option<i32>, Duration, String) {
        self.signal("TERM")
    }

    /// Sends a signal and waits for the end.
    pub(crate) fn signal(mut self, name: &str) -> (Option<i32>, Duration, String) {
        let begun = Instant::now();
        let id = self.id().to_string();
        let sent = Command::new("sh")
            .args(["-c", &format!("kill -{name} {id}")])
            .status()
            .expect("sh is there");
        assert!(sent.success());
        let status = self.wait();
        (status, begun.elapsed(), self.rest())
    }

    /// Waits for the end; the status.
    pub(crate) fn wait(&mut self) -> Option<i32> {
        until("the program ends", || {
            self.child.try_wait().expect("it can be waited for")
        })
        .code()
    }

    /// Everything it printed.
    pub(crate) fn rest(&mut self) -> String {
        self.seen.extend(self.lines.iter());
        self.seen.join("\n")
    }

    /// Looks at the running process until it ends; the most memory it held, in bytes.
    pub(crate) fn peak_memory(&mut self) -> u64 {
        let path = format!("/proc/{}/status", self.id());
        let mut peak = 0;
        until("the program ends", || {
            let status = std::fs::read_to_string(&path).unwrap_or_default();
            let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            let kb = line.and_then(|text| text.trim().trim_end_matches(" kB").parse::<u64>().ok());
            peak = peak.max(kb.unwrap_or(0) * 1_024);
            self.child.try_wait().expect("it can be waited for")
        });
        peak
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Ended already, most often.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Looks again and again until there is something.
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + WITHIN;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "waited {WITHIN:?} in vain: {what}");
        std::thread::sleep(LOOK_EVERY);
    }
}

/// POSTs JSON; status and answer.
pub(crate) fn post(url: &str, body: &Json) -> (u16, Json) {
    sent(agent().post(url), body)
}

/// PUTs JSON; status and answer.
pub(crate) fn put(url: &str, body: &Json) -> (u16, Json) {
    sent(agent().put(url), body)
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(WITHIN))
        .build()
        .into()
}

fn sent(request: ureq::RequestBuilder<ureq::typestate::WithBody>, body: &Json) -> (u16, Json) {
    let mut response = request
        .header("content-type", "application/json")
        .send(body.to_string().as_bytes())
        .expect("the server answers");
    let mut text = String::new();
    response
        .body_mut()
        .as_reader()
        .read_to_string(&mut text)
        .expect("the answer is text");
    let json = serde_json::from_str(&text).unwrap_or(Json::String(text));
    (response.status().as_u16(), json)
}
