//! Conditions of a question as checks on one value, and events as masks of steps and outcomes.

use std::cmp::Ordering;
use std::collections::HashSet;

use arrow::array::Array;
use arrow::record_batch::RecordBatch;
use datafusion::error::Result;
use linkfunnel_model::{
    Alternative, Condition, Field, FieldKind, FieldRef, FunnelDefinition, Mistake, Op, Predicate,
};

use crate::columns::{Cell, Source, column, test, words};

/// A condition's operator and values, ready to be evaluated.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Check {
    op: Op,
    texts: HashSet<String>,
    numbers: Vec<Number>,
    flags: Vec<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Number {
    Int(i64),
    Num(f64),
}

impl Check {
    /// The check of a condition; `rename` replaces texts that are stored otherwise.
    pub(crate) fn new(condition: &Condition, rename: impl Fn(&str) -> String) -> Check {
        let one = std::slice::from_ref(&condition.value);
        let values = condition.value.as_array().map_or(one, Vec::as_slice);
        let number = |v: &serde_json::Value| match v.as_i64() {
            Some(int) => Some(Number::Int(int)),
            None => v.as_f64().map(Number::Num),
        };
        Check {
            op: condition.op,
            texts: values
                .iter()
                .filter_map(|v| v.as_str())
                .map(rename)
                .collect(),
            numbers: values.iter().filter_map(number).collect(),
            flags: values
                .iter()
                .filter_map(serde_json::Value::as_bool)
                .collect(),
        }
    }

    /// Whether the condition holds for a value. A missing value is equal to nothing, so it holds
    /// for `ne` and `not_in`.
    pub(crate) fn holds(&self, cell: Cell<'_>) -> bool {
        match self.op {
            Op::Exists => cell != Cell::None,
            Op::Missing => cell == Cell::None,
            Op::Eq | Op::In => self.is_among(cell),
            Op::Ne | Op::NotIn => !self.is_among(cell),
            Op::Lt => self.compares(cell, Ordering::is_lt),
            Op::Lte => self.compares(cell, Ordering::is_le),
            Op::Gt => self.compares(cell, Ordering::is_gt),
            Op::Gte => self.compares(cell, Ordering::is_ge),
            Op::Prefix => match cell {
                Cell::Text(text) => self.texts.iter().any(|start| text.starts_with(start)),
                _ => false,
            },
        }
    }

    /// As [`Check::holds`], for a value that was turned into text to be a segment.
    pub(crate) fn holds_text(&self, source: &Source, text: Option<&str>) -> bool {
        let Some(text) = text else {
            return self.holds(Cell::None);
        };
        let number = || text.parse().map_or(Cell::Text(text), Cell::Num);
        self.holds(match source {
            Source::Field(field) => match field.kind() {
                FieldKind::Int { .. } => text.parse().map_or(Cell::Text(text), Cell::Int),
                FieldKind::Bool => Cell::Bool(text == "true"),
                _ => Cell::Text(text),
            },
            Source::Attr(_) if !self.numbers.is_empty() => number(),
            Source::Attr(_) | Source::Experiment(_) | Source::Experiments | Source::Told(_) => {
                Cell::Text(text)
            }
        })
    }

    fn is_among(&self, cell: Cell<'_>) -> bool {
        match cell {
            Cell::None => false,
            // Attributes keep flags as texts.
            Cell::Text(text) => {
                self.texts.contains(text)
                    || self
                        .flags
                        .iter()
                        .any(|f| text == if *f { "true" } else { "false" })
            }
            Cell::Bool(flag) => self.flags.contains(&flag),
            Cell::Int(_) | Cell::Num(_) => self.compares(cell, Ordering::is_eq),
        }
    }

    fn compares(&self, cell: Cell<'_>, wanted: impl Fn(Ordering) -> bool) -> bool {
        self.numbers
            .iter()
            .filter_map(|number| order(cell, *number))
            .any(wanted)
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "whole numbers beyond 2^53 meet decimals nowhere"
)]
fn order(cell: Cell<'_>, number: Number) -> Option<Ordering> {
    match (cell, number) {
        (Cell::Int(a), Number::Int(b)) => Some(a.cmp(&b)),
        (Cell::Int(a), Number::Num(b)) => (a as f64).partial_cmp(&b),
        (Cell::Num(a), Number::Int(b)) => a.partial_cmp(&(b as f64)),
        (Cell::Num(a), Number::Num(b)) => a.partial_cmp(&b),
        _ => None,
    }
}

