//! Random events with few ids against the rules written down word by word, however they arrive and
//! are stored.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use linkfunnel_model::vocab::PrivacyBasis;
use linkfunnel_model::{Event, EventName, Field, IdKind, Value, event_key, id_key};
use proptest::prelude::*;
use serde_json::json;

use super::{SECOND, T0, World, content, label, question};
use crate::membership::Membership;
use crate::{FunnelAnswer, Group};

const HOUR: i64 = 3_600 * SECOND;
const DAY: i64 = 24 * HOUR;
const FROM: i64 = T0 + 2 * DAY;
const TO: i64 = T0 + 6 * DAY;
const WINDOW: i64 = 2 * DAY;
const WATERMARK: i64 = T0 + 7 * DAY;

/// Names, the steps first: opened, chose, synced. Whether each is activity.
const NAMES: [(EventName, bool); 6] = [
    (EventName::AttemptOpened, true),
    (EventName::ProviderSelected, true),
    (EventName::SyncStarted, false),
    (EventName::FileUploaded, true),
    (EventName::CtaShown, true),
    (EventName::VisitLanded, false),
];

/// Kinds of ids with how many there are, and in one of how many events they are named.
const KINDS: [(IdKind, u8, u8); 7] = [
    (IdKind::Company, 2, 3),
    (IdKind::User, 2, 6),
    (IdKind::Journey, 3, 4),
    (IdKind::Invite, 2, 8),
    (IdKind::Session, 3, 6),
    (IdKind::Attempt, 4, 3),
    (IdKind::Connection, 3, 5),
];

/// An event as the rules see it.
#[derive(Debug, Clone)]
struct Told {
    at: i64,
    key: i64,
    name: usize,
    ids: BTreeMap<IdKind, i64>,
    category: Option<&'static str>,
    is_exempt: bool,
    event: Event<'static>,
}

/// Time in quarters of a day and whether a µs later, name, category, exempt, a number per kind.
type Random = (i64, bool, usize, usize, u8, Vec<u8>);

fn told(number: usize, random: &Random) -> Told {
    let (quarters, later, name, category, exempt, numbers) = random;
    let at = T0 + quarters * 6 * HOUR + i64::from(*later);
    let mut event = Event::new(format!("e{number}"), NAMES[*name].0, at);
    let mut ids = BTreeMap::new();
    for ((kind, many, one_in), number) in KINDS.iter().zip(numbers) {
        if number % one_in == 0 {
            let id = (number / one_in % many).to_string();
            ids.insert(*kind, id_key("default", *kind, &id));
            event = event.with(kind.field(), id);
        }
    }
    if ids.is_empty() {
        ids.insert(IdKind::Attempt, id_key("default", IdKind::Attempt, "0"));
        event = event.with(Field::AttemptId, "0");
    }
    let category = [Some("accounting"), Some("banking"), Some("unknown"), None][*category];
    if let Some(word) = category {
        event = event.with(Field::Category, Value::Vocab(word));
    }
    if *exempt == 0 {
        event = event.with(Field::PrivacyBasis, PrivacyBasis::ExemptAudience);
    }
    Told {
        at,
        key: event_key(&event, 0),
        name: *name,
        ids,
        category,
        is_exempt: *exempt == 0,
        event,
    }
}

impl Told {
    fn known(&self) -> Option<&'static str> {
        self.category.filter(|word| *word != "unknown")
    }

    fn place(&self) -> (i64, i64) {
        (self.at, self.key)
    }
}

type Id = (IdKind, i64);

/// (steps, earliest event of the last pair, key) of each id of `goal` that a walk of at most three pairs meets.
fn walk(all: &[Told], goal: IdKind, from: Id, steps: u8, met: &mut BTreeSet<(u8, i64, i64)>) {
    if steps == 3 {
        return;
    }
    let names = |told: &Told, id: Id| told.ids.get(&id.0) == Some(&id.1);
    for told in all.iter().filter(|t| !t.is_exempt && names(t, from)) {
        for (kind, key) in &told.ids {
            let to = (*kind, *key);
            if to == from || *kind < goal {
                continue;
            }
            if *kind == goal {
                let both = |t: &&Told| !t.is_exempt && names(t, from) && names(t, to);
                let first = all.iter().filter(both).map(|t| t.at).min().unwrap();
                met.insert((steps + 1, first, *key));
            }
            walk(all, goal, to, steps + 1, met);
        }
    }
}

fn leads(all: &[Told], goal: IdKind, ids: impl Iterator<Item = Id>) -> Option<i64> {
    let mut met = BTreeSet::new();
    ids.for_each(|id| walk(all, goal, id, 0, &mut met));
    met.first().map(|found| found.2)
}

