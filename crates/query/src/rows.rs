//! The columns of one batch as the rules of a question see them.

use arrow::array::{Array, RecordBatch, StringArray};
use datafusion::error::Result;
use linkfunnel_model::{Attribution, EventName, Field};
use linkfunnel_store::{EVENT_KEY, OCCURRED_AT, ROOT_KEY};

use crate::columns::{ABSENT, Cell, Interner, Source, codes, column, int64s, test, texts, words};
use crate::condition::Masks;
use crate::plan::{Plan, default_population};

/// The columns of a batch.
pub(crate) struct Rows<'b> {
    pub(crate) roots: &'b [i64],
    pub(crate) times: &'b [i64],
    pub(crate) event_keys: &'b [i64],
    seqs: (&'b [i64], &'b dyn Array),
    subjects: (&'b [i64], &'b dyn Array),
    pub(crate) steps: Vec<u64>,
    pub(crate) outcomes: Vec<u32>,
    pub(crate) exclusions: Vec<u32>,
    /// Whether it breaks a strict funnel whose scope is every event; empty otherwise.
    scope: Vec<bool>,
    /// Whether it says why a subject stopped; empty when not asked for.
    reasons: Vec<bool>,
    /// Verdict on environment and on traffic, where asked.
    population: Vec<Vec<bool>>,
    /// Per source, the code per row.
    pub(crate) values: Vec<Vec<u32>>,
    /// Per dimension, its source and which of its values counts.
    dimensions: Vec<(usize, Attribution)>,
    activity: Option<Vec<bool>>,
    ids: Option<(&'b StringArray, &'b StringArray)>,
}

impl<'b> Rows<'b> {
    pub(crate) fn read(
        plan: &Plan,
        batch: &'b RecordBatch,
        interner: &mut Interner,
    ) -> Result<Rows<'b>> {
        let masks: Masks = plan.matching.masks(batch)?;
        let mut population = Vec::new();
        if plan.population.live {
            population.push(population_test(batch, Field::Environment, "live")?);
        }
        if plan.population.human {
            population.push(population_test(batch, Field::Traffic, "human")?);
        }
        let values = plan
            .sources
            .iter()
            .map(|source| codes(batch, source, interner))
            .collect::<Result<_>>()?;
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
            Some(ignore) => named(batch, |word| !ignore.iter().any(|event| event == word))?,
            None => Vec::new(),
        };
        let reasons = match plan.reasons {
            Some(_) => named(batch, |word| EventName::parse(word).is_some_and(is_reason))?,
            None => Vec::new(),
        };
        let id = plan.id_kind().field().column();
        let ids = match plan.list {
            Some(_) => Some((texts(batch, id)?, texts(batch, Field::CompanyId.column())?)),
            None => None,
        };
        Ok(Rows {
            roots: int64s(batch, ROOT_KEY)?.0,
            times: int64s(batch, OCCURRED_AT)?.0,
            event_keys: int64s(batch, EVENT_KEY)?.0,
            seqs: int64s(batch, Field::Seq.column())?,
            subjects: int64s(batch, plan.id_kind().key_column())?,
            steps: masks.steps,
            outcomes: masks.outcomes,
            exclusions: masks.exclusions,
            scope,
            reasons,
            population,
            values,
            dimensions,
            activity,
            ids,
        })
    }

    pub(crate) fn is_in_population(&self, row: usize) -> bool {
        self.population.iter().all(|verdicts| verdicts[row])
    }

    pub(crate) fn subject(&self, row: usize) -> Option<i64> {
        self.subjects.1.is_valid(row).then(|| self.subjects.0[row])
    }

    /// Events without a sequence number come first.
    pub(crate) fn seq(&self, row: usize) -> i64 {
        if self.seqs.1.is_valid(row) {
            self.seqs.0[row]
        } else {
            i64::MIN
        }
    }

    pub(crate) fn is_activity(&self, row: usize) -> bool {
        self.activity.as_ref().is_some_and(|activity| activity[row])
    }

    /// Whether an event that matches nothing tells a value that counts.
    pub(crate) fn has_value(&self, row: usize) -> bool {
        self.dimensions.iter().any(|(source, attribution)| {
            self.values[*source][row] != ABSENT
                && match attribution {
                    Attribution::Entry | Attribution::Step(_) => false,
                    Attribution::First | Attribution::Last => true,
                    Attribution::Each => self.is_activity(row),
                }
        })
    }

    /// Whether it breaks a strict funnel when it stands between two of its steps.
    pub(crate) fn is_in_scope(&self, row: usize) -> bool {
        match self.scope.get(row) {
            Some(in_scope) => *in_scope,
            None => self.steps[row] != 0 || self.exclusions[row] != 0,
        }
    }

    /// Whether it says why a subject stopped.
    pub(crate) fn is_reason(&self, row: usize) -> bool {
        self.reasons.get(row).is_some_and(|is_reason| *is_reason)
    }

    /// Whether some rule of the question can use it.
    pub(crate) fn is_useful(&self, row: usize) -> bool {
        self.steps[row] != 0
            || self.exclusions[row] != 0
            || self.outcomes[row] != 0
            || self.is_in_scope(row)
            || self.is_reason(row)
            || self.has_value(row)
    }

    pub(crate) fn ids(&self, row: usize) -> Option<(String, Option<String>)> {
        let (ids, companies) = self.ids?;
        let text = |a: &StringArray| a.is_valid(row).then(|| a.value(row).to_owned());
        Some((text(ids).unwrap_or_default(), text(companies)))
    }
}

/// Absent counts like the default: `live` is filled in at intake, traffic may be unknown.
fn population_test(batch: &RecordBatch, field: Field, word: &str) -> Result<Vec<bool>> {
    let check = default_population(&[word]);
    test(batch, &Source::Field(field), |cell| {
        cell == Cell::None || check.holds(cell)
    })
}

/// Whether the name of each event is one of those meant.
fn named(batch: &RecordBatch, is_meant: impl Fn(&str) -> bool) -> Result<Vec<bool>> {
    let events = words(column(batch, Field::Event.column())?)?;
    let verdicts: Vec<bool> = (0..events.texts.len())
        .map(|code| events.text(code).is_some_and(&is_meant))
        .collect();
    Ok((0..batch.num_rows())
        .map(|row| events.code(row).is_some_and(|c| verdicts[c]))
        .collect())
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
fn is_activity(event: EventName) -> bool {
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
