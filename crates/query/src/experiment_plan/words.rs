//! A plan in sentences, for whoever decides: what is needed, what such traffic can show, and what it cannot.

use linkfunnel_model::LookMethod;

use super::check::Wanted;
use super::measure::float;
use super::{ExperimentPlanAnswer, PlannedMethod, ShownAfter, SmallestEffect};

/// Weeks beyond which few experiments stay undisturbed.
const LONG_WEEKS: u64 = 12;
/// Units of an arm below which the normal distribution is a rough guess.
const FEW_UNITS: f64 = 30.0;

/// All sentences.
pub(super) fn in_words(answer: &ExperimentPlanAnswer, from: f64, wanted: &Wanted) -> Vec<String> {
    let Some(first) = answer.methods.first() else {
        return Vec::new();
    };
    let mut words = vec![needed(answer, first, from, wanted)];
    words.extend(side_by_side(&answer.methods));
    words.extend(took_long(answer, first));
    words.extend(shown(first, from));
    words.extend(about_the_baseline(answer));
    words
}

fn needed(
    answer: &ExperimentPlanAnswer,
    first: &PlannedMethod,
    from: f64,
    wanted: &Wanted,
) -> String {
    let (to, points) = (percent(answer.effect.rate), points(answer.effect.absolute));
    let arms = match (wanted.variants, first.control.units == first.variant.units) {
        (1, true) => format!("{} in each of the two arms", grouped(first.control.units)),
        (1, false) => format!(
            "{} in the control and {} in the variant",
            grouped(first.control.units),
            grouped(first.variant.units)
        ),
        (variants, _) => format!(
            "{} in the control and {} in each of {variants} variants",
            grouped(first.control.units),
            grouped(first.variant.units)
        ),
    };
    format!(
        "To find {to} where the control has {} ({points} points, {} of it) with a chance of {}, calling a difference \
         that is not there in {} of all cases, takes {arms}, {} in all, {}.",
        percent(from),
        signed_percent(answer.effect.relative),
        percent(wanted.power),
        percent(wanted.alpha),
        grouped(first.total_units),
        way(&first.method),
    )
}

/// What the other ways cost, where there are several.
fn side_by_side(methods: &[PlannedMethod]) -> Option<String> {
    let others = methods.get(1..).filter(|others| !others.is_empty())?;
    let each = others.iter().map(|other| {
        format!(
            "{:.2} times as many {}",
            other.times_fixed,
            way(&other.method)
        )
    });
    let each: Vec<String> = each.collect();
    Some(format!(
        "Looking earlier costs units: it takes {}.",
        each.join(", ")
    ))
}

/// How long that is, and what to do if it is too long.
fn took_long(answer: &ExperimentPlanAnswer, first: &PlannedMethod) -> Option<String> {
    let (days, weekly) = (first.days?, answer.traffic.weekly_units?);
    let length = length(days);
    let window = match &answer.baseline.measured {
        Some(measured) => format!(" and the window of the last one ({})", measured.window),
        None => String::new(),
    };
    let pace = format!("At {} a week that takes {length}{window}", rounded(weekly));
    Some(if days.div_ceil(7) > LONG_WEEKS {
        format!(
            "{pace}. Few experiments stay undisturbed so long: look for a larger effect, test a bolder change, or choose \
             an earlier step that more of them reach."
        )
    } else {
        format!("{pace}.")
    })
}

/// What the longest and the shortest of the durations show.
fn shown(first: &PlannedMethod, from: f64) -> Vec<String> {
    let longest = first.after.iter().max_by_key(|after| after.days);
    let Some(longest) = longest else {
        return Vec::new();
    };
    let mut words = vec![shown_after(longest, from)];
    let nothing = first
        .after
        .iter()
        .filter(|after| after.up.rate.is_none() && after.down.rate.is_none())
        .max_by_key(|after| after.days)
        .filter(|after| after.days < longest.days);
    words.extend(nothing.map(|after| {
        format!(
            "Up to {} of it cannot show any difference, however large.",
            length(u64::from(after.days))
        )
    }));
    let smaller = (first.variant.exact / first.control.exact).min(1.0);
    let is_rough = |after: &ShownAfter| {
        let is_found = after.up.rate.is_some() || after.down.rate.is_some();
        is_found && float(after.control_units) * smaller < FEW_UNITS
    };
    if first.after.iter().any(is_rough) {
        words.push(format!(
            "What fewer than {FEW_UNITS} units an arm can show is a rough guess."
        ));
    }
    words
}

