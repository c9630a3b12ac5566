//! The columns of one batch as the rules of a question see them.

use arrow::array::{Array, RecordBatch, StringArray};
use datafusion::error::Result;
use linkfunnel_model::vocab::PrivacyBasis;
use linkfunnel_model::{Attribution, EventName, Field, IdKind, Subject, Ways};
use linkfunnel_store::{EVENT_KEY, OCCURRED_AT, ROOT_KEY, ROOT_KIND};

use crate::columns::{
    ABSENT, ByRow, Cell, Interner, Ints, Source, codes, column, int64s, test, texts,
};
use crate::condition::Masks;
use crate::membership::{self, FINDERS, Member, Membership, NO_HIT};
use crate::plan::{Plan, default_population};
use crate::study::Study;

/// How far is looked ahead in one instant.
const ROWS_AHEAD: usize = 64;

/// The columns of a batch.
pub(crate) struct Rows<'b> {
    pub(crate) roots: &'b [i64],
    pub(crate) times: &'b [i64],
    pub(crate) event_keys: &'b [i64],
    seqs: Ints<'b>,
    /// The ids that tell subjects apart; `None`: the root itself does.
    subjects: Option<Ints<'b>>,
    /// Whether the root is a company, named or found.
    of_company: ByRow<'b, bool>,
    /// Set when journeys have to be found.
    journeys: Option<JourneyColumns<'b>>,
    pub(crate) steps: Vec<u64>,
    pub(crate) outcomes: Vec<u32>,
    pub(crate) exclusions: Vec<u32>,
    /// Whether it breaks a strict funnel whose scope is every event.
    scope: Option<ByRow<'b, bool>>,
    /// Whether every event is of use.
    all: bool,
    /// Whether it says why a subject stopped, where that is asked.
    reasons: Option<ByRow<'b, bool>>,
    /// Whether it is of the population asked for, all of which must hold.
    population: Vec<ByRow<'b, bool>>,
    /// Per source, the code per row.
    pub(crate) values: Vec<ByRow<'b, u32>>,
    /// Per column of whole numbers of the plan.
    numbers: Vec<Ints<'b>>,
    /// Per dimension, its source and which of its values counts.
    dimensions: Vec<(usize, Attribution)>,
    activity: Option<ByRow<'b, bool>>,
    /// Whether some rule of the question can use it.
    useful: Vec<bool>,
    ids: Option<(&'b StringArray, &'b StringArray)>,
}

/// What the journeys of events are found by.
struct JourneyColumns<'b> {
    finders: [Ints<'b>; FINDERS.len()],
    /// Code of the category, [`ABSENT`] when unknown.
    categories: Vec<u32>,
    is_exempt: Vec<bool>,
    is_activity: Vec<bool>,
}

impl<'b> JourneyColumns<'b> {
    fn read(batch: &'b RecordBatch, interner: &mut Interner) -> Result<Self> {
        let [attempt, connection, invite] = FINDERS.map(|kind| int64s(batch, kind.key_column()));
        let categories = codes(batch, &Source::Field(Field::Category), interner)?;
        let mut categories = categories.into_rows();
        let unknown = interner.code(membership::UNKNOWN);
        for category in &mut categories {
            if *category == unknown {
                *category = ABSENT;
            }
        }
        let basis = Source::Field(Field::PrivacyBasis);
        let exempt = Cell::Text(PrivacyBasis::ExemptAudience.as_str());
        Ok(JourneyColumns {
            finders: [attempt?, connection?, invite?],
            categories,
            is_exempt: test(batch, &basis, |cell| cell == exempt)?,
            is_activity: named(batch, |word| {
                EventName::parse(word).is_some_and(membership::is_activity)
            })?
            .into_rows(),
        })
    }
}

