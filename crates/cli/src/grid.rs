//! Rows of aligned text: numbers end below each other, what follows them (`±0.7`) starts below each other.

use crate::out::Screen;

/// Blocks an eighth to a whole wide.
const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
/// Width of a full bar, in columns.
const BAR: usize = 8;
/// Space between columns.
const GAP: usize = 3;
/// What a note begins with, and what its further lines begin with.
const NOTE: (&str, &str) = ("    ", "      ");

/// A cell: the number, right-aligned, and a remark after it, left-aligned.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Cell {
    pub(crate) main: String,
    pub(crate) after: String,
}

impl From<String> for Cell {
    fn from(main: String) -> Self {
        Cell {
            main,
            after: String::new(),
        }
    }
}

impl From<&str> for Cell {
    fn from(main: &str) -> Self {
        Cell::from(main.to_owned())
    }
}

/// One line of a grid.
#[derive(Debug, Clone, Default)]
pub(crate) struct Row {
    /// What stands at the left.
    pub(crate) label: String,
    /// A share shown as a bar, where the grid has bars.
    pub(crate) bar: Option<f64>,
    /// How much of the bar, at its end, stands for subjects that were not seen there.
    pub(crate) unseen: f64,
    /// One cell a column.
    pub(crate) cells: Vec<Cell>,
    /// Whether the line stands out.
    pub(crate) bold: bool,
    /// What stands under the line, over the whole width; broken between its words where it is too long.
    pub(crate) note: Option<String>,
}

/// Lines with common columns.
#[derive(Debug, Default)]
pub(crate) struct Grid {
    /// The names of the columns.
    pub(crate) head: Vec<String>,
    /// The lines.
    pub(crate) rows: Vec<Row>,
}

impl Grid {
    /// Columns that the widest line takes.
    pub(crate) fn width(&self) -> usize {
        let columns: usize = self
            .columns()
            .iter()
            .map(|(main, after)| GAP + main + after)
            .sum();
        self.label_width() + self.bar_width() + columns
    }

    /// Appends the lines to `out`, no trailing blanks.
    pub(crate) fn draw(&self, screen: Screen, out: &mut String) {
        let (label_width, columns) = (self.label_width(), self.columns());
        let lead = label_width + self.bar_width();
        if self.head.iter().any(|name| !name.is_empty()) {
            let mut line = " ".repeat(lead);
            for ((main, after), name) in columns.iter().zip(&self.head) {
                line += &" ".repeat(GAP);
                line += &pad_left(name, *main);
                line += &" ".repeat(*after);
            }
            out.push_str(line.trim_end());
            out.push('\n');
        }
        for row in &self.rows {
            let mut line = pad_right(&row.label, label_width);
            if self.has_bars() {
                line += "  ";
                let drawn = row
                    .bar
                    .map_or(String::new(), |share| bar(share, row.unseen));
                line += &pad_right(&drawn, BAR);
            }
            for ((main, after), cell) in columns.iter().zip(&row.cells) {
                line += &" ".repeat(GAP);
                line += &pad_left(&cell.main, *main);
                line += &pad_right(&cell.after, *after);
            }
            let line = line.trim_end();
            out.push_str(&if row.bold {
                screen.bold(line)
            } else {
                line.to_owned()
            });
            out.push('\n');
            for line in row
                .note
                .iter()
                .flat_map(|note| fold(note, screen.width, NOTE))
            {
                out.push_str(&screen.faint(&line));
                out.push('\n');
            }
        }
    }

    fn label_width(&self) -> usize {
        self.rows
            .iter()
            .map(|row| len(&row.label))
            .max()
            .unwrap_or(0)
    }

    fn has_bars(&self) -> bool {
        self.rows.iter().any(|row| row.bar.is_some())
    }

    fn bar_width(&self) -> usize {
        if self.has_bars() { BAR + 2 } else { 0 }
    }

    /// Per column the width of the numbers and of the remarks.
    fn columns(&self) -> Vec<(usize, usize)> {
        let mut widths: Vec<(usize, usize)> = self.head.iter().map(|name| (len(name), 0)).collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(&row.cells) {
                width.0 = width.0.max(len(&cell.main));
                width.1 = width.1.max(len(&cell.after));
            }
        }
        widths
    }
}

/// What a bar's end is made of where it stands for subjects that were not seen.
pub(crate) const UNSEEN: &str = "░";

/// A share as a bar of eight columns, in steps of an eighth of one; the unseen part of it, at its end, in whole columns.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "0 to 64"
)]
pub(crate) fn bar(share: f64, unseen: f64) -> String {
    let eighths = |share: f64| (share.clamp(0.0, 1.0) * (BAR * 8) as f64).round() as usize;
    let seen = eighths(share - unseen);
    let solid = "█".repeat(seen / 8) + EIGHTHS[seen % 8];
    let rest = match unseen > 0.0 {
        true => eighths(share).div_ceil(8).saturating_sub(len(&solid)),
        false => 0,
    };
    solid + &UNSEEN.repeat(rest)
}