fn shown_after(after: &ShownAfter, from: f64) -> String {
    let begin = format!(
        "{} of it ({} units)",
        length(u64::from(after.days)),
        grouped(after.units)
    );
    let to = |effect: &SmallestEffect| effect.rate.zip(effect.absolute);
    let told = match (to(&after.up), to(&after.down)) {
        (None, None) => {
            return format!(
                "{begin} cannot show any difference from {}, however large.",
                percent(from)
            );
        }
        (Some(up), None) => format!("{}; no fall, however large", rise(up)),
        (None, Some(down)) => format!("no rise, however large; {}", fall(down)),
        (Some(up), Some(down)) => format!("{}, or {}", rise(up), fall(down)),
    };
    format!(
        "{begin} can show {told}. What is smaller will mostly look like chance: not to find it does not mean that it is \
         not there."
    )
}

fn rise((to, by): (f64, f64)) -> String {
    format!("a rise to {} or more ({} points)", percent(to), points(by))
}

fn fall((to, by): (f64, f64)) -> String {
    format!("a fall to {} or less ({} points)", percent(to), points(by))
}

/// What the reader should know of a measured baseline.
fn about_the_baseline(answer: &ExperimentPlanAnswer) -> Vec<String> {
    let Some(measured) = &answer.baseline.measured else {
        return Vec::new();
    };
    let rate = &answer.baseline.rate;
    let between = match rate.low.zip(rate.high) {
        Some((low, high)) => format!(" (95 %: {} to {})", percent(low), percent(high)),
        None => String::new(),
    };
    let mut words = vec![format!(
        "The control's rate is the share of {:?} among the {} whose window is over{between}; {} entered in {:.0} days.",
        measured.step_name,
        grouped(measured.matured),
        grouped(measured.entered),
        measured.days,
    )];
    if measured.subject != "company" {
        words.push(format!(
            "A unit here is a {}. If companies or others that have several are assigned, theirs are alike and more are \
             needed.",
            measured.subject.replace('_', " ")
        ));
    }
    words
}

/// A way of looking.
fn way(method: &LookMethod) -> String {
    match method {
        LookMethod::Fixed => "with one look at the end".to_owned(),
        LookMethod::Sequential { looks } => format!("with {looks} planned looks"),
        LookMethod::Continuous { .. } => "looking at any time".to_owned(),
    }
}

/// `5 days`, `1 week`, `80 weeks`: weeks from the second on, rounded up.
fn length(days: u64) -> String {
    let weeks = days.div_ceil(7);
    match days {
        1 => "1 day".to_owned(),
        7 => "1 week".to_owned(),
        0..14 => format!("{days} days"),
        _ => format!("{} weeks", grouped(weeks)),
    }
}

/// A share as a percentage with at most three digits: `12 %`, `13.2 %`, `0.04 %`.
pub(super) fn percent(share: f64) -> String {
    format!("{} %", decimals(share * 100.0))
}

/// A difference of shares in points, with its sign.
fn points(difference: f64) -> String {
    signed(difference, &decimals(difference.abs() * 100.0))
}

fn signed_percent(share: f64) -> String {
    signed(share, &percent(share.abs()))
}

fn signed(number: f64, text: &str) -> String {
    let sign = if number < 0.0 { '−' } else { '+' };
    format!("{sign}{text}")
}

/// One decimal; two digits of what is below 1, no trailing zeros.
fn decimals(number: f64) -> String {
    let places = match number.abs() {
        1.0.. => 1,
        0.095.. => 2,
        0.0095.. => 3,
        _ => 6,
    };
    let text = format!("{number:.places$}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    text.to_owned()
}

/// A number of units a week: whole where it is not small.
fn rounded(weekly: f64) -> String {
    if weekly < 10.0 {
        return decimals(weekly);
    }
    let text = format!("{weekly:.0}");
    text.parse().map_or(text, grouped)
}

/// 1204180 → `1 204 180`.
fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let first = digits.len() % 3;
    let (head, rest) = digits.split_at(first);
    let mut groups: Vec<&str> = if head.is_empty() {
        Vec::new()
    } else {
        vec![head]
    };
    let mut rest = rest;
    while !rest.is_empty() {
        let (group, after) = rest.split_at(3);
        groups.push(group);
        rest = after;
    }
    groups.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_people_say_them() {
        for (share, text) in [
            (0.12, "12 %"),
            (0.132, "13.2 %"),
            (0.999, "99.9 %"),
            (0.004, "0.4 %"),
            (0.0004, "0.04 %"),
            (0.05, "5 %"),
        ] {
            assert_eq!(percent(share), text, "{share}");
        }
        assert_eq!(points(-0.034), "−3.4");
        assert_eq!(signed_percent(0.1), "+10 %");
        for (n, text) in [
            (0, "0"),
            (999, "999"),
            (24_008, "24 008"),
            (1_204_180, "1 204 180"),
        ] {
            assert_eq!(grouped(n), text);
        }
        for (days, text) in [
            (1, "1 day"),
            (7, "1 week"),
            (13, "13 days"),
            (14, "2 weeks"),
            (560, "80 weeks"),
        ] {
            assert_eq!(length(days), text);
        }
    }
}