impl<'b> Rows<'b> {
    pub(crate) fn read(
        plan: &Plan,
        membership: &Membership,
        batch: &'b RecordBatch,
        interner: &mut Interner,
    ) -> Result<Rows<'b>> {
        let mut masks: Masks = plan.matching.masks(batch)?;
        if plan.starts_at_exposure() {
            // no event takes the step that exposure is
            masks.steps.iter_mut().for_each(|steps| *steps &= !1);
        }
        let values = plan
            .sources
            .iter()
            .map(|source| codes(batch, source, interner))
            .collect::<Result<Vec<_>>>()?;
        let dimensions = plan.dimensions.iter().map(|d| (d.source, d.attribution));
        let dimensions: Vec<(usize, Attribution)> = dimensions.collect();
        let is_chosen = |(_, attribution): &(usize, Attribution)| *attribution == Attribution::Each;
        let activity = match dimensions.iter().any(is_chosen) {
            true => Some(named(batch, |word| {
                EventName::parse(word).is_some_and(is_activity)
            })?),
            false => None,
        };
        let scope = match &plan.scope_all {
            Some(ignore) => Some(named(batch, |word| {
                !ignore.iter().any(|event| event == word)
            })?),
            None => None,
        };
        let reasons = match plan.reasons {
            Some(_) => Some(named(batch, |word| {
                EventName::parse(word).is_some_and(is_reason)
            })?),
            None => None,
        };
        let id = plan.id_kind().field().column();
        let ids = match plan.list {
            Some(_) => Some((texts(batch, id)?, texts(batch, Field::CompanyId.column())?)),
            None => None,
        };
        let mut rows = Rows {
            roots: int64s(batch, ROOT_KEY)?.values,
            times: int64s(batch, OCCURRED_AT)?.values,
            event_keys: int64s(batch, EVENT_KEY)?.values,
            seqs: int64s(batch, Field::Seq.column())?,
            subjects: match plan.subject {
                Subject::Company => None,
                _ => Some(int64s(batch, plan.id_kind().key_column())?),
            },
            of_company: verdicts(batch, ROOT_KIND, |word| word == IdKind::Company.as_str())?,
            journeys: match membership {
                Membership::Found(_) => Some(JourneyColumns::read(batch, interner)?),
                Membership::Named | Membership::Hoped => None,
            },
            steps: masks.steps,
            outcomes: masks.outcomes,
            exclusions: masks.exclusions,
            scope,
            all: plan.study.as_ref().is_some_and(Study::reads_every_event),
            reasons,
            population: population(plan, batch)?,
            values,
            numbers: plan
                .numbers
                .iter()
                .map(|column| int64s(batch, column))
                .collect::<Result<_>>()?,
            dimensions,
            activity,
            useful: Vec::new(),
            ids,
        };
        rows.useful = rows.find_useful();
        Ok(rows)
    }

    /// Whether some rule of the question can use each row.
    fn find_useful(&self) -> Vec<bool> {
        if self.all {
            return vec![true; self.roots.len()];
        }
        let masks = self.steps.iter().zip(&self.outcomes).zip(&self.exclusions);
        let matches = |((steps, outcomes), exclusions): ((&u64, &u32), &u32)| {
            *steps != 0 || *outcomes != 0 || *exclusions != 0
        };
        let mut useful: Vec<bool> = masks.map(matches).collect();
        for also in self.scope.iter().chain(&self.reasons) {
            also.for_each(|row, is| useful[row] |= is);
        }
        for (source, attribution) in &self.dimensions {
            let codes = &self.values[*source];
            match attribution {
                Attribution::Entry | Attribution::Step(_) => {}
                Attribution::First | Attribution::Last => {
                    codes.for_each(|row, code| useful[row] |= code != ABSENT);
                }
                Attribution::Each => codes.for_each(|row, code| {
                    useful[row] |= code != ABSENT && self.is_activity(row);
                }),
            }
        }
        useful
    }

    pub(crate) fn is_in_population(&self, row: usize) -> bool {
        self.population.iter().all(|counts| counts.get(row))
    }

    /// The subject an event belongs to by the ids it names, or by its root.
    pub(crate) fn subject(&self, row: usize) -> Option<i64> {
        match self.subjects {
            Some(subjects) => subjects.get(row),
            None => self.is_of_company(row).then(|| self.roots[row]),
        }
    }

    /// Whether the root of an event is a company, named or found.
    pub(crate) fn is_of_company(&self, row: usize) -> bool {
        self.of_company.get(row)
    }

    /// An event as membership sees it; `None` when it serves nothing there and counts nowhere.
    pub(crate) fn member(&self, row: usize, ways: &Ways, hit: Option<u32>) -> Option<Member> {
        let columns = self.journeys.as_ref()?;
        let named = self.subject(row);
        let is_activity = columns.is_activity[row];
        if hit.is_none() && named.is_none() && !is_activity {
            return None;
        }
        let find = |keys: &Ints<'_>| Some(ways.find(keys.get(row)?)?.key);
        let found = match named.is_none() && !columns.is_exempt[row] {
            true => columns.finders.iter().find_map(find),
            false => None,
        };
        Some(Member {
            at_us: self.times[row],
            seq: self.seq(row),
            event_key: self.event_keys[row],
            named,
            found,
            category: columns.categories[row],
            is_activity,
            hit: hit.unwrap_or(NO_HIT),
        })
    }

    /// Events without a sequence number come first.
    pub(crate) fn seq(&self, row: usize) -> i64 {
        self.seqs.get(row).unwrap_or(i64::MIN)
    }

    pub(crate) fn is_activity(&self, row: usize) -> bool {
        self.activity
            .as_ref()
            .is_some_and(|activity| activity.get(row))
    }

    /// Whether an event is useful for the first value of some dimension alone.
    pub(crate) fn is_for_first_values(&self, row: usize) -> bool {
        let other = |(source, attribution): &(usize, Attribution)| {
            self.values[*source].get(row) != ABSENT
                && match attribution {
                    Attribution::Last => true,
                    Attribution::Each => self.is_activity(row),
                    Attribution::Entry | Attribution::First | Attribution::Step(_) => false,
                }
        };
        !self.all
            && self.steps[row] == 0
            && self.outcomes[row] == 0
            && self.exclusions[row] == 0
            && !self.is_in_scope(row)
            && !self.is_reason(row)
            && !self.dimensions.iter().any(other)
    }

    /// Whether a later row of the same root and instant may take one of these steps; what is in the next batch, or far behind,
    /// may.
    pub(crate) fn may_begin_at(&self, row: usize, steps: u64) -> bool {
        let instant = |at: usize| (self.roots[at], self.times[at]);
        let mut later = (row + 1..self.roots.len()).take(ROWS_AHEAD);
        later
            .find(|&at| instant(at) != instant(row) || self.steps[at] & steps != 0)
            .is_none_or(|at| instant(at) == instant(row))
    }

    /// Whether it breaks a strict funnel when it stands between two of its steps.
    pub(crate) fn is_in_scope(&self, row: usize) -> bool {
        match &self.scope {
            Some(in_scope) => in_scope.get(row),
            None => self.steps[row] != 0 || self.exclusions[row] != 0,
        }
    }

    /// Whether it says why a subject stopped.
    pub(crate) fn is_reason(&self, row: usize) -> bool {
        self.reasons
            .as_ref()
            .is_some_and(|is_reason| is_reason.get(row))
    }

    /// Whether some rule of the question can use it.
    pub(crate) fn is_useful(&self, row: usize) -> bool {
        self.useful[row]
    }

    /// The company an event names, where subjects are listed.
    pub(crate) fn company(&self, row: usize) -> Option<&'b str> {
        let (_, companies) = self.ids?;
        companies.is_valid(row).then(|| companies.value(row))
    }

    /// The plan's whole numbers of an event.
    pub(crate) fn numbers(&self, row: usize) -> impl Iterator<Item = Option<i64>> {
        self.numbers.iter().map(move |numbers| numbers.get(row))
    }

    pub(crate) fn ids(&self, row: usize) -> Option<(String, Option<String>)> {
        let (ids, companies) = self.ids?;
        let text = |a: &StringArray| a.is_valid(row).then(|| a.value(row).to_owned());
        Some((text(ids).unwrap_or_default(), text(companies)))
    }
}

