//! The rules of one funnel question, checked once and then trusted.

use crate::Row;

/// Most steps of a funnel; a step is a bit of [`crate::Row::steps`].
pub const MAX_STEPS: usize = 64;

/// Most outcomes of a funnel; an outcome is a bit of [`crate::Row::outcomes`].
pub const MAX_OUTCOMES: usize = 32;

/// Most exclusions of a funnel; an exclusion is a bit of [`crate::Row::exclusions`].
pub const MAX_EXCLUSIONS: usize = 32;

/// Most fields held constant.
pub const MAX_HELD: usize = 4;

/// One step of a funnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StepRule {
    /// Neither gates nor anchors what follows; skipping it is not dropping (rule 12).
    pub optional: bool,
    /// At least this long after the previous required matched step, inclusive, µs.
    pub min_gap_us: Option<i64>,
    /// At most this long after the previous required matched step, inclusive, µs.
    pub max_gap_us: Option<i64>,
}

impl StepRule {
    /// A required step without gaps.
    pub fn required() -> StepRule {
        StepRule::default()
    }

    /// An optional step.
    pub fn optional() -> StepRule {
        StepRule {
            optional: true,
            ..StepRule::default()
        }
    }

    /// The same step with gaps in µs.
    pub fn with_gaps(self, min_gap_us: Option<i64>, max_gap_us: Option<i64>) -> StepRule {
        StepRule {
            min_gap_us,
            max_gap_us,
            ..self
        }
    }
}

/// How the steps relate in time (rule 10).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// Each step after the one before; other events may stand between.
    #[default]
    Ordered,
    /// As ordered, but no event in scope ([`crate::Row::in_scope`]) may stand strictly between the times of two consecutive
    /// required steps, save one that takes an optional step which lies between those two.
    Strict,
    /// Any order. Step k of an entry is then "k of n": the first instant at which k steps have an event each.
    Unordered {
        /// Whether step 1 must be the earliest event used.
        first_pinned: bool,
    },
}

/// What events of the same instant may do (rule 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Ties {
    /// They may be used in whatever order helps.
    #[default]
    AnyOrder,
    /// Each next required step demands a later time. Optional steps do not gate, so the same instant still counts for them.
    StrictIncrease,
}

/// Which entry speaks for a subject (rule 14).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Entries {
    /// The first entry of the range sets the clock; what any entry completes before the clock's end counts. One a subject.
    #[default]
    Cohort,
    /// Any entry of the range, each with a window of its own, may win: the furthest, then the earliest to complete, then the
    /// earliest. One a subject, which is open while its last entry's window runs and mature when its first one's is over.
    Best,
    /// After a conversion or the end of its window the next step-1 event (strictly later) begins the next entry. Each counts.
    All,
}

/// Events that may not stand between two steps (rule 11).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExclusionRule {
    /// Index of the step after which it holds.
    pub after: usize,
    /// Index of the step before which it holds; greater than `after`.
    pub before: usize,
}

/// What an excluded event does (rule 11).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnExclude {
    /// A chain cannot pass over it; another chain can still convert.
    #[default]
    Block,
    /// The entry does not count at all when one stands, inside the window, strictly after the step it holds after and strictly
    /// before the step it holds before (or before the window's end, when that one was not reached).
    DiscardSubject,
}

/// A funnel as it is asked for; [`Rules::new`] checks it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Spec {
    /// The steps, in order.
    pub steps: Vec<StepRule>,
    /// How many outcomes there are.
    pub outcomes: usize,
    /// The window's length, µs.
    pub window_us: i64,
    /// How the steps relate in time.
    pub order: Order,
    /// What events of the same instant may do.
    pub ties: Ties,
    /// Which entries count.
    pub entries: Entries,
    /// What may not stand between which steps.
    pub exclusions: Vec<ExclusionRule>,
    /// What it does if it does.
    pub on_exclude: OnExclude,
    /// How many fields are held constant (rule 13).
    pub held: usize,
}

