//! Tables as Markdown.

use std::io::{self, Write};

use super::runs;

/// Writes a table under a title and a line of words.
pub(crate) fn table(
    out: &mut dyn Write,
    title: &str,
    words: &str,
    head: &[&str],
    rows: &[Vec<String>],
) -> io::Result<()> {
    writeln!(out, "## {title}\n\n{words}\n\n| {} |", head.join(" | "))?;
    writeln!(out, "|{}", "---|".repeat(head.len()))?;
    for row in rows {
        writeln!(out, "| {} |", row.join(" | "))?;
    }
    writeln!(out)
}

/// The share of the runs that did, as percent with two digits.
pub(crate) fn share<T>(runs: &[T], did: impl Fn(&T) -> bool) -> String {
    percent(runs::count(runs, did), runs.len() as u64)
}

/// `some` of `all`, as percent with two digits, half up.
pub(crate) fn percent(some: u64, all: u64) -> String {
    let hundredths = (some * 20_000 + all) / (2 * all);
    format!("{}.{:02} %", hundredths / 100, hundredths % 100)
}

/// A rate as percent, with as many digits as it has, at most two.
pub(crate) fn rate(rate: f64) -> String {
    let digits = format!("{:.2}", 100.0 * rate);
    let digits = digits.trim_end_matches('0').trim_end_matches('.');
    format!("{digits} %")
}

/// A count with its thousands apart.
pub(crate) fn thousands(count: u64) -> String {
    if count < 1_000 {
        return count.to_string();
    }
    format!("{} {:03}", thousands(count / 1_000), count % 1_000)
}