/// Whether each event is live and whether it is human, where that is asked.
fn population<'b>(plan: &Plan, batch: &'b RecordBatch) -> Result<Vec<ByRow<'b, bool>>> {
    let live = plan.population.live.then_some((Field::Environment, "live"));
    let human = plan.population.human.then_some((Field::Traffic, "human"));
    let meant = live.into_iter().chain(human);
    meant
        .map(|(field, word)| {
            let check = default_population(&[word]);
            // Absent counts like the default: `live` is filled in at intake, traffic may be unknown.
            let counts = |word: &str| check.holds(Cell::Text(word));
            ByRow::of_words(column(batch, field.column())?, true, counts)
        })
        .collect()
}

/// Whether the name of each event is one of those meant.
fn named<'b>(batch: &'b RecordBatch, is_meant: impl Fn(&str) -> bool) -> Result<ByRow<'b, bool>> {
    verdicts(batch, Field::Event.column(), is_meant)
}

/// Whether each row has a word of those meant.
fn verdicts<'b>(
    batch: &'b RecordBatch,
    name: &str,
    is_meant: impl Fn(&str) -> bool,
) -> Result<ByRow<'b, bool>> {
    ByRow::of_words(column(batch, name)?, false, is_meant)
}

/// Whether an event is an error, a denial or an exit: what a dropped subject's reason is read from (semantics rule 20).
fn is_reason(event: EventName) -> bool {
    use EventName as E;
    matches!(
        event,
        E::AttemptErrored
            | E::AttemptFailed
            | E::AttemptExited
            | E::ProviderNotFound
            | E::ProviderUnavailable
            | E::ConsentDenied
            | E::InviteDeliveryFailed
            | E::InviteExpired
            | E::CtaDismissed
            | E::PaymentAttemptFailed
            | E::PaymentFailed
            | E::PaymentLinkExpired
            | E::PaymentLinkRevoked
            | E::SyncFailed
            | E::WriteFailed
            | E::IdentityCheckFailed
            | E::ObjectionRecorded
    )
}

/// Whether an event belongs to what a person does on the way (domain.md 3.3: groups Journey and
/// Attempt), so that its integration counts as chosen; an hourly sync's does not.
pub(crate) fn is_activity(event: EventName) -> bool {
    use EventName as E;
    matches!(
        event,
        E::JourneyStarted
            | E::StepViewed
            | E::StepCompleted
            | E::StepSkipped
            | E::JourneyPaused
            | E::JourneyDelegated
            | E::JourneyResumed
            | E::ExitPrompted
            | E::ExitDeclined
            | E::JourneyCompleted
            | E::AttemptOpened
            | E::ProviderSearched
            | E::ProviderNotFound
            | E::ProviderUnavailable
            | E::ProviderSelected
            | E::ConsentViewed
            | E::ConsentGranted
            | E::ConsentDenied
            | E::HandoffStarted
            | E::CredentialsSubmitted
            | E::ScaChallenged
            | E::ScaPassed
            | E::HandoffReturned
            | E::AccountSelected
            | E::EntityMismatchWarned
            | E::AttemptErrored
            | E::AttemptFailed
            | E::AttemptExited
            | E::ConnectionLinked
            | E::FileUploaded
            | E::ManualEntered
    )
}