/// What an event takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    Step(usize),
    Outcome(usize),
    Exclusion(usize),
}

/// What must hold of an event, by the numbers of the tests.
#[derive(Debug, Clone)]
enum Demand {
    Test(usize),
    Any(Vec<Demand>),
    All(Vec<Demand>),
    Not(Box<Demand>),
}

impl Demand {
    fn holds(&self, verdicts: &[Vec<bool>], row: usize) -> bool {
        match self {
            Demand::Test(test) => verdicts[*test][row],
            Demand::Any(parts) => parts.iter().any(|part| part.holds(verdicts, row)),
            Demand::All(parts) => parts.iter().all(|part| part.holds(verdicts, row)),
            Demand::Not(part) => !part.holds(verdicts, row),
        }
    }

    fn tests(&self, into: &mut HashSet<usize>) {
        match self {
            Demand::Test(test) => drop(into.insert(*test)),
            Demand::Any(parts) | Demand::All(parts) => parts.iter().for_each(|p| p.tests(into)),
            Demand::Not(part) => part.tests(into),
        }
    }
}

/// An event name with conditions that takes a step, shows an outcome or is excluded.
#[derive(Debug, Clone)]
struct Matcher {
    event: String,
    demand: Demand,
    target: Target,
}

/// All events of a definition, compiled.
#[derive(Debug, Clone, Default)]
pub(crate) struct Matching {
    matchers: Vec<Matcher>,
    tests: Vec<(Source, Check)>,
}

/// Per row, the steps it satisfies, the outcomes it is and the exclusions that name it.
#[derive(Debug, Default)]
pub(crate) struct Masks {
    pub(crate) steps: Vec<u64>,
    pub(crate) outcomes: Vec<u32>,
    pub(crate) exclusions: Vec<u32>,
}

impl Matching {
    /// Compiles a checked definition.
    pub(crate) fn new(
        definition: &FunnelDefinition,
        rename: &dyn Fn(Field, &str) -> String,
    ) -> Result<Matching, Mistake> {
        let mut matching = Matching::default();
        for (i, step) in definition.steps.iter().enumerate() {
            matching.add(&step.alternatives(), Target::Step(i), rename)?;
        }
        for (i, outcome) in definition.outcomes.iter().enumerate() {
            matching.add(&outcome.alternatives(), Target::Outcome(i), rename)?;
        }
        for (i, exclusion) in definition.exclude.iter().enumerate() {
            matching.add(&exclusion.alternatives(), Target::Exclusion(i), rename)?;
        }
        Ok(matching)
    }

    fn add(
        &mut self,
        alternatives: &[Alternative],
        target: Target,
        rename: &dyn Fn(Field, &str) -> String,
    ) -> Result<(), Mistake> {
        for alternative in alternatives {
            let demand = self.all(&alternative.conditions, rename)?;
            self.matchers.push(Matcher {
                event: alternative.event.clone(),
                demand,
                target,
            });
        }
        Ok(())
    }

    fn all(
        &mut self,
        predicates: &[Predicate],
        rename: &dyn Fn(Field, &str) -> String,
    ) -> Result<Demand, Mistake> {
        let parts = predicates.iter().map(|part| self.demand(part, rename));
        Ok(Demand::All(parts.collect::<Result<_, _>>()?))
    }

    fn demand(
        &mut self,
        predicate: &Predicate,
        rename: &dyn Fn(Field, &str) -> String,
    ) -> Result<Demand, Mistake> {
        Ok(match predicate {
            Predicate::Is(condition) => Demand::Test(self.test(condition, rename)?),
            Predicate::All { all } => self.all(all, rename)?,
            Predicate::Any { any } => {
                let parts = any.iter().map(|part| self.demand(part, rename));
                Demand::Any(parts.collect::<Result<_, _>>()?)
            }
            Predicate::Not { not } => Demand::Not(Box::new(self.demand(not, rename)?)),
        })
    }

    /// The number of the test for a condition, the same for equal conditions.
    fn test(
        &mut self,
        condition: &Condition,
        rename: &dyn Fn(Field, &str) -> String,
    ) -> Result<usize, Mistake> {
        let (source, check) = compile(condition, rename, "")?;
        let known = self
            .tests
            .iter()
            .position(|(s, c)| *s == source && *c == check);
        Ok(known.unwrap_or_else(|| {
            self.tests.push((source, check));
            self.tests.len() - 1
        }))
    }

