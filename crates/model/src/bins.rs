//! Where the histogram of times to convert is cut, when a question says so.

use crate::condition::{Mistake, limit};
use crate::window::Length;

/// Most edges of a histogram of times.
pub const MAX_EDGES: usize = 200;

/// Checks the edges given, in ms: rising, and inside the window. In µs on return. `times`: whether times are asked for;
/// `at`: the edges' JSON pointer.
///
/// # Errors
/// `needs_time_to_convert`, `limit_exceeded`, `out_of_range`, `not_rising`.
pub(crate) fn check_edges(
    edges_ms: &[u64],
    times: bool,
    window: Length,
    at: &str,
) -> Result<Vec<u64>, Mistake> {
    if !times {
        let detail = "bins go with include: [\"time_to_convert\"]";
        return Err(Mistake::new("needs_time_to_convert", at, detail));
    }
    limit(edges_ms.len(), MAX_EDGES, "edges", at)?;
    let window_us = window.us().unsigned_abs();
    let mut edges_us: Vec<u64> = Vec::with_capacity(edges_ms.len());
    for (i, edge_ms) in edges_ms.iter().enumerate() {
        let pointer = format!("{at}/{i}");
        let edge_us = edge_ms.saturating_mul(1_000);
        if edge_us == 0 || edge_us >= window_us {
            let detail = format!(
                "an edge lies after 0 and before the window's end, {} ms",
                window_us / 1_000
            );
            return Err(Mistake::new("out_of_range", pointer, detail));
        }
        if edges_us.last().is_some_and(|before| *before >= edge_us) {
            return Err(Mistake::new(
                "not_rising",
                pointer,
                "each edge lies after the one before",
            ));
        }
        edges_us.push(edge_us);
    }
    Ok(edges_us)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(edges_ms: &[u64]) -> Result<Vec<u64>, (&'static str, String)> {
        let hour = Length::try_from("PT1H".to_owned()).unwrap();
        check_edges(edges_ms, true, hour, "/bins").map_err(|m| (m.code, m.pointer))
    }

    #[test]
    fn edges_rise_inside_the_window() {
        assert_eq!(
            checked(&[1, 60_000, 3_599_999]),
            Ok(vec![1_000, 60_000_000, 3_599_999_000])
        );
        let mistakes: [(&[u64], _, _); 5] = [
            (&[0, 60_000], "out_of_range", "/bins/0"),
            (&[60_000, 3_600_000], "out_of_range", "/bins/1"),
            (&[u64::MAX], "out_of_range", "/bins/0"),
            (&[60_000, 60_000], "not_rising", "/bins/1"),
            (&[3; MAX_EDGES + 1], "limit_exceeded", "/bins"),
        ];
        for (edges, code, pointer) in mistakes {
            assert_eq!(checked(edges), Err((code, pointer.to_owned())), "{edges:?}");
        }
    }
}
