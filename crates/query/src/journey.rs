//! One subject, explained: `linkfunnel journey`, `GET /api/v1/journeys/{id}` (semantics rule 21).
//!
//! Asked in two passes: which roots hold the id ([`crate::lookup`]); then the whole rows of those roots, through the same
//! machinery that counts them, with a judge that keeps the one subject instead ([`crate::gather`]).

use linkfunnel_funnel::{Block, Explained, State, Why};
use linkfunnel_model::{
    EARLIEST_US, Field, FunnelDefinition, FunnelQuestion, FunnelRef, Include, Range, Subject,
    instant_text,
};

use crate::engine::{Engine, ms};
use crate::error::{Error, Result};
use crate::funnel::count;
use crate::gather::{Gathered, Shown};
use crate::journey_answer::{
    Because, BlockedBy, EntryAnswer, EventAnswer, EventReason, EventRef, ExplanationAnswer,
    FunnelTold, IntegrationNamed, JourneyAnswer, JourneyUnder, RefusedEvent, StepTaken, UnseenStep,
};
use crate::named::Asked;
use crate::trend;

/// Most events on one page, and as many when a question says nothing.
pub const MAX_EVENTS: usize = 1_000;
/// End of a range that nobody gave.
const END_OF_TIME: &str = "9999-12-31T00:00:00Z";

/// Asks for one subject: its events and how its entries went.
#[derive(Debug, Clone, PartialEq)]
pub struct JourneyQuestion {
    /// The subject's id, as its events name it or as it is stored.
    pub id: String,
    /// What the id names.
    pub subject: Subject,
    /// Id of the funnel it is explained by.
    pub funnel: String,
    /// When entries begin: as in a funnel question. All of time when absent; events are shown from its start to the end of the
    /// last window.
    pub range: Option<Range>,
    /// Events on a page; [`MAX_EVENTS`] when absent, and at most.
    pub limit: Option<usize>,
    /// From the page before.
    pub cursor: Option<String>,
    /// The view to read; the current one when absent.
    pub as_of: Option<String>,
}

impl JourneyQuestion {
    /// The journey with this id, explained by the funnel `linking` over all of time.
    pub fn of(id: impl Into<String>) -> JourneyQuestion {
        JourneyQuestion {
            id: id.into(),
            subject: Subject::Journey,
            funnel: "linking".to_owned(),
            range: None,
            limit: None,
            cursor: None,
            as_of: None,
        }
    }

    /// The funnel question by which its events are matched.
    fn funnel_question(&self) -> FunnelQuestion {
        let always = || Range {
            from: instant_text(EARLIEST_US),
            to: END_OF_TIME.to_owned(),
            timezone: "UTC".to_owned(),
        };
        FunnelQuestion {
            include: vec![Include::Reasons],
            as_of: self.as_of.clone(),
            ..FunnelQuestion::of(
                FunnelRef::Id(self.funnel.clone()),
                self.range.clone().unwrap_or_else(always),
            )
        }
    }
}

impl Engine {
    /// One subject's events in order, each once, and how each of its entries went.
    ///
    /// # Errors
    /// 404 `unknown_subject` when nothing in the view has the id, 400 for a bad cursor, else as [`Engine::funnel`].
    pub async fn journey(&self, tenant: &str, question: JourneyQuestion) -> Result<JourneyAnswer> {
        let limit = question.limit.unwrap_or(MAX_EVENTS);
        if limit == 0 || limit > MAX_EVENTS {
            let detail = format!("a page has 1 to {MAX_EVENTS} events");
            return Err(Error::refused("bad_limit", "/limit", detail));
        }
        let first = question.cursor.as_deref().map_or(Ok(0), read_cursor)?;
        let asked = self.ask(tenant, question.funnel_question()).await?;
        let Asked {
            question: mut asked,
            run,
        } = asked;
        if let FunnelRef::Definition(definition) = &mut asked.funnel {
            definition.subject = question.subject;
        }
        let checked = asked.check()?;
        self.within(self.options().timeout_ms, async {
            let asked = (asked, checked);
            let Some(found) = self.look_up(&run, tenant, &question, &asked).await? else {
                return Err(unknown(&question));
            };
            let mut prepared = self.prepare(&run, tenant, asked.0, asked.1)?;
            prepared.plan.show(found.key, found.roots);
            let (plan, mut outcome) = self.run_plan(&run, tenant, prepared.plan).await?;
            let mut gathered = std::mem::take(&mut outcome.gathered);
            gathered.sort_unstable_by_key(|under| (under.events[0].at_us, under.root));
            let definition = &prepared.checked.funnel;
            let teller = Teller {
                definition,
                zone: prepared.checked.span.timezone,
            };
            let all: usize = gathered.iter().map(|under| under.events.len()).sum();
            let subjects = teller.page(&gathered, first, limit);
            let next = first.saturating_add(limit);
            let mut meta = self.meta(&run, plan.span.to_us)?;
            count(&mut meta, &mut outcome);
            Ok(JourneyAnswer {
                id: found.id,
                kind: question.subject.as_str().to_owned(),
                funnel: FunnelTold {
                    id: question.funnel,
                    window: definition.window.to_string(),
                    steps: definition.steps.iter().map(|s| s.name.clone()).collect(),
                },
                subjects,
                next_cursor: (next < all).then(|| next.to_string()),
                meta,
            })
        })
        .await
    }
}

