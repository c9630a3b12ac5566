//! The integers of effort: of one segment, of the matured alone. They merge in any order.

use std::collections::BTreeMap;

use linkfunnel_funnel::Histogram;

/// Counts above this are counted as this.
pub const MAX_COUNT: u64 = 1_000;
/// Advised: at most so many clicks inside a journey (S0-06).
pub const ADVISED_CLICKS: u64 = 6;
/// Promised: one minute (S0-07), in µs.
pub const PROMISED_US: u64 = 60_000_000;
/// Advised: at most so many actions before the first prompt (S2-03).
pub const ADVISED_ACTIONS: u64 = 3;

/// A count by subject, apart for those that linked and those that did not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Counted {
    /// Count → subjects.
    pub(crate) linked: BTreeMap<u64, u64>,
    pub(crate) not_linked: BTreeMap<u64, u64>,
}

/// A time by subject, apart for those that linked and those that did not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Timed {
    pub(crate) linked: Histogram,
    pub(crate) not_linked: Histogram,
    /// Those within what was promised, exactly.
    pub(crate) linked_within: u64,
    pub(crate) not_linked_within: u64,
}

/// Whether the time needed was announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Announced {
    Shown,
    NotShown,
    Unknown,
}

/// What one journey took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct JourneyFacts {
    pub(crate) linked: bool,
    pub(crate) clicks: u64,
    /// Whether the clicks are those that the client counted.
    pub(crate) is_clicks_counted: bool,
    /// `None` where no step with an index was viewed.
    pub(crate) back_steps: Option<u64>,
    pub(crate) active_us: u64,
    /// Whether the time is the one that the client counted.
    pub(crate) is_active_counted: bool,
    pub(crate) idle_us: u64,
    pub(crate) announced: Announced,
}

/// What came before a company's first prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PromptFacts {
    pub(crate) linked: bool,
    /// `None` where there was none.
    pub(crate) prompt: Option<Prompt>,
    pub(crate) session: Session,
}

/// What came before the first prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Prompt {
    pub(crate) actions: u64,
    /// Whether the actions are those that the client counted.
    pub(crate) is_counted: bool,
    pub(crate) delay_us: u64,
}

/// In which session a company linked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Session {
    First,
    Later,
    /// An event without session id.
    Unknown,
    NotLinked,
}

/// What was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Facts {
    Journey(JourneyFacts),
    Prompt(PromptFacts),
}

/// The effort of the matured subjects of one segment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Effort {
    pub(crate) clicks: Counted,
    /// Subjects whose clicks their clients counted; the others' are actions told by events.
    pub(crate) clicks_counted: u64,
    pub(crate) clicks_from_events: u64,
    /// The same of active time.
    pub(crate) active_counted: u64,
    pub(crate) active_from_events: u64,
    pub(crate) back_steps: Counted,
    /// By [`Announced`].
    pub(crate) active: [Timed; 3],
    pub(crate) idle: Timed,
    pub(crate) actions: Counted,
    /// The same of actions.
    pub(crate) actions_counted: u64,
    pub(crate) actions_from_events: u64,
    pub(crate) delay: Timed,
    pub(crate) never_prompted: u64,
    /// By [`Session`].
    pub(crate) sessions: [u64; 4],
}

impl Counted {
    fn add(&mut self, linked: bool, count: u64) {
        let side = if linked {
            &mut self.linked
        } else {
            &mut self.not_linked
        };
        *side.entry(count.min(MAX_COUNT)).or_default() += 1;
    }

    fn merge(&mut self, other: &Counted) {
        for (mine, more) in [
            (&mut self.linked, &other.linked),
            (&mut self.not_linked, &other.not_linked),
        ] {
            for (count, subjects) in more {
                *mine.entry(*count).or_default() += subjects;
            }
        }
    }
}

impl Timed {
    fn add(&mut self, linked: bool, time_us: u64) {
        let within = u64::from(time_us <= PROMISED_US);
        if linked {
            self.linked.update(time_us);
            self.linked_within += within;
        } else {
            self.not_linked.update(time_us);
            self.not_linked_within += within;
        }
    }

    fn merge(&mut self, other: &Timed) {
        self.linked.merge(&other.linked);
        self.not_linked.merge(&other.not_linked);
        self.linked_within += other.linked_within;
        self.not_linked_within += other.not_linked_within;
    }
}

impl Effort {
    /// Counts one matured subject.
    pub(crate) fn update(&mut self, facts: &Facts) {
        match facts {
            Facts::Journey(journey) => self.update_journey(journey),
            Facts::Prompt(prompt) => self.update_prompt(prompt),
        }
    }

    fn update_journey(&mut self, journey: &JourneyFacts) {
        self.clicks.add(journey.linked, journey.clicks);
        self.clicks_counted += u64::from(journey.is_clicks_counted);
        self.clicks_from_events += u64::from(!journey.is_clicks_counted);
        self.active_counted += u64::from(journey.is_active_counted);
        self.active_from_events += u64::from(!journey.is_active_counted);
        if let Some(back_steps) = journey.back_steps {
            self.back_steps.add(journey.linked, back_steps);
        }
        self.active[journey.announced as usize].add(journey.linked, journey.active_us);
        self.idle.add(journey.linked, journey.idle_us);
    }

    fn update_prompt(&mut self, prompt: &PromptFacts) {
        match prompt.prompt {
            Some(before) => {
                self.actions.add(prompt.linked, before.actions);
                self.actions_counted += u64::from(before.is_counted);
                self.actions_from_events += u64::from(!before.is_counted);
                self.delay.add(prompt.linked, before.delay_us);
            }
            None => self.never_prompted += 1,
        }
        self.sessions[prompt.session as usize] += 1;
    }

    /// Adds the subjects of another partition or segment.
    pub(crate) fn merge(&mut self, other: &Effort) {
        self.clicks.merge(&other.clicks);
        self.clicks_counted += other.clicks_counted;
        self.clicks_from_events += other.clicks_from_events;
        self.active_counted += other.active_counted;
        self.active_from_events += other.active_from_events;
        self.actions_counted += other.actions_counted;
        self.actions_from_events += other.actions_from_events;
        self.back_steps.merge(&other.back_steps);
        for (mine, more) in self.active.iter_mut().zip(&other.active) {
            mine.merge(more);
        }
        self.idle.merge(&other.idle);
        self.actions.merge(&other.actions);
        self.delay.merge(&other.delay);
        self.never_prompted += other.never_prompted;
        for (mine, more) in self.sessions.iter_mut().zip(other.sessions) {
            *mine += more;
        }
    }
}