/// Rule 1: the kind and key of the root.
fn root(all: &[Told], told: &Told) -> Id {
    let (kind, key) = told.ids.first_key_value().unwrap();
    let ids = told.ids.iter().map(|(kind, key)| (*kind, *key));
    match told.is_exempt || *kind == IdKind::Company {
        true => (*kind, *key),
        false => leads(all, IdKind::Company, ids)
            .map_or((*kind, *key), |company| (IdKind::Company, company)),
    }
}

/// The journey an event names or its ids lead to.
fn by_ids(all: &[Told], told: &Told) -> Option<i64> {
    let finders = [IdKind::Attempt, IdKind::Connection, IdKind::Invite];
    let named = told.ids.get(&IdKind::Journey).copied();
    named.or_else(|| {
        let ids = finders.iter().filter_map(|k| Some((*k, *told.ids.get(k)?)));
        let mut ids = ids.filter(|_| !told.is_exempt);
        ids.find_map(|id| leads(all, IdKind::Journey, std::iter::once(id)))
    })
}

/// A journey of a root: one that has an id, or the derived one of this first event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Journey {
    Id(i64),
    Derived(usize),
}

/// Rule 2 for the events of one root, in order: the journey of each.
fn journeys(all: &[Told], own: &[&Told]) -> Vec<Option<Journey>> {
    let ids: Vec<Option<i64>> = own.iter().map(|told| by_ids(all, told)).collect();
    let near = |x: &Told, e: &Told| x.at <= e.at && e.at - x.at <= DAY;
    let by_name = |e: usize| {
        let names = |x: &usize| near(own[*x], own[e]) && own[*x].ids.contains_key(&IdKind::Journey);
        let fits = |x: &usize| {
            let same = |y: &usize| ids[*y] == ids[*x];
            let known = (0..own.len()).filter(names).filter(same);
            let known: Vec<_> = known.filter_map(|y| own[y].known()).collect();
            let own = own[e].known();
            own.is_none() || known.is_empty() || known.contains(&own.unwrap())
        };
        let latest = (0..own.len()).filter(names).rfind(fits);
        latest.and_then(|x| ids[x])
    };
    let mut journeys: Vec<Option<Journey>> = (0..own.len())
        .map(|e| ids[e].or_else(|| by_name(e)).map(Journey::Id))
        .collect();
    let acts: Vec<usize> = (0..own.len())
        .filter(|e| journeys[*e].is_none() && NAMES[own[*e].name].1)
        .collect();
    // Each event of a run but the first follows another one.
    let before = |e: usize| acts.iter().rev().copied().filter(move |x| *x < e);
    let near_before = |e: usize| before(e).filter(move |x| near(own[*x], own[e]));
    let is_unnamed =
        |e: usize| own[e].known().is_none() && !near_before(e).any(|x| own[x].known().is_some());
    let follows = |e: usize| match own[e].known() {
        None => {
            let known = near_before(e).find(|x| own[*x].known().is_some());
            known.or_else(|| near_before(e).find(|x| is_unnamed(*x)))
        }
        Some(category) => {
            let same = near_before(e).find(|x| own[*x].known() == Some(category));
            let unnamed = || {
                let latest = near_before(e).find(|x| is_unnamed(*x))?;
                let taken = before(e).any(|x| x > latest && own[x].known().is_some());
                (!taken).then_some(latest)
            };
            same.or_else(unnamed)
        }
    };
    let first = |mut e: usize| {
        while let Some(earlier) = follows(e) {
            e = earlier;
        }
        e
    };
    let derived: Vec<(usize, usize)> = acts.iter().map(|e| (*e, first(*e))).collect();
    for e in 0..own.len() {
        if let Some((_, run)) = derived.iter().find(|(x, _)| *x == e) {
            journeys[e] = Some(Journey::Derived(*run));
        } else if journeys[e].is_none() {
            let so_far = |run: usize| {
                let of_run = derived.iter().filter(move |(_, r)| *r == run);
                of_run
                    .filter(|(x, _)| own[*x].at <= own[e].at)
                    .find_map(|(x, _)| own[*x].known())
            };
            let fits = |(x, run): &&(usize, usize)| {
                let (mine, its) = (own[e].known(), so_far(*run));
                near(own[*x], own[e]) && (mine.is_none() || its.is_none() || mine == its)
            };
            let latest = derived.iter().rfind(fits);
            journeys[e] = latest.map(|(_, run)| Journey::Derived(*run));
        }
    }
    journeys
}

