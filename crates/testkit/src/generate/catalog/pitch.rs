//! What a company is told and offered so that it links (seeds S0-16 to S0-18, S2-06).

use super::{Value, value};

/// An element of the message shown before linking.
pub(crate) struct Element {
    /// Below `messaging`.
    pub(crate) name: &'static str,
    /// Share of the journeys that show it.
    pub(crate) shown: f64,
    /// Multiplier of failures where it is shown, and where it is not; the mean is about one.
    pub(crate) hardship: (f64, f64),
}

const fn element(name: &'static str, shown: f64, with: f64, without: f64) -> Element {
    Element {
        name,
        shown,
        hardship: (with, without),
    }
}

/// The elements; at most eight, as bits.
pub(crate) const MESSAGES: &[Element] = &[
    element("value_prop", 0.7, 0.97, 1.07),
    element("purpose", 0.8, 0.99, 1.04),
    element("security", 0.6, 0.97, 1.045),
    element("revocation", 0.45, 0.96, 1.033),
    element("time_estimate", 0.5, 0.91, 1.09),
    element("faq", 0.3, 0.98, 1.009),
    element("social_proof", 0.3, 0.90, 1.043),
    element("mandatory_label", 0.25, 0.96, 1.013),
];

/// What is offered for linking.
pub(crate) const INCENTIVES: &[Value] = &[
    value("none", 0.45, 1.11),
    value("rebate", 0.15, 0.9),
    value("fee_waiver", 0.12, 0.93),
    value("cash", 0.1, 0.72),
    value("faster_decision", 0.18, 1.0),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_elements_of_a_message_help_but_leave_the_mean_alone() {
        assert!(MESSAGES.len() <= 8);
        for element in MESSAGES {
            let (with, without) = element.hardship;
            assert!(with < without, "{}", element.name);
            let mean = element.shown * with + (1.0 - element.shown) * without;
            assert!((mean - 1.0).abs() < 0.005, "{}: {mean}", element.name);
        }
    }
}