/// Why rules were refused. Steps, outcomes and exclusions are numbered from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A funnel without steps.
    #[error("a funnel needs at least one step")]
    NoSteps,
    /// More steps than [`MAX_STEPS`].
    #[error("a funnel has at most {MAX_STEPS} steps, this one has {count}")]
    TooManySteps {
        /// How many were given.
        count: usize,
    },
    /// More outcomes than [`MAX_OUTCOMES`].
    #[error("a funnel has at most {MAX_OUTCOMES} outcomes, this one has {count}")]
    TooManyOutcomes {
        /// How many were given.
        count: usize,
    },
    /// More exclusions than [`MAX_EXCLUSIONS`].
    #[error("a funnel has at most {MAX_EXCLUSIONS} exclusions, this one has {count}")]
    TooManyExclusions {
        /// How many were given.
        count: usize,
    },
    /// More fields held constant than [`MAX_HELD`].
    #[error("a funnel holds at most {MAX_HELD} fields constant, this one {count}")]
    TooManyHeld {
        /// How many were given.
        count: usize,
    },
    /// The first step is optional.
    #[error("the first step begins the entry and cannot be optional")]
    OptionalFirst,
    /// The last step is optional.
    #[error("the last step is the conversion and cannot be optional")]
    OptionalLast,
    /// A window below zero.
    #[error("the window cannot be negative")]
    NegativeWindow,
    /// A gap below zero.
    #[error("the gap of step {step} cannot be negative")]
    NegativeGap {
        /// The step's index.
        step: usize,
    },
    /// A least gap above the greatest.
    #[error("the min_gap of step {step} is above its max_gap")]
    GapsCross {
        /// The step's index.
        step: usize,
    },
    /// A gap on the first step or on an optional one: neither has a previous step it is held to.
    #[error("step {step} cannot have a gap: gaps run between required steps")]
    GapWithoutPrevious {
        /// The step's index.
        step: usize,
    },
    /// An exclusion between steps that are not there, not in this order, or have no two required steps among them.
    #[error("exclusion {exclusion} does not lie between two required steps")]
    ExclusionOutside {
        /// The exclusion's index.
        exclusion: usize,
    },
    /// A rule that has no meaning when the order is free.
    #[error("an unordered funnel cannot have {what}")]
    NotUnordered {
        /// What it cannot have.
        what: &'static str,
    },
}

/// The checked rules of one question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    spec: Spec,
    /// Steps that the subject's provider cannot show.
    bypassed: u64,
    /// Indices of the required steps, in order. A *level* is an index into this.
    required: Vec<usize>,
    required_mask: u64,
    optional_mask: u64,
    has_gaps: bool,
    /// By exclusion, the levels it may not stand before: bit l between level l - 1 and level l. Empty when it discards.
    exclusion_blocks: Vec<u64>,
    /// In a strict funnel, by level, the optional steps that lie before it; empty in others.
    optional_before: Vec<u64>,
}

impl Rules {
    /// Checks the rules. A funnel of one step is allowed: every entry converts at once.
    ///
    /// # Errors
    /// Names the first rule that is broken.
    pub fn new(spec: Spec) -> Result<Rules, Error> {
        check_steps(&spec.steps)?;
        if spec.outcomes > MAX_OUTCOMES {
            let count = spec.outcomes;
            return Err(Error::TooManyOutcomes { count });
        }
        if spec.exclusions.len() > MAX_EXCLUSIONS {
            let count = spec.exclusions.len();
            return Err(Error::TooManyExclusions { count });
        }
        if spec.held > MAX_HELD {
            return Err(Error::TooManyHeld { count: spec.held });
        }
        if spec.window_us < 0 {
            return Err(Error::NegativeWindow);
        }
        check_unordered(&spec)?;
        let rules = Rules::without(spec, 0);
        let levels = rules.exclusion_levels();
        let is_outside = |(rule, levels): (&ExclusionRule, &u64)| {
            rule.before >= rules.steps().len() || *levels == 0
        };
        let mut exclusions = rules.spec.exclusions.iter().zip(&levels);
        match exclusions.position(is_outside) {
            Some(exclusion) => Err(Error::ExclusionOutside { exclusion }),
            None => Ok(rules),
        }
    }

    /// The same rules for a subject whose provider cannot show the steps of the mask (rule 12): they gate nothing, are never
    /// reached, and count as bypassed when a later step is reached. The first and the last step cannot be bypassed.
    /// In an unordered funnel, whose steps are "k of n", nothing is bypassed.
    pub fn bypassing(&self, unobservable: u64) -> Rules {
        if matches!(self.spec.order, Order::Unordered { .. }) {
            return self.clone();
        }
        let last = self.spec.steps.len() - 1;
        Rules::without(self.spec.clone(), unobservable & !1 & !(1 << last))
    }

