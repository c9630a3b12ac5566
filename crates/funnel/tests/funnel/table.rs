//! Scenarios as tables that a person can read: `name | funnel | events | expected`.
//!
//! A funnel: `A B? C[2..5] within 10`: steps are letters, `?` optional, `[min..max]` gaps (either may be left out); then
//! `within` µs, `strict`, `all`, `outcomes xy`, `range from..to`, `watermark n`. Without a watermark every window is over.
//!
//! Events: `A@0 AB@3 x@4 -@5 P@6=xero`: capitals are the steps an event satisfies, small letters outcomes, `-` is
//! unrelated, `=` the value chosen. They may come in any order; at the same instant they keep it.
//!
//! Expected: steps reached with their time from the clock's start, then the state, `(outcome)`, and `early` for a
//! conversion whose window still runs. Several entries, or values, are separated by ` / `.

use linkfunnel_funnel::{
    Entries, Entry, Error, NO_VALUE, Row, Rules, Scratch, Span, State, StepRule, Ties,
    chosen_values, speak, speak_all, speak_holding,
};

pub(crate) struct Funnel {
    names: Vec<char>,
    outcomes: String,
    pub(crate) rules: Result<Rules, Error>,
    pub(crate) span: Span,
}

pub(crate) fn funnel(text: &str) -> Funnel {
    let (mut names, mut steps) = (vec![], vec![]);
    let (mut window_us, mut ties, mut entries) = (0, Ties::AnyOrder, Entries::Cohort);
    let mut span = Span {
        from_us: 0,
        to_us: i64::MAX,
        watermark_us: Some(i64::MAX),
    };
    let mut outcomes = String::new();
    let mut words = text.split_whitespace();
    while let Some(word) = words.next() {
        let mut next = || words.next().expect("a word follows");
        match word {
            "within" => window_us = next().parse().unwrap(),
            "strict" => ties = Ties::StrictIncrease,
            "all" => entries = Entries::All,
            "outcomes" => outcomes = next().to_string(),
            "watermark" => span.watermark_us = Some(next().parse().unwrap()),
            "range" => {
                let (from, to) = next().split_once("..").unwrap();
                (span.from_us, span.to_us) = (from.parse().unwrap(), to.parse().unwrap());
            }
            step => {
                names.push(step.chars().next().unwrap());
                steps.push(step_rule(&step[1..]));
            }
        }
    }
    let rules = Rules::new(steps, outcomes.len(), window_us, ties, entries);
    Funnel {
        names,
        outcomes,
        rules,
        span,
    }
}

fn step_rule(text: &str) -> StepRule {
    match text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'))
    {
        _ if text == "?" => StepRule::optional(),
        None => StepRule::required(),
        Some(gaps) => {
            let (min, max) = gaps.split_once("..").unwrap();
            StepRule::required().with_gaps(min.parse().ok(), max.parse().ok())
        }
    }
}

pub(crate) fn rows(funnel: &Funnel, text: &str, values: &mut Vec<String>) -> Vec<Row> {
    let mut rows: Vec<Row> = text
        .split_whitespace()
        .map(|event| {
            let (kinds, rest) = event.split_once('@').unwrap();
            let (at, value) = rest.split_once('=').unwrap_or((rest, ""));
            let bits = |names: &mut dyn Iterator<Item = char>| {
                names.enumerate().fold(0_u64, |mask, (bit, name)| {
                    mask | u64::from(kinds.contains(name)) << bit
                })
            };
            Row {
                at_us: at.parse().unwrap(),
                steps: bits(&mut funnel.names.iter().copied()),
                outcomes: u32::try_from(bits(&mut funnel.outcomes.chars())).unwrap(),
                value: if value.is_empty() {
                    NO_VALUE
                } else {
                    code(values, value)
                },
            }
        })
        .collect();
    rows.sort_by_key(|row| row.at_us);
    rows
}

fn code(values: &mut Vec<String>, value: &str) -> u32 {
    let at = values.iter().position(|v| v == value).unwrap_or_else(|| {
        values.push(value.to_string());
        values.len() - 1
    });
    u32::try_from(at).unwrap()
}

fn text(funnel: &Funnel, entry: &Entry<'_>) -> String {
    let mut words: Vec<String> = vec![];
    for (step, name) in funnel.names.iter().enumerate() {
        if let Some(time_us) = entry.from_entry_us(step) {
            words.push(format!("{name}@{time_us}"));
        }
    }
    words.push(format!("{:?}", entry.state).to_lowercase());
    if let Some(outcome) = entry.outcome {
        words.push(format!(
            "({})",
            funnel.outcomes.chars().nth(outcome).unwrap()
        ));
    }
    if entry.state == State::Converted && !entry.matured {
        words.push("early".to_string());
    }
    words.join(" ")
}

/// Each line's entries are as expected.
pub(crate) fn table(text: &str) {
    check(text, entries);
}

/// As [`table`], broken down by `each` value, in order of their first event; `(before choice)` for none.
pub(crate) fn each_table(text: &str) {
    check(text, by_value);
}

fn check(table: &str, say: fn(&Funnel, &str) -> Vec<String>) {
    let lines: Vec<&str> = table
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    let wrong: Vec<String> = lines.iter().filter_map(|line| mistake(line, say)).collect();
    assert!(
        wrong.is_empty() && !lines.is_empty(),
        "\n{}",
        wrong.join("\n")
    );
}

fn mistake(line: &str, say: fn(&Funnel, &str) -> Vec<String>) -> Option<String> {
    let fields: Vec<&str> = line.split(" |").map(str::trim).collect();
    let [_name, rules, events, expected] = fields[..] else {
        return Some(format!("{line}\n    has not four columns"));
    };
    let said = say(&funnel(rules), events);
    let said = if said.is_empty() {
        "no entry".to_string()
    } else {
        said.join(" / ")
    };
    (said != expected).then(|| format!("{line}\n    got: {said}"))
}

fn entries(funnel: &Funnel, events: &str) -> Vec<String> {
    let rows = rows(funnel, events, &mut vec![]);
    let rules = funnel.rules.as_ref().unwrap();
    let mut said = vec![];
    speak_all(
        rules,
        &rows,
        &funnel.span,
        &mut Scratch::default(),
        |entry| {
            said.push(text(funnel, &entry));
        },
    );
    said
}

fn by_value(funnel: &Funnel, events: &str) -> Vec<String> {
    let mut names = vec![];
    let rows = rows(funnel, events, &mut names);
    let rules = funnel.rules.as_ref().unwrap();
    let mut scratch = Scratch::default();
    let Some(entry) = speak(rules, &rows, &funnel.span, &mut scratch) else {
        return vec![];
    };
    let (clock, total) = (entry.clock.clone(), text(funnel, &entry));
    let mut values = vec![];
    chosen_values(&rows[clock.window.clone()], &mut values);
    if values.is_empty() {
        return vec![format!("(before choice): {total}")];
    }
    let mut under = |value: u32| {
        let entry = speak_holding(rules, &rows, &funnel.span, &clock, value, &mut scratch);
        let entry = entry.map_or("no entry".to_string(), |entry| text(funnel, &entry));
        format!("{}: {entry}", names[value as usize])
    };
    values.iter().map(|&value| under(value)).collect()
}
