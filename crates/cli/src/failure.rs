//! What the user reads when a command cannot go on: one sentence that says what happened, and one that says what to do.
//!
//! Every error of the library crates ends here; nobody meets a backtrace.

use std::fmt::{self, Display};

/// Why a command stopped. Printed as one line on stderr; the process ends with [`Failure::status`].
pub(crate) struct Failure {
    what: String,
    mend: Option<String>,
    /// The exit status: 1, or 2 when the command line itself is wrong.
    pub(crate) status: u8,
}

/// A result whose error is shown to the user as it is.
pub(crate) type Result<T, E = Failure> = std::result::Result<T, E>;

impl Failure {
    /// Something did not work; `what` says what, without a full stop.
    pub(crate) fn new(what: impl Display) -> Self {
        Failure {
            what: what.to_string(),
            mend: None,
            status: 1,
        }
    }

    /// The command line asks for something that cannot be meant (exit status 2).
    pub(crate) fn usage(what: impl Display) -> Self {
        Failure {
            status: 2,
            ..Failure::new(what)
        }
    }

    /// Adds what the user can do about it.
    pub(crate) fn mend(mut self, mend: impl Display) -> Self {
        self.mend = Some(mend.to_string());
        self
    }

    fn within(mut self, doing: impl Display) -> Self {
        self.what = format!("{doing}: {}", self.what);
        self
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        match &self.mend {
            Some(mend) => write!(f, "; {mend}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Display::fmt(self, f)
    }
}

/// Any library error becomes a sentence: its own message and those of its causes that add something.
impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        let mut what = one_line(&error.to_string());
        let mut cause = error.source();
        while let Some(inner) = cause {
            let text = one_line(&inner.to_string());
            if !what.contains(&text) {
                what = format!("{what}: {text}");
            }
            cause = inner.source();
        }
        if what.contains("os error 28") || what.contains("No space left") {
            return Failure::new(what)
                .mend("free some space, or put the data elsewhere with --data");
        }
        Failure::new(what)
    }
}

/// Says what was being done when an error came up.
pub(crate) trait Doing<T> {
    /// Puts `doing` before the error's own words.
    fn doing(self, doing: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: Into<Failure>> Doing<T> for std::result::Result<T, E> {
    fn doing(self, doing: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|error| error.into().within(doing()))
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_sentence_with_its_causes_and_what_to_do() {
        let error = std::io::Error::other("disk\n on fire");
        let failure = Err::<(), _>(error)
            .doing(|| "reading a.csv".into())
            .unwrap_err();
        assert_eq!(
            failure.mend("put it out").to_string(),
            "reading a.csv: disk on fire; put it out"
        );
    }

    #[test]
    fn a_full_disk_says_what_to_do() {
        let failure = Failure::from(std::io::Error::from_raw_os_error(28));
        assert!(failure.to_string().contains("free some space"), "{failure}");
    }
}