    /// Rules of a spec that has been checked, without the steps of a mask.
    pub(crate) fn without(spec: Spec, bypassed: u64) -> Rules {
        let is = |step: usize, mask: u64| mask >> step & 1 == 1;
        let optional_mask = (0..spec.steps.len())
            .filter(|&step| spec.steps[step].optional && !is(step, bypassed))
            .fold(0, |mask, step| mask | 1 << step);
        let required: Vec<usize> = (0..spec.steps.len())
            .filter(|&step| !is(step, bypassed) && !is(step, optional_mask))
            .collect();
        let required_mask = required.iter().fold(0, |mask, &step| mask | 1 << step);
        let has_gaps = required.iter().any(|&step| {
            spec.steps[step].min_gap_us.is_some() || spec.steps[step].max_gap_us.is_some()
        });
        let mut rules = Rules {
            spec,
            bypassed,
            required,
            required_mask,
            optional_mask,
            has_gaps,
            exclusion_blocks: Vec::new(),
            optional_before: Vec::new(),
        };
        if rules.spec.on_exclude == OnExclude::Block {
            rules.exclusion_blocks = rules.exclusion_levels();
        }
        if rules.spec.order == Order::Strict {
            rules.optional_before = rules.optional_by_level();
        }
        rules
    }

    /// By exclusion, the levels between which it lies.
    fn exclusion_levels(&self) -> Vec<u64> {
        let between = |rule: &ExclusionRule| {
            (1..self.required.len())
                .filter(|&level| {
                    rule.after <= self.required[level - 1] && self.required[level] <= rule.before
                })
                .fold(0, |mask, level| mask | 1 << level)
        };
        self.spec.exclusions.iter().map(between).collect()
    }

    fn optional_by_level(&self) -> Vec<u64> {
        let below = |step: usize| (1_u64 << step) - 1;
        (0..self.required.len())
            .map(|level| match level {
                0 => 0,
                _ => {
                    self.optional_mask
                        & below(self.required[level])
                        & !below(self.required[level - 1])
                }
            })
            .collect()
    }

    /// The funnel as it was asked for.
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// The steps, in order.
    pub fn steps(&self) -> &[StepRule] {
        &self.spec.steps
    }

    /// How many outcomes there are.
    pub fn outcomes(&self) -> usize {
        self.spec.outcomes
    }

    /// The window's length, µs.
    pub fn window_us(&self) -> i64 {
        self.spec.window_us
    }

    /// How the steps relate in time.
    pub fn order(&self) -> Order {
        self.spec.order
    }

    /// What events of the same instant may do.
    pub fn ties(&self) -> Ties {
        self.spec.ties
    }

    /// Which entries count.
    pub fn entries(&self) -> Entries {
        self.spec.entries
    }

    /// How many fields are held constant.
    pub fn held(&self) -> usize {
        self.spec.held
    }

    /// The steps that count as bypassed when a later one is reached: bit i for step i.
    pub fn bypassed(&self) -> u64 {
        self.bypassed
    }

    /// The required step before `step`: what its rate and its time "from previous" are measured from. None for step 0.
    pub fn previous_required(&self, step: usize) -> Option<usize> {
        self.required.iter().rev().find(|&&r| r < step).copied()
    }

    /// Indices of the required steps, in order.
    pub fn required(&self) -> &[usize] {
        &self.required
    }

    pub(crate) fn required_mask(&self) -> u64 {
        self.required_mask
    }

    pub(crate) fn optional_mask(&self) -> u64 {
        self.optional_mask
    }

    /// The steps any of which begins an entry: bit i for step i.
    pub fn begins(&self) -> u64 {
        match self.spec.order {
            Order::Unordered {
                first_pinned: false,
            } => self.required_mask,
            _ => 1,
        }
    }

    /// Whether reaching a step earlier may be worse than reaching it later: gaps, or events that block.
    pub(crate) fn is_constrained(&self) -> bool {
        self.has_gaps || !self.exclusion_blocks.is_empty() || self.order() == Order::Strict
    }

    /// The levels of the required steps that `row` satisfies: bit l for level l.
    pub(crate) fn levels(&self, steps: u64) -> u64 {
        if self.required.len() == self.spec.steps.len() {
            return steps & self.required_mask;
        }
        let mut levels = 0;
        let mut left = steps & self.required_mask;
        while left != 0 {
            let step = left.trailing_zeros();
            levels |= 1 << (self.required_mask & ((1 << step) - 1)).count_ones();
            left &= left - 1;
        }
        levels
    }

    /// The levels that `row` may not stand before: bit l says that no chain passes over it between level l - 1 and level l.
    pub(crate) fn blocks(&self, row: &Row) -> u64 {
        let mut blocks = 0;
        if row.exclusions != 0 {
            for (exclusion, levels) in self.exclusion_blocks.iter().enumerate() {
                if row.exclusions >> exclusion & 1 == 1 {
                    blocks |= levels;
                }
            }
        }
        if row.in_scope && self.order() == Order::Strict {
            for (level, optional) in self.optional_before.iter().enumerate().skip(1) {
                blocks |= u64::from(row.steps & optional == 0) << level;
            }
        }
        blocks
    }

