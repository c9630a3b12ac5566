//! Which journey an event belongs to (semantics rule 2).
//!
//! The one it names; else the one its attempt, connection or invite leads to; else the root's journey
//! of a fitting category whose latest naming event lies at most a day before it, the latest such; else
//! a derived one.
//!
//! Derived journeys are runs of activity events, root by root and category by category, with no gap
//! over a day. An event of unknown category fits any: it belongs to the run of the latest event of a
//! known category at most a day before it, without holding that run together; else it waits in a run
//! without a category, which becomes that of the first known category within a day. Other events never
//! begin or bridge a run; they belong to the fitting one with the latest activity at most a day before.
//! A derived journey is named by its root and by the category and time of its first event. Of a run
//! that began earlier than a day before the range, the first event within that day stands for it: the
//! counts are the same for any range, the shown id is not. (An event of that day itself is judged by
//! that day alone; if it belonged to a journey named still earlier, an event after it that is no
//! activity, or of no known category, may be counted with it.)
//!
//! Whether two categories fit is judged by the events of the last day alone, so a day before the range
//! is all that has to be read. Those events serve membership only.
//!
//! Most roots never come here: where each event that a rule can use names its journey, nothing more
//! is read ([`Membership::Hoped`]). The others are read again, and only they.

use std::sync::Arc;

use linkfunnel_model::{EventName, Field, IdKind, Subject, Ways, derived_journey_key};

use crate::columns::ABSENT;

/// How long before an event its journey may last have been active, in µs.
pub(crate) const DAY_US: i64 = 86_400_000_000;

/// How events find their subjects.
#[derive(Debug, Clone)]
pub(crate) enum Membership {
    /// By an id they name.
    Named,
    /// By the journey they name, in the hope that every event that matters names one.
    Hoped,
    /// By all of rule 2, given where ids lead.
    Found(Arc<Ways>),
}

/// Events that matter name no journey under many roots: the question has to be asked again, with
/// [`Membership::Found`].
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("some events name no journey")]
pub(crate) struct NeedsMembership;

impl Membership {
    /// What to begin with.
    pub(crate) fn at_first(subject: Subject) -> Membership {
        match subject {
            Subject::Journey => Membership::Hoped,
            _ => Membership::Named,
        }
    }

    /// The earliest instant (µs) to be read for a range that begins at `from_us`.
    pub(crate) fn earliest_us(&self, from_us: i64) -> i64 {
        match self {
            Membership::Found(_) => from_us.saturating_sub(DAY_US),
            Membership::Named | Membership::Hoped => from_us,
        }
    }

    /// Columns read for it.
    pub(crate) fn columns(&self) -> Vec<&'static str> {
        match self {
            Membership::Found(_) => {
                let keys = FINDERS.iter().map(|kind| kind.key_column());
                let fields = [Field::Category, Field::PrivacyBasis];
                keys.chain(fields.map(|field| field.column())).collect()
            }
            Membership::Named | Membership::Hoped => Vec::new(),
        }
    }
}

/// The ids that lead to a journey, the first that does decides.
pub(crate) const FINDERS: [IdKind; 3] = [IdKind::Attempt, IdKind::Connection, IdKind::Invite];

/// One event of a root, as membership sees it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Member {
    pub(crate) at_us: i64,
    pub(crate) seq: i64,
    pub(crate) event_key: i64,
    /// The journey it names.
    pub(crate) named: Option<i64>,
    /// The journey its ids lead to.
    pub(crate) found: Option<i64>,
    /// Code of its category, [`ABSENT`] when unknown.
    pub(crate) category: u32,
    pub(crate) is_activity: bool,
    /// Which of the events that count it is, [`NO_HIT`] when it serves membership only.
    pub(crate) hit: u32,
}

/// An event that serves membership only.
pub(crate) const NO_HIT: u32 = u32::MAX;

impl Member {
    fn place(&self) -> Place {
        (self.at_us, self.seq, self.event_key)
    }
}

/// Place in the order of a root's events.
type Place = (i64, i64, i64);

/// Where no event is.
const NOWHERE: Place = (i64::MIN, i64::MIN, i64::MIN);

/// Whether an instant lies at most a day before another.
fn within_a_day(earlier_us: i64, later_us: i64) -> bool {
    earlier_us > i64::MIN && later_us.saturating_sub(earlier_us) <= DAY_US
}

/// A journey that some event of the last day names.
struct Named {
    journey: i64,
    last: Place,
    /// When it was last named together with a known category, and with which when.
    last_known_us: i64,
    by_category: Vec<(u32, i64)>,
}

impl Named {
    fn fits(&self, category: u32, at_us: i64) -> bool {
        let same =
            |(code, last_us): &(u32, i64)| *code == category && within_a_day(*last_us, at_us);
        category == ABSENT
            || !within_a_day(self.last_known_us, at_us)
            || self.by_category.iter().any(same)
    }
}

/// A derived journey.
struct Run {
    journey: i64,
    /// [`ABSENT`] until an event of a known category joins.
    category: u32,
    /// Its last activity event, and the last one that names its category.
    last: Place,
    last_known: Place,
}

/// The journeys of one root while its events pass by in order.
#[derive(Default)]
pub(crate) struct Journeys {
    named: Vec<Named>,
    runs: Vec<Run>,
}

/// How an event's category is called, for the key of a derived journey.
pub(crate) type CategoryWord<'a> = dyn Fn(u32) -> Option<&'a str> + 'a;