    /// The columns to read, besides `event`.
    pub(crate) fn columns(&self) -> impl Iterator<Item = &'static str> {
        self.tests.iter().flat_map(|(source, _)| source.columns())
    }

    /// Evaluates every row of a batch.
    pub(crate) fn masks(&self, batch: &RecordBatch) -> Result<Masks> {
        let rows = batch.num_rows();
        let events = words(column(batch, Field::Event.column())?)?;
        let by_word: Vec<Vec<&Matcher>> = (0..events.texts.len())
            .map(|code| {
                let name = events.text(code);
                self.matchers
                    .iter()
                    .filter(|m| Some(m.event.as_str()) == name)
                    .collect()
            })
            .collect();
        let verdicts = self.verdicts(batch, &by_word)?;
        let mut masks = Masks {
            steps: vec![0; rows],
            outcomes: vec![0; rows],
            exclusions: vec![0; rows],
        };
        for row in 0..rows {
            let Some(code) = events.code(row) else {
                continue;
            };
            for matcher in &by_word[code] {
                if !matcher.demand.holds(&verdicts, row) {
                    continue;
                }
                match matcher.target {
                    Target::Step(step) => masks.steps[row] |= 1 << step,
                    Target::Outcome(outcome) => masks.outcomes[row] |= 1 << outcome,
                    Target::Exclusion(exclusion) => masks.exclusions[row] |= 1 << exclusion,
                }
            }
        }
        Ok(masks)
    }

    /// The verdict of each test per row; empty for tests that no event of the batch needs.
    fn verdicts(&self, batch: &RecordBatch, by_word: &[Vec<&Matcher>]) -> Result<Vec<Vec<bool>>> {
        let mut needed: HashSet<usize> = HashSet::new();
        for matcher in by_word.iter().flatten() {
            matcher.demand.tests(&mut needed);
        }
        let verdict = |(i, (source, check)): (usize, &(Source, Check))| {
            if needed.contains(&i) {
                test(batch, source, |cell| check.holds(cell))
            } else {
                Ok(Vec::new())
            }
        };
        self.tests.iter().enumerate().map(verdict).collect()
    }
}

/// The source and check of a condition. `at`: its JSON pointer.
pub(crate) fn compile(
    condition: &Condition,
    rename: &dyn Fn(Field, &str) -> String,
    at: &str,
) -> Result<(Source, Check), Mistake> {
    let field = FieldRef::parse(&condition.field, &format!("{at}/field"))?;
    let check = Check::new(condition, |text| match &field {
        FieldRef::Field(field) => rename(*field, text),
        FieldRef::Attr(_) | FieldRef::Experiment(_) => text.to_owned(),
    });
    Ok((field.into(), check))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(op: Op, value: serde_json::Value) -> Check {
        Check::new(
            &Condition {
                field: "x".into(),
                op,
                value,
            },
            str::to_owned,
        )
    }

    #[test]
    fn a_missing_value_is_equal_to_nothing() {
        for (op, value, holds) in [
            (Op::Eq, json!("a"), false),
            (Op::Ne, json!("a"), true),
            (Op::In, json!(["a"]), false),
            (Op::NotIn, json!(["a"]), true),
            (Op::Lt, json!(3), false),
            (Op::Exists, json!(null), false),
            (Op::Missing, json!(null), true),
        ] {
            assert_eq!(check(op, value).holds(Cell::None), holds, "{op:?}");
        }
    }

    #[test]
    fn numbers_compare_as_numbers_and_bounds_are_included_where_they_say_so() {
        for (op, value, cell, holds) in [
            (Op::Lt, json!(3), Cell::Int(2), true),
            (Op::Lt, json!(3), Cell::Int(3), false),
            (Op::Lte, json!(3), Cell::Num(3.0), true),
            (Op::Gt, json!(2.5), Cell::Int(3), true),
            (Op::Gte, json!(10), Cell::Text("9"), false),
            (Op::Eq, json!(3), Cell::Num(3.0), true),
            (Op::In, json!([1, 2]), Cell::Int(2), true),
        ] {
            assert_eq!(check(op, value).holds(cell), holds, "{op:?} {cell:?}");
        }
    }

    #[test]
    fn a_segments_text_is_checked_by_the_kind_of_its_field() {
        let over_nine = check(Op::Gt, json!(9));
        assert!(over_nine.holds_text(&Source::Field(Field::StepIndex), Some("10")));
        let is_true = check(Op::Eq, json!(true));
        assert!(is_true.holds_text(&Source::Field(Field::DeviceWebview), Some("true")));
        assert!(is_true.holds_text(&Source::Attr("vip".into()), Some("true")));
    }
}