#[derive(Debug, Default, PartialEq, Eq, Clone)]
struct Numbers {
    states: [u64; 3],
    reached: [u64; 3],
    uploaded: u64,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Expected {
    total: Numbers,
    by_category: BTreeMap<String, Numbers>,
    without_subject: u64,
    without_entry: u64,
    split_ids: u64,
}

/// Furthest reach by trying every chain of distinct events, each at or after the one before.
fn furthest(events: &[&Told], used: &mut Vec<usize>, after: i64) -> usize {
    let level = used.len();
    let mut best = level;
    for (i, e) in events.iter().enumerate() {
        if level < 3 && e.name == level && e.at >= after && !used.contains(&i) {
            used.push(i);
            best = best.max(furthest(events, used, e.at));
            used.pop();
        }
    }
    best
}

fn count(expected: &mut Expected, events: &[&Told]) -> bool {
    let opened = events
        .iter()
        .filter(|e| e.name == 0 && (FROM..TO).contains(&e.at));
    let Some(clock) = opened.map(|e| e.at).min() else {
        let later = |e: &&&Told| e.name < 3 && (FROM..TO).contains(&e.at);
        expected.without_entry += u64::from(events.iter().any(|e| later(&e)));
        return false;
    };
    let inside = events
        .iter()
        .filter(|e| (clock..=clock + WINDOW).contains(&e.at));
    let inside: Vec<&Told> = inside.copied().collect();
    let reach = furthest(&inside, &mut Vec::new(), clock);
    let category = inside.iter().find_map(|e| e.category).unwrap_or("(none)");
    let group = expected.by_category.entry(category.to_owned()).or_default();
    for numbers in [&mut expected.total, group] {
        let state = match (reach, clock + WINDOW <= WATERMARK) {
            (3, _) => 0,
            (_, true) => 1,
            (_, false) => 2,
        };
        numbers.states[state] += 1;
        numbers.reached[..reach].iter_mut().for_each(|r| *r += 1);
        numbers.uploaded += u64::from(reach < 3 && inside.iter().any(|e| e.name == 3));
    }
    true
}

/// What the answer must be. Events of the day before the range serve membership, those before nothing.
fn oracle(all: &[Told]) -> Expected {
    let mut expected = Expected::default();
    let mut roots: BTreeMap<Id, Vec<&Told>> = BTreeMap::new();
    for told in all
        .iter()
        .filter(|t| (FROM - DAY..TO + WINDOW).contains(&t.at))
    {
        roots.entry(root(all, told)).or_default().push(told);
    }
    let mut companies: BTreeMap<i64, usize> = BTreeMap::new();
    for ((kind, _), mut own) in roots {
        own.sort_by_key(|told| told.place());
        let mut subjects: BTreeMap<Journey, Vec<&Told>> = BTreeMap::new();
        for (told, journey) in own.iter().zip(journeys(all, &own)) {
            match journey {
                _ if told.at < FROM => {}
                Some(journey) => subjects.entry(journey).or_default().push(told),
                None => expected.without_subject += u64::from(told.name < 4),
            }
        }
        for (journey, events) in subjects {
            let counted = count(&mut expected, &events);
            if let (true, IdKind::Company, Journey::Id(id)) = (counted, kind, journey) {
                *companies.entry(id).or_default() += 1;
            }
        }
    }
    expected.split_ids = companies.values().filter(|n| **n > 1).count() as u64;
    expected
}

fn numbers(group: &Group) -> Numbers {
    let reached: Vec<u64> = group.steps.iter().map(|s| s.reached).collect();
    Numbers {
        states: [group.converted, group.dropped, group.open],
        reached: reached.try_into().unwrap(),
        uploaded: group.outcomes[0].count,
    }
}

fn found(answer: &FunnelAnswer) -> Expected {
    Expected {
        total: numbers(&answer.total),
        by_category: answer
            .groups
            .iter()
            .map(|g| (label(g), numbers(g)))
            .collect(),
        without_subject: answer.meta.without_subject,
        without_entry: answer.meta.without_entry,
        split_ids: answer.meta.split_ids,
    }
}

fn asked() -> serde_json::Value {
    let at = |us: i64| {
        chrono::DateTime::from_timestamp_micros(us)
            .unwrap()
            .to_rfc3339()
    };
    json!({
        "funnel": {
            "steps": [
                {"name": "Opened", "event": "attempt.opened"},
                {"name": "Chose", "event": "provider.selected"},
                {"name": "Synced", "event": "sync.started"},
            ],
            "outcomes": [{"name": "Uploaded", "event": "file.uploaded"}],
            "window": "P2D",
            "subject": "journey",
        },
        "range": {"from": at(FROM), "to": at(TO)},
        "breakdown": {"by": ["category"]},
    })
}

async fn check(randoms: &[Random], order: &[usize]) {
    let all: Vec<Told> = randoms
        .iter()
        .enumerate()
        .map(|(i, r)| told(i, r))
        .collect();
    let mut world = World::new().await;
    world.watermark(WATERMARK - T0);
    let mut parts: [Vec<Event<'static>>; 3] = Default::default();
    for (n, i) in order.iter().enumerate() {
        parts[n % 3].extend(all.get(*i).map(|told| told.event.clone()));
    }
    for (n, told) in all.iter().enumerate() {
        parts[n % 2].push(told.event.clone());
    }
    let expected = oracle(&all);
    for stage in 0..6 {
        match stage {
            0..3 => {
                let (part, rest) = parts.split_at_mut(stage + 1);
                world.publish(i32::try_from(stage).unwrap(), &part[stage]);
                if stage == 1 {
                    world.commit().await;
                    world.compact().await;
                }
                if !rest.is_empty() {
                    continue;
                }
            }
            3 => world.commit().await,
            4 => world.compact().await,
            _ => world.publish(3, &parts[0].clone()),
        }
        let mut first: Option<FunnelAnswer> = None;
        for partitions in [1, 3] {
            let engine = world.engine(partitions);
            let answer = engine.funnel("default", question(asked())).await.unwrap();
            assert_eq!(found(&answer), expected, "stage {stage}");
            let first = first.get_or_insert_with(|| answer.clone());
            assert_eq!(content(&answer), content(first));
        }
    }
    hope_is_never_false(&world).await;
}

/// Where the question is answered without looking for journeys, the answer is the same as with it.
async fn hope_is_never_false(world: &World) {
    let question = question(asked());
    let run = world.engine.start(None).await.unwrap();
    let checked = question.check().unwrap();
    let prepared = world
        .engine
        .prepare(&run, "default", question, checked)
        .unwrap();
    let plan = Arc::new(prepared.plan);
    let ways = world
        .store
        .journeys(&run.view, &run.session.state())
        .await
        .unwrap();
    let with = async |membership| {
        world
            .engine
            .run_once(&run, "default", &plan, membership, None)
            .await
    };
    let mut found = with(Membership::Found(ways)).await.unwrap().unwrap();
    let hoped = with(Membership::Hoped).await.unwrap();
    if let Some(mut hoped) = hoped.filter(|hoped| hoped.unresolved.is_empty()) {
        assert_eq!(hoped.total, found.total);
        assert_eq!(hoped.groups, found.groups);
        assert_eq!(hoped.split_ids(), found.split_ids());
        assert_eq!(hoped.counts.without_subject, found.counts.without_subject);
    }
}

fn random() -> impl Strategy<Value = Random> {
    let numbers = prop::collection::vec(0..240_u8, KINDS.len());
    (
        0..34_i64,
        prop::bool::weighted(0.2),
        0..6_usize,
        0..4_usize,
        0..14_u8,
        numbers,
    )
}

/// Events that mostly name their company and journey: for these the question need not look further.
fn nearly_full() -> impl Strategy<Value = Random> {
    random().prop_map(|mut random| {
        random.5[0] = random.5[0] / 3 * 3;
        if random.2 < 4 {
            random.5[2] = random.5[2] / 4 * 4;
        }
        random
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn journeys_equal_the_rules_however_events_arrive_and_are_stored(
        randoms in prop::collection::vec(random(), 0..28),
        order in prop::collection::vec(0..28_usize, 0..30),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(check(&randoms, &order));
    }

    #[test]
    fn journeys_that_events_name_equal_the_rules_too(
        randoms in prop::collection::vec(nearly_full(), 0..40),
        order in prop::collection::vec(0..40_usize, 0..30),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(check(&randoms, &order));
    }
}

#[tokio::test]
async fn a_view_of_the_past_is_read_through_a_later_commit_that_also_has_refused_messages() {
    let mut world = World::new().await;
    world.add(
        "0 j1 opened company_id=c attempt_id=a
         1 - chose company_id=c attempt_id=a integration=xero
         2 - linked company_id=c attempt_id=a integration=xero",
    );
    world.reject(&linkfunnel_store::RejectRow {
        kind: linkfunnel_store::RejectKind::DeadLetter,
        code: "not_json",
        pointer: "",
        detail: "not JSON",
        payload: Some(b"{"),
        key_id: Some("k1"),
    });
    let by = json!({"by": ["integration"]});
    let first = world.ask(json!({ "breakdown": by })).await;
    assert_eq!(first.total.converted, 1);
    world.commit().await;
    let asked = json!({ "breakdown": by, "as_of": first.meta.snapshot });
    let again = world.ask(asked).await;
    assert_eq!(again.total, first.total);
    assert_eq!(again.groups, first.groups);
}