    /// Last instant inside the window of a clock, inclusive. Saturates: nothing happens after the end of time.
    pub(crate) fn last_us(&self, clock_us: i64) -> i64 {
        clock_us.saturating_add(self.spec.window_us)
    }
}

fn check_unordered(spec: &Spec) -> Result<(), Error> {
    if !matches!(spec.order, Order::Unordered { .. }) {
        return Ok(());
    }
    let gap = |step: &StepRule| step.min_gap_us.or(step.max_gap_us).is_some();
    let refused = [
        (spec.steps.iter().any(gap), "gaps"),
        (spec.steps.iter().any(|s| s.optional), "optional steps"),
        (!spec.exclusions.is_empty(), "exclusions"),
        (
            spec.ties == Ties::StrictIncrease,
            "strictly increasing times",
        ),
        (spec.held > 0, "fields held constant"),
    ];
    match refused.into_iter().find(|(has, _)| *has) {
        Some((_, what)) => Err(Error::NotUnordered { what }),
        None => Ok(()),
    }
}

fn check_steps(steps: &[StepRule]) -> Result<(), Error> {
    let (Some(first), Some(last)) = (steps.first(), steps.last()) else {
        return Err(Error::NoSteps);
    };
    if steps.len() > MAX_STEPS {
        return Err(Error::TooManySteps { count: steps.len() });
    }
    if first.optional {
        return Err(Error::OptionalFirst);
    }
    if last.optional {
        return Err(Error::OptionalLast);
    }
    steps
        .iter()
        .enumerate()
        .try_for_each(|(step, rule)| check_gaps(step, rule))
}

fn check_gaps(step: usize, rule: &StepRule) -> Result<(), Error> {
    let (min, max) = (rule.min_gap_us, rule.max_gap_us);
    if min.or(max).is_some() && (step == 0 || rule.optional) {
        return Err(Error::GapWithoutPrevious { step });
    }
    if min.is_some_and(|gap| gap < 0) || max.is_some_and(|gap| gap < 0) {
        return Err(Error::NegativeGap { step });
    }
    if let (Some(min), Some(max)) = (min, max)
        && min > max
    {
        return Err(Error::GapsCross { step });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(steps: Vec<StepRule>, outcomes: usize, window_us: i64) -> Result<Rules, Error> {
        Rules::new(Spec {
            steps,
            outcomes,
            window_us,
            ..Spec::default()
        })
    }

    #[test]
    fn limits_are_named_and_hold_at_their_edge() {
        let required = StepRule::required();
        assert!(rules(vec![required; 64], 32, 0).is_ok());
        assert_eq!(
            rules(vec![required; 65], 0, 0),
            Err(Error::TooManySteps { count: 65 })
        );
        assert_eq!(
            rules(vec![required], 33, 0),
            Err(Error::TooManyOutcomes { count: 33 })
        );
        assert_eq!(rules(vec![], 0, 0), Err(Error::NoSteps));
        assert_eq!(rules(vec![required], 0, -1), Err(Error::NegativeWindow));
        assert!(rules(vec![required], 0, i64::MAX).is_ok());
    }

    #[test]
    fn optional_steps_stand_between_required_ones() {
        let (required, optional) = (StepRule::required(), StepRule::optional());
        assert_eq!(
            rules(vec![optional, required], 0, 1),
            Err(Error::OptionalFirst)
        );
        assert_eq!(
            rules(vec![required, optional], 0, 1),
            Err(Error::OptionalLast)
        );
        let rules = rules(vec![required, optional, required], 0, 1).unwrap();
        assert_eq!(
            [0, 1, 2].map(|s| rules.previous_required(s)),
            [None, Some(0), Some(0)]
        );
    }

    #[test]
    fn gaps_run_between_required_steps_and_do_not_cross() {
        let (required, optional) = (StepRule::required(), StepRule::optional());
        let gap = |rule: StepRule, min, max| rule.with_gaps(min, max);
        let first = vec![gap(required, None, Some(1)), required];
        assert_eq!(
            rules(first, 0, 1),
            Err(Error::GapWithoutPrevious { step: 0 })
        );
        let middle = vec![required, gap(optional, Some(1), None), required];
        assert_eq!(
            rules(middle, 0, 1),
            Err(Error::GapWithoutPrevious { step: 1 })
        );
        let negative = vec![required, gap(required, Some(-1), None)];
        assert_eq!(rules(negative, 0, 1), Err(Error::NegativeGap { step: 1 }));
        let crossed = vec![required, gap(required, Some(2), Some(1))];
        assert_eq!(rules(crossed, 0, 1), Err(Error::GapsCross { step: 1 }));
        assert!(rules(vec![required, gap(required, Some(1), Some(1))], 0, 1).is_ok());
    }
}