fn read_cursor(text: &str) -> Result<usize> {
    text.parse()
        .map_err(|_| Error::bad("bad_cursor", "/cursor", "this is not a cursor"))
}

fn unknown(question: &JourneyQuestion) -> Error {
    Error::Unknown {
        code: "unknown_subject",
        detail: format!(
            "nothing in the view has the {} {:?}",
            question.subject.as_str().replace('_', " "),
            question.id
        ),
    }
}

/// Tells what was gathered, in the words of the wire.
struct Teller<'a> {
    definition: &'a FunnelDefinition,
    zone: chrono_tz::Tz,
}

impl Teller<'_> {
    /// The subjects with events on the page.
    fn page(&self, gathered: &[Gathered], first: usize, limit: usize) -> Vec<JourneyUnder> {
        let mut begin = 0;
        let mut page = Vec::new();
        for under in gathered {
            let end = begin + under.events.len();
            let from = first.clamp(begin, end) - begin;
            let to = first.saturating_add(limit).clamp(begin, end) - begin;
            if from < to {
                page.push(self.under(under, from, to));
            }
            begin = end;
        }
        page
    }

    fn under(&self, under: &Gathered, from: usize, to: usize) -> JourneyUnder {
        let events = &under.events;
        let first = |field| events.iter().find_map(|event| event.text(field));
        let is_link = |event: &&Shown| event.value(Field::Event) == Some("connection.linked");
        let linked = events
            .iter()
            .find(|event| event.is_counted && is_link(event));
        JourneyUnder {
            company_id: first(Field::CompanyId),
            category: first(Field::Category),
            integrations: integrations(events),
            surface: first(Field::Surface),
            medium: first(Field::Medium),
            linked_at: linked.map(|event| self.text(event.at_us)),
            event_count: events.len() as u64,
            events: (from..to).map(|at| self.event(events, at)).collect(),
            explanation: self.explanation(under),
        }
    }

    fn text(&self, us: i64) -> String {
        trend::text(us, self.zone)
    }

    fn event(&self, events: &[Shown], at: usize) -> EventAnswer {
        let event = &events[at];
        let before = at.checked_sub(1).map(|before| &events[before]);
        let definition = self.definition;
        let step_names = definition.steps.iter().map(|step| &step.name);
        let outcome_names = definition.outcomes.iter().map(|outcome| &outcome.name);
        let reason = EventReason {
            class: event.text(Field::ReasonClass),
            code: event.text(Field::ReasonCode),
            vendor_code: event.text(Field::ReasonVendorCode),
            attribution: event.text(Field::ReasonAttribution),
        };
        let says_why = reason.class.is_some() || reason.code.is_some();
        EventAnswer {
            event_id: event.text(Field::EventId),
            event: event.text(Field::Event).unwrap_or_default(),
            occurred_at: self.text(event.at_us),
            since_previous_ms: before.map(|before| ms(event.at_us.saturating_sub(before.at_us))),
            steps: named(event.steps, step_names),
            outcomes: named(u64::from(event.outcomes), outcome_names),
            category: event.text(Field::Category),
            provider: event.text(Field::Provider),
            integration: event.text(Field::IntegrationKey),
            surface: event.text(Field::Surface),
            medium: event.text(Field::Medium),
            auth_method: event.text(Field::AuthMethod),
            reason: (says_why || reason.vendor_code.is_some() || reason.attribution.is_some())
                .then_some(reason),
            is_counted: event.is_counted,
        }
    }

    fn named_event(&self, event: &Shown) -> EventRef {
        EventRef {
            event_id: event.text(Field::EventId),
            event: event.text(Field::Event).unwrap_or_default(),
            occurred_at: self.text(event.at_us),
            reason: event
                .text(Field::ReasonCode)
                .or_else(|| event.text(Field::ReasonClass)),
        }
    }

    fn explanation(&self, under: &Gathered) -> ExplanationAnswer {
        let told = &under.explanation;
        let mut speaking = told.entries.iter().filter(|entry| entry.speaks);
        ExplanationAnswer {
            state: speaking
                .next_back()
                .map(|entry| word(entry.state).to_owned()),
            entries: told
                .entries
                .iter()
                .map(|entry| self.entry(&under.events, entry))
                .collect(),
            entries_left_out: told.left_out,
        }
    }

    fn entry(&self, events: &[Shown], entry: &Explained) -> EntryAnswer {
        let steps = &self.definition.steps;
        let started = entry.rows.iter().flatten().next().copied();
        let taken = |(step, row): (usize, &Option<usize>)| {
            row.map(|row| StepTaken {
                step: step + 1,
                name: steps[step].name.clone(),
                optional: steps[step].optional,
                event: self.named_event(&events[row]),
            })
        };
        let refused = entry.refused.iter().map(|refused| RefusedEvent {
            event: self.named_event(&events[refused.row]),
            because: refused
                .why
                .iter()
                .map(|why| self.because(events, why))
                .collect(),
        });
        let refused: Vec<RefusedEvent> = refused.collect();
        let last = (0..=entry.last).rev().find(|at| events[*at].is_counted);
        let discarded_by = entry.discarded_by.map(|(row, exclusion)| {
            let exclusion = Some(exclusion);
            self.blocked_by(events, Block { row, exclusion })
        });
        EntryAnswer {
            speaks: entry.speaks,
            started_at: self.text(events[started.unwrap_or(entry.clock.row)].at_us),
            clock_started_at: self.text(entry.clock.us),
            window_ends_at: self.text(entry.ends_us),
            state: word(entry.state).to_owned(),
            open_until: entry.open_until_us.map(|us| self.text(us)),
            ended: ended(entry, &refused),
            step: entry.furthest + 1,
            step_name: steps[entry.furthest].name.clone(),
            steps: entry.rows.iter().enumerate().filter_map(taken).collect(),
            unseen: self.unseen(entry),
            waits_for: entry
                .waits_for
                .iter()
                .map(|s| steps[*s].name.clone())
                .collect(),
            refused,
            refused_left_out: entry.refused_left_out,
            last_event: self.named_event(&events[last.unwrap_or(entry.last)]),
            outcome: entry
                .outcome
                .map(|o| self.definition.outcomes[o].name.clone()),
            reason_event: entry.reason.map(|row| self.named_event(&events[row])),
            discarded_by,
        }
    }

    fn unseen(&self, entry: &Explained) -> Vec<UnseenStep> {
        let steps = self.definition.steps.iter().enumerate();
        let unseen = steps.filter(|(step, _)| entry.unseen >> step & 1 == 1);
        unseen
            .map(|(step, definition)| UnseenStep {
                step: step + 1,
                name: definition.name.clone(),
                bypassed: step < entry.furthest,
            })
            .collect()
    }

    fn because(&self, events: &[Shown], why: &Why) -> Because {
        let by_us = match why {
            Why::AfterWindow { by_us }
            | Why::TooLate { by_us }
            | Why::TooEarly { by_us }
            | Why::Before { by_us } => i64::try_from(*by_us).ok(),
            _ => None,
        };
        let blocked_by = match why {
            Why::Blocked { by } => by
                .iter()
                .map(|block| self.blocked_by(events, *block))
                .collect(),
            _ => Vec::new(),
        };
        let fields = match why {
            Why::OtherValue { fields } => fields
                .iter()
                .map(|field| self.definition.hold_constant[*field].clone())
                .collect(),
            _ => Vec::new(),
        };
        Because {
            code: code(why).to_owned(),
            by_ms: by_us.map(ms),
            blocked_by,
            fields,
        }
    }

    fn blocked_by(&self, events: &[Shown], block: Block) -> BlockedBy {
        BlockedBy {
            event: self.named_event(&events[block.row]),
            exclusion: block.exclusion.map(|exclusion| exclusion + 1),
        }
    }
}