impl Journeys {
    /// Gives each member the journey it belongs to: `give(member, journey, whether it is derived)`.
    /// Members are put in order.
    pub(crate) fn assign(
        &mut self,
        root: i64,
        members: &mut [Member],
        category: &CategoryWord<'_>,
        mut give: impl FnMut(&Member, i64, bool),
    ) {
        self.named.clear();
        self.runs.clear();
        members.sort_unstable_by_key(Member::place);
        for instant in members.chunk_by(|a, b| a.at_us == b.at_us) {
            self.forget(instant[0].at_us);
            for member in instant {
                if let Some(journey) = member.named {
                    self.name(journey, member);
                    give(member, journey, false);
                } else if let Some(journey) = member.found {
                    give(member, journey, false);
                }
            }
            let is_loose = |m: &&Member| m.named.is_none() && m.found.is_none();
            // what happens at an instant may belong to what else does, whatever the order
            let (acting, others): (Vec<&Member>, Vec<&Member>) =
                instant.iter().filter(is_loose).partition(|m| m.is_activity);
            for member in acting {
                match self.fitting_name(member) {
                    Some(journey) => give(member, journey, false),
                    None => give(member, self.act(root, member, category), true),
                }
            }
            for member in others {
                if let Some(journey) = self.fitting_name(member) {
                    give(member, journey, false);
                } else if let Some(journey) = self.fitting_run(member) {
                    give(member, journey, true);
                }
            }
        }
    }

    /// Lets go of what ended more than a day ago.
    fn forget(&mut self, now_us: i64) {
        self.named
            .retain(|named| within_a_day(named.last.0, now_us));
        self.runs.retain(|run| within_a_day(run.last.0, now_us));
    }

    fn name(&mut self, journey: i64, member: &Member) {
        let at = self.named.iter().position(|n| n.journey == journey);
        let at = at.unwrap_or_else(|| {
            self.named.push(Named {
                journey,
                last: NOWHERE,
                last_known_us: i64::MIN,
                by_category: Vec::new(),
            });
            self.named.len() - 1
        });
        let named = &mut self.named[at];
        named.last = member.place();
        if member.category != ABSENT {
            named.last_known_us = member.at_us;
            let known = named.by_category.iter_mut();
            match known.into_iter().find(|(code, _)| *code == member.category) {
                Some((_, last_us)) => *last_us = member.at_us,
                None => named.by_category.push((member.category, member.at_us)),
            }
        }
    }

    /// The journey that was named last, of those that fit.
    fn fitting_name(&self, member: &Member) -> Option<i64> {
        let fits = |named: &&Named| named.fits(member.category, member.at_us);
        let latest = self
            .named
            .iter()
            .filter(fits)
            .max_by_key(|named| named.last);
        latest.map(|named| named.journey)
    }

    /// The run that an activity event belongs to; it may begin one.
    fn act(&mut self, root: i64, member: &Member, category: &CategoryWord<'_>) -> i64 {
        let is_known = member.category != ABSENT;
        let near = |run: &&mut Run| {
            let fits = !is_known || run.category == member.category;
            run.category != ABSENT && fits && within_a_day(run.last_known.0, member.at_us)
        };
        let latest = self.runs.iter_mut().filter(near);
        let run = match latest.max_by_key(|run| run.last_known) {
            Some(run) => Some(run),
            None => self.runs.iter_mut().find(|run| run.category == ABSENT),
        };
        if let Some(run) = run {
            run.last = member.place();
            if is_known {
                run.category = member.category;
                run.last_known = member.place();
            }
            return run.journey;
        }
        let word = category(member.category).unwrap_or(UNKNOWN);
        let journey = derived_journey_key(root, word, member.at_us);
        self.runs.push(Run {
            journey,
            category: member.category,
            last: member.place(),
            last_known: if is_known { member.place() } else { NOWHERE },
        });
        journey
    }

    /// The run with the latest activity, of those that fit.
    fn fitting_run(&self, member: &Member) -> Option<i64> {
        let fits = |run: &&Run| {
            [run.category, member.category].contains(&ABSENT) || run.category == member.category
        };
        let latest = self.runs.iter().filter(fits).max_by_key(|run| run.last);
        latest.map(|run| run.journey)
    }
}

/// The category of events that name none.
pub(crate) const UNKNOWN: &str = linkfunnel_model::vocab::Category::Unknown.as_str();

/// How a derived journey is shown.
pub(crate) fn derived_id(journey: i64) -> String {
    format!("derived-{:016x}", journey.cast_unsigned())
}

/// The key of a derived journey, from how it is shown.
pub(crate) fn derived_key(id: &str) -> Option<i64> {
    let digits = id.strip_prefix("derived-").filter(|d| d.len() == 16)?;
    let key = u64::from_str_radix(digits, 16).ok()?.cast_signed();
    (derived_id(key) == id).then_some(key)
}

/// Whether an event is activity, so that it may begin a derived journey (domain.md 3.3: groups
/// Invitation, Prompt, Journey, Attempt, Human).
pub(crate) fn is_activity(event: EventName) -> bool {
    use EventName as E;
    crate::rows::is_activity(event)
        || matches!(
            event,
            E::InviteCreated
                | E::InviteSent
                | E::InviteDelivered
                | E::InviteDeliveryFailed
                | E::InviteOpened
                | E::InviteClicked
                | E::InviteExpired
                | E::InviteReused
                | E::CtaShown
                | E::CtaClicked
                | E::CtaDismissed
                | E::HelpOpened
                | E::GuideViewed
                | E::CallBooked
                | E::CallHeld
                | E::SupportContacted
                | E::ObjectionRecorded
        )
}