/// Columns a text takes.
pub(crate) fn len(text: &str) -> usize {
    text.chars().count()
}

/// A text in as many lines as it needs at `width` columns; each begins with the indent, the first one's or the others'.
pub(crate) fn fold(text: &str, width: usize, indent: (&str, &str)) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut line = indent.0.to_owned();
    let mut begun = false;
    for word in unbroken(text) {
        if begun && len(&line) + 1 + len(word) > width {
            lines.push(std::mem::replace(&mut line, indent.1.to_owned()));
            begun = false;
        }
        if begun {
            line.push(' ');
        }
        line.push_str(word);
        begun = true;
    }
    lines.push(line);
    lines
}

/// The words of a text, each with what may not begin a line: `58 % ·`, `1 604`.
fn unbroken(text: &str) -> Vec<&str> {
    let mut starts = vec![0];
    let mut before = "";
    let mut at = 0;
    for word in text.split(' ') {
        let is_number = |w: &str| !w.is_empty() && w.bytes().all(|b| b.is_ascii_digit());
        let belongs = word.starts_with(['%', '·']) || (is_number(before) && is_number(word));
        if at > 0 && !belongs {
            starts.push(at);
        }
        at += word.len() + 1;
        before = word;
    }
    let ends = starts
        .iter()
        .skip(1)
        .map(|start| start - 1)
        .chain([text.len()]);
    starts
        .iter()
        .zip(ends)
        .map(|(start, end)| &text[*start..end])
        .collect()
}

/// A text from the data, without anything that could steer the terminal, at most `max` columns.
pub(crate) fn tame(text: &str, max: usize) -> String {
    let plain: String = text
        .chars()
        .map(|c| if c.is_control() { '·' } else { c })
        .collect();
    if len(&plain) <= max {
        return plain;
    }
    plain
        .chars()
        .take(max.saturating_sub(1))
        .chain(['…'])
        .collect()
}

fn pad_left(text: &str, width: usize) -> String {
    " ".repeat(width.saturating_sub(len(text))) + text
}

fn pad_right(text: &str, width: usize) -> String {
    text.to_owned() + &" ".repeat(width.saturating_sub(len(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_grow_by_eighths() {
        for (share, text) in [
            (1.0, "████████"),
            (0.889, "███████▏"),
            (0.0, ""),
            (0.01, "▏"),
            (7.0, "████████"),
        ] {
            assert_eq!(bar(share, 0.0), text, "{share}");
        }
    }

    #[test]
    fn the_end_of_a_bar_that_was_not_seen_is_of_whole_columns() {
        for (share, unseen, text) in [
            (1.0, 0.5, "████░░░░"),
            (0.75, 0.25, "████░░"),
            (0.8, 0.6, "█▋░░░░░"),
            (0.5, 0.5, "░░░░"),
            (0.5, 0.001, "████"),
        ] {
            assert_eq!(bar(share, unseen), text, "{share} {unseen}");
        }
    }

    #[test]
    fn numbers_end_below_each_other_and_remarks_start_below_each_other() {
        let cell = |main: &str, after: &str| Cell {
            main: main.into(),
            after: after.into(),
        };
        let row = |label: &str, cell: Cell| Row {
            label: label.into(),
            cells: vec![cell, "x".into()],
            ..Row::default()
        };
        let grid = Grid {
            head: vec!["all".into(), "b".into()],
            rows: vec![
                row("entered", cell("14 402", "")),
                row("Linked", cell("71.4 %", " ±0.7")),
            ],
        };
        let mut out = String::new();
        grid.draw(
            Screen {
                width: 80,
                colour: false,
                terminal: false,
            },
            &mut out,
        );
        assert_eq!(
            out,
            "             all        b\nentered   14 402        x\nLinked    71.4 % ±0.7   x\n"
        );
        assert_eq!(grid.width(), 25);
    }

    #[test]
    fn a_long_text_is_broken_between_words_and_a_long_word_is_kept() {
        let lines = fold("dropped 12: exited 50 %", 14, ("  ", "    "));
        assert_eq!(lines, ["  dropped 12:", "    exited", "    50 %"]);
        let lines = fold("1 604 dropped: exited 58 % · other", 10, ("", ""));
        assert_eq!(lines, ["1 604", "dropped:", "exited", "58 % ·", "other"]);
        assert_eq!(fold("a  b", 1, ("", "")), ["a", "", "b"]);
        assert_eq!(fold("unbreakable", 4, ("", "")), ["unbreakable"]);
    }

    #[test]
    fn texts_from_the_data_cannot_steer_the_terminal() {
        assert_eq!(tame("a\u{1b}[2Jb", 20), "a·[2Jb");
        assert_eq!(tame("a very long name", 6), "a ver…");
    }
}
