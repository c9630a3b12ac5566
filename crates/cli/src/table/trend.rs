//! How a funnel went over time: a line an interval, a column a segment while they fit.

use chrono::{DateTime, FixedOffset, Utc};
use chrono_tz::Tz;
use linkfunnel_query::{FunnelAnswer, Group, TrendBucket};

use super::segments::{rate_cell, segment};
use super::{Asked, Frame, MAX_NAME, paragraph};
use crate::grid::{Cell, Grid, Row, tame};
use crate::words;

/// One line an interval, a column a segment while they fit.
pub(super) fn trend(answer: &FunnelAnswer, asked: &Asked, frame: &Frame<'_>) -> String {
    let interval = frame.interval.unwrap_or("day");
    let segments = answer
        .groups
        .iter()
        .filter(|group| group.trend.len() == answer.trend.len());
    let mut segments: Vec<&Group> = segments.collect();
    let wanted = segments.len();
    let grid = loop {
        let grid = trend_grid(answer, &segments, asked, interval);
        if grid.width() <= frame.screen.width || segments.is_empty() {
            break grid;
        }
        segments.pop();
    };
    let mut out = String::new();
    grid.draw(frame.screen, &mut out);
    if segments.len() < wanted {
        let more = words::counted((wanted - segments.len()) as u64, "segment");
        let more = format!("{more} more than fit here: --csv has all.");
        paragraph(&more, frame.screen, &mut out);
    }
    out
}

fn trend_grid(answer: &FunnelAnswer, segments: &[&Group], asked: &Asked, interval: &str) -> Grid {
    let mut head = vec!["entered".to_owned(), String::from("all")];
    head.extend(segments.iter().map(|group| segment(group)));
    if segments.is_empty() {
        head[1] = answer
            .total
            .steps
            .last()
            .map_or_else(String::new, |step| tame(&step.name, MAX_NAME));
    }
    head.extend(["open".to_owned(), String::new()]);
    let rows = answer.trend.iter().enumerate().map(|(i, bucket)| {
        let mut cells = vec![
            Cell::from(words::count(bucket.entered)),
            rate_cell(&bucket.rate, true),
        ];
        cells.extend(
            segments
                .iter()
                .map(|group| rate_cell(&group.trend[i].rate, false)),
        );
        cells.push(words::count(bucket.open).into());
        cells.push(Cell {
            main: String::new(),
            after: bucket_remark(bucket),
        });
        Row {
            label: bucket_name(&bucket.start, interval, asked.zone),
            bar: bucket.rate.value,
            cells,
            ..Row::default()
        }
    });
    let rows = rows.collect();
    Grid { head, rows }
}

fn bucket_remark(bucket: &TrendBucket) -> String {
    match (bucket.is_matured || bucket.entered == 0, bucket.partial) {
        (true, false) => String::new(),
        (true, true) => "in part".into(),
        (false, false) => "not over yet".into(),
        (false, true) => "in part, not over yet".into(),
    }
}

fn bucket_name(start: &str, interval: &str, zone: Tz) -> String {
    let Ok(time) = start.parse::<DateTime<FixedOffset>>() else {
        return tame(start, MAX_NAME);
    };
    let time = time.with_timezone(&Utc).with_timezone(&zone);
    let form = match interval {
        "hour" => "%a %-d %b %H:%M",
        "week" => "week of %-d %b",
        "month" => "%b %Y",
        _ => "%a %-d %b",
    };
    time.format(form).to_string()
}
