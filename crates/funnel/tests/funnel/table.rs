//! Scenarios as tables that a person can read: `name | funnel | events | expected`.
//!
//! A funnel: `A B? C[2..5] D~ within 10`: steps are letters, `?` optional, `[min..max]` gaps (either may be left out), `~` one
//! that the subject's provider cannot show; then `within` µs, `strict`, `unordered`, `pinned` (unordered, step 1 first),
//! `strict_increase`, `best`, `all`, `exclude x 1..2` (between which steps, from 1), `discard`, `hold n` fields, `scope all`
//! (else events that match a step or exclusion), `outcomes xy`, `range from..to`, `watermark n`. Without a watermark every
//! window is over.
//!
//! Events: `A@0 AB@3 x@4 -@5 P@6=xero !@7`: capitals are the steps an event satisfies, small letters outcomes and exclusions,
//! `-` is unrelated, `!` says why a subject stopped, `=` the value chosen, or with `hold` the values held (`=xero,_`, `_` for
//! one that is lacking). They may come in any order; at the same instant they keep it.
//!
//! Expected: steps reached with their time from the clock's start, then the state, `(outcome)`, `early` for a conversion whose
//! window still runs, `!@n` the time of the reason; `discarded` alone. Several entries, or values, are separated by ` / `.

use linkfunnel_funnel::{
    Entries, Entry, Error, Events, ExclusionRule, NO_VALUE, OnExclude, Order, Row, Rules, Scratch,
    Span, Spec, State, StepRule, Ties, chosen_values, speak, speak_all, speak_holding,
};

pub(crate) struct Funnel {
    pub(crate) names: Vec<char>,
    outcomes: String,
    pub(crate) exclusions: String,
    scope_all: bool,
    pub(crate) rules: Result<Rules, Error>,
    pub(crate) span: Span,
}

/// The events of one line.
pub(crate) struct Line {
    pub(crate) rows: Vec<Row>,
    pub(crate) held: Vec<u32>,
    values: Vec<String>,
}

impl Line {
    pub(crate) fn events(&self) -> Events<'_> {
        Events {
            rows: &self.rows,
            held: &self.held,
        }
    }
}

