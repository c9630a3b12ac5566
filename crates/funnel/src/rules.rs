//! The rules of one funnel question, checked once and then trusted.

/// Most steps of a funnel; a step is a bit of [`crate::Row::steps`].
pub const MAX_STEPS: usize = 64;

/// Most outcomes of a funnel; an outcome is a bit of [`crate::Row::outcomes`].
pub const MAX_OUTCOMES: usize = 32;

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
    /// After a conversion or the end of its window the next step-1 event (strictly later) begins the next entry. Each counts.
    All,
}

/// Why rules were refused. Steps and outcomes are numbered from 0.
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
}

/// The checked rules of one question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    steps: Vec<StepRule>,
    /// Indices of the required steps, in order. A *level* is an index into this.
    required: Vec<usize>,
    required_mask: u64,
    has_gaps: bool,
    outcomes: usize,
    window_us: i64,
    ties: Ties,
    entries: Entries,
}

impl Rules {
    /// Checks the rules. A funnel of one step is allowed: every entry converts at once.
    ///
    /// # Errors
    /// Names the first rule that is broken.
    pub fn new(
        steps: Vec<StepRule>,
        outcomes: usize,
        window_us: i64,
        ties: Ties,
        entries: Entries,
    ) -> Result<Rules, Error> {
        check_steps(&steps)?;
        if outcomes > MAX_OUTCOMES {
            return Err(Error::TooManyOutcomes { count: outcomes });
        }
        if window_us < 0 {
            return Err(Error::NegativeWindow);
        }
        let required: Vec<usize> = (0..steps.len()).filter(|&i| !steps[i].optional).collect();
        let required_mask = required.iter().fold(0, |mask, &step| mask | 1 << step);
        let has_gaps = steps
            .iter()
            .any(|s| s.min_gap_us.is_some() || s.max_gap_us.is_some());
        Ok(Rules {
            steps,
            required,
            required_mask,
            has_gaps,
            outcomes,
            window_us,
            ties,
            entries,
        })
    }

    /// The steps, in order.
    pub fn steps(&self) -> &[StepRule] {
        &self.steps
    }

    /// How many outcomes there are.
    pub fn outcomes(&self) -> usize {
        self.outcomes
    }

    /// The window's length, µs.
    pub fn window_us(&self) -> i64 {
        self.window_us
    }

    /// What events of the same instant may do.
    pub fn ties(&self) -> Ties {
        self.ties
    }

    /// Which entries count.
    pub fn entries(&self) -> Entries {
        self.entries
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

    pub(crate) fn has_gaps(&self) -> bool {
        self.has_gaps
    }

    pub(crate) fn has_optional(&self) -> bool {
        self.required.len() < self.steps.len()
    }

    /// Last instant inside the window of a clock, inclusive. Saturates: nothing happens after the end of time.
    pub(crate) fn last_us(&self, clock_us: i64) -> i64 {
        clock_us.saturating_add(self.window_us)
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
        Rules::new(steps, outcomes, window_us, Ties::AnyOrder, Entries::Cohort)
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
