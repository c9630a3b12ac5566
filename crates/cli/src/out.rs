//! Standard output and the terminal: what it can show, how wide it is, and that a closed pipe is no error.

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};

/// Width of a text for pipes and files, in columns: nothing is cut or folded there before this.
const PIPE_WIDTH: usize = 160;

static CLOSED: AtomicBool = AtomicBool::new(false);

/// Prints a line. After the reader of a pipe has gone, prints nothing.
pub(crate) fn line(text: &str) {
    write(&format!("{text}\n"));
}

/// Prints bytes as they are, and hands them on at once.
pub(crate) fn write(text: &str) {
    if CLOSED.load(Ordering::Relaxed) {
        return;
    }
    let mut stdout = io::stdout().lock();
    if stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
        .is_err()
    {
        CLOSED.store(true, Ordering::Relaxed);
    }
}

/// Prints a line on stderr: remarks that are not part of the result.
pub(crate) fn note(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// What the reader of standard output can show.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Screen {
    /// Columns that fit in a line.
    pub(crate) width: usize,
    /// Whether colours and bold are wanted.
    pub(crate) colour: bool,
    /// Whether a line can be rewritten in place.
    pub(crate) terminal: bool,
}

impl Screen {
    /// The screen that standard output leads to. A non-empty `NO_COLOR` and pipes get no colour.
    pub(crate) fn stdout() -> Self {
        let terminal = io::stdout().is_terminal();
        let width = match terminal_size::terminal_size() {
            Some((width, _)) if terminal => usize::from(width.0),
            _ => PIPE_WIDTH,
        };
        let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Screen {
            width,
            colour: terminal && !no_colour,
            terminal,
        }
    }

    /// Bold where the screen can, else plain.
    pub(crate) fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }

    /// Faint where the screen can, else plain.
    pub(crate) fn faint(self, text: &str) -> String {
        self.paint("2", text)
    }

    /// Green where the screen can, else plain.
    pub(crate) fn green(self, text: &str) -> String {
        self.paint("32", text)
    }

    /// Red where the screen can, else plain.
    pub(crate) fn red(self, text: &str) -> String {
        self.paint("31", text)
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.colour {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }
}

/// Whether progress may be drawn (stderr is a terminal).
pub(crate) fn shows_progress() -> bool {
    io::stderr().is_terminal()
}