pub(crate) fn funnel(text: &str) -> Funnel {
    let (mut names, mut bypassed) = (vec![], 0);
    let mut spec = Spec::default();
    let mut span = Span {
        from_us: 0,
        to_us: i64::MAX,
        watermark_us: Some(i64::MAX),
    };
    let (mut outcomes, mut exclusions, mut scope_all) = (String::new(), String::new(), false);
    let mut words = text.split_whitespace();
    while let Some(word) = words.next() {
        let mut next = || words.next().expect("a word follows");
        match word {
            "within" => spec.window_us = next().parse().unwrap(),
            "strict_increase" => spec.ties = Ties::StrictIncrease,
            "strict" => spec.order = Order::Strict,
            "unordered" => {
                spec.order = Order::Unordered {
                    first_pinned: false,
                }
            }
            "pinned" => spec.order = Order::Unordered { first_pinned: true },
            "best" => spec.entries = Entries::Best,
            "all" => spec.entries = Entries::All,
            "discard" => spec.on_exclude = OnExclude::DiscardSubject,
            "hold" => spec.held = next().parse().unwrap(),
            "scope" => scope_all = next() == "all",
            "exclude" => {
                exclusions.push_str(next());
                let (after, before) = next().split_once("..").unwrap();
                spec.exclusions.push(ExclusionRule {
                    after: after.parse::<usize>().unwrap() - 1,
                    before: before.parse::<usize>().unwrap() - 1,
                });
            }
            "outcomes" => outcomes = next().to_string(),
            "watermark" => span.watermark_us = Some(next().parse().unwrap()),
            "range" => {
                let (from, to) = next().split_once("..").unwrap();
                (span.from_us, span.to_us) = (from.parse().unwrap(), to.parse().unwrap());
            }
            step => {
                names.push(step.chars().next().unwrap());
                let rest = &step[1..];
                bypassed |= u64::from(rest.ends_with('~')) << spec.steps.len();
                spec.steps.push(step_rule(rest.trim_end_matches('~')));
            }
        }
    }
    spec.outcomes = outcomes.len();
    Funnel {
        names,
        outcomes,
        exclusions,
        scope_all,
        rules: Rules::new(spec).map(|rules| match bypassed {
            0 => rules,
            mask => rules.bypassing(mask),
        }),
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

pub(crate) fn line(funnel: &Funnel, text: &str) -> Line {
    let width = funnel.rules.as_ref().map_or(0, Rules::held);
    let mut values = vec![];
    let mut events: Vec<(Row, Vec<u32>)> = text
        .split_whitespace()
        .map(|event| {
            let (kinds, rest) = event.split_once('@').unwrap();
            let (at, named) = rest.split_once('=').unwrap_or((rest, "_"));
            let bits = |names: &mut dyn Iterator<Item = char>| {
                names.enumerate().fold(0_u64, |mask, (bit, name)| {
                    mask | u64::from(kinds.contains(name)) << bit
                })
            };
            let narrow = |bits: u64| u32::try_from(bits).unwrap();
            let mut codes: Vec<u32> = named.split(',').map(|v| code(&mut values, v)).collect();
            codes.resize(width.max(1), NO_VALUE);
            let steps = bits(&mut funnel.names.iter().copied());
            let exclusions = narrow(bits(&mut funnel.exclusions.chars()));
            let row = Row {
                steps,
                outcomes: narrow(bits(&mut funnel.outcomes.chars())),
                exclusions,
                value: codes[0],
                in_scope: funnel.scope_all || steps != 0 || exclusions != 0,
                is_reason: kinds.contains('!'),
                ..Row::at(at.parse().unwrap())
            };
            (row, codes[..width].to_vec())
        })
        .collect();
    events.sort_by_key(|(row, _)| row.at_us);
    Line {
        rows: events.iter().map(|(row, _)| *row).collect(),
        held: events.into_iter().flat_map(|(_, held)| held).collect(),
        values,
    }
}

fn code(values: &mut Vec<String>, value: &str) -> u32 {
    if value == "_" {
        return NO_VALUE;
    }
    let at = values.iter().position(|v| v == value).unwrap_or_else(|| {
        values.push(value.to_string());
        values.len() - 1
    });
    u32::try_from(at).unwrap()
}

fn text(funnel: &Funnel, rows: &[Row], entry: &Entry<'_>) -> String {
    if entry.discarded {
        return "discarded".to_string();
    }
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
    if let Some(row) = entry.reason {
        words.push(format!("!@{}", rows[row].at_us.abs_diff(entry.clock.us)));
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

pub(crate) fn check(table: &str, say: fn(&Funnel, &str) -> Vec<String>) {
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
    let line = line(funnel, events);
    let rules = funnel.rules.as_ref().unwrap();
    let mut said = vec![];
    let mut scratch = Scratch::default();
    speak_all(rules, line.events(), &funnel.span, &mut scratch, |entry| {
        said.push(text(funnel, &line.rows, &entry));
    })
    .unwrap();
    said
}

fn by_value(funnel: &Funnel, events: &str) -> Vec<String> {
    let line = line(funnel, events);
    let (rules, rows, span) = (funnel.rules.as_ref().unwrap(), &line.rows, &funnel.span);
    let mut scratch = Scratch::default();
    let Some(entry) = speak(rules, line.events(), span, &mut scratch).unwrap() else {
        return vec![];
    };
    let (clock, total) = (entry.clock.clone(), text(funnel, rows, &entry));
    let mut values = vec![];
    let chosen_in = match rules.entries() {
        Entries::Best => 0..rows.len(),
        _ => clock.window.clone(),
    };
    chosen_values(&rows[chosen_in], &mut values);
    if values.is_empty() {
        return vec![format!("(before choice): {total}")];
    }
    let mut under = |value: u32| {
        let fits = |row: usize| [value, NO_VALUE].contains(&rows[row].value);
        let entry = speak_holding(rules, line.events(), span, &clock, fits, &mut scratch).unwrap();
        let entry = entry.map_or("no entry".to_string(), |entry| text(funnel, rows, &entry));
        format!("{}: {entry}", line.values[value as usize])
    };
    values.iter().map(|&value| under(value)).collect()
}