fn word(state: State) -> &'static str {
    match state {
        State::Converted => "converted",
        State::Dropped => "dropped",
        State::Open => "open",
    }
}

fn code(why: &Why) -> &'static str {
    match why {
        Why::AfterWindow { .. } => "after_window",
        Why::TooLate { .. } => "too_late",
        Why::TooEarly { .. } => "too_early",
        Why::SameInstant => "same_instant",
        Why::Blocked { .. } => "blocked",
        Why::OtherValue { .. } => "other_value",
        Why::Used => "used",
        Why::Before { .. } => "before",
    }
}

/// Why an entry went no further, in one word.
fn ended(entry: &Explained, refused: &[RefusedEvent]) -> String {
    let refusal = refused.iter().find_map(|refused| refused.because.first());
    match (entry.discarded_by, entry.state, refusal) {
        (Some(_), ..) => "discarded".to_owned(),
        (_, State::Converted, _) => "converted".to_owned(),
        (_, _, None) => "no_event".to_owned(),
        (_, _, Some(because)) => because.code.clone(),
    }
}

/// The names whose bit is set.
fn named<'n>(mask: u64, names: impl Iterator<Item = &'n String>) -> Vec<String> {
    let with_bit = names.enumerate().filter(|(bit, _)| mask >> bit & 1 == 1);
    with_bit.map(|(_, name)| name.clone()).collect()
}

fn integrations(events: &[Shown]) -> Vec<IntegrationNamed> {
    let mut found: Vec<IntegrationNamed> = Vec::new();
    for event in events {
        let Some(key) = event.text(Field::IntegrationKey) else {
            continue;
        };
        let name = event.text(Field::IntegrationName);
        match found.iter_mut().find(|known| known.key == key) {
            Some(known) => known.name = known.name.take().or(name),
            None => found.push(IntegrationNamed { key, name }),
        }
    }
    found
}
