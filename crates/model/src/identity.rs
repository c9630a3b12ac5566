//! What an id leads to: its company, or its journey (semantics rules 1 and 2).
//!
//! Two ids *stand together* when one event names both. An id leads to a company over at most
//! [`LONGEST_WAY`] such pairs; of several the nearest, then the one of the earliest event (of the last
//! pair on the way), then the smaller key. The same for journeys.
//!
//! A way runs over ids finer than its goal only: many journeys share a company or a user, so such an
//! id would lead to an arbitrary one of them. (For companies everything else is finer.)
//!
//! Pairs are gathered source by source ([`Gatherer`]), as [`Pairs`]; [`Ways`] are laid over any number
//! of sources, and further ones over those. Whatever the order and the split, the result is the same:
//! more pairs only ever make a better way, and the best way of an id is one step more than the best
//! way of a neighbour.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use crate::fields::IdKind;

/// Most pairs on the way from an id to its company or journey.
pub const LONGEST_WAY: u8 = 3;

/// What ids are followed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Goal {
    /// The company whose event it is.
    Company,
    /// The journey it belongs to.
    Journey,
}

impl Goal {
    /// The kind of id at the end of the way.
    pub const fn kind(self) -> IdKind {
        match self {
            Goal::Company => IdKind::Company,
            Goal::Journey => IdKind::Journey,
        }
    }

    /// Whether a way may begin at, or pass, an id of this kind.
    pub fn is_on_way(self, kind: IdKind) -> bool {
        kind > self.kind()
    }
}

/// Where an id leads. The lesser is the better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Found {
    /// Pairs on the way, 1 to [`LONGEST_WAY`].
    pub steps: u8,
    /// When the earliest event of the last pair occurred (µs since the epoch).
    pub at_us: i64,
    /// Key of the company or journey.
    pub key: i64,
}

/// Worse than anything found.
const NOWHERE: Found = Found {
    steps: u8::MAX,
    at_us: i64::MAX,
    key: i64::MAX,
};

/// Ids by their keys, which are hashes already.
#[derive(Default)]
struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_i64(&mut self, key: i64) {
        self.0 = self.0.rotate_left(29) ^ key.cast_unsigned();
    }
}

type ByKey<K, V> = HashMap<K, V, BuildHasherDefault<KeyHasher>>;

/// The pairs of one source that matter for one goal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pairs {
    /// (id, company or journey, earliest event that names both), each pair once, in order.
    last: Vec<(i64, i64, i64)>,
    /// Other ids that stand together, the smaller first, each pair once, in order.
    between: Vec<(i64, i64)>,
}

impl Pairs {
    /// The pairs of several sources together.
    pub fn of<'p>(sources: impl IntoIterator<Item = &'p Pairs>) -> Pairs {
        Pairs::of_each(sources.into_iter().collect(), |source| *source)
    }

    /// The same; each source is let go of as soon as it is taken in.
    pub fn of_each<T>(sources: Vec<T>, pairs: impl Fn(&T) -> &Pairs) -> Pairs {
        let all = || sources.iter().map(&pairs);
        let mut all = Pairs {
            last: Vec::with_capacity(all().map(|source| source.last.len()).sum()),
            between: Vec::with_capacity(all().map(|source| source.between.len()).sum()),
        };
        for source in sources {
            all.last.extend_from_slice(&pairs(&source).last);
            all.between.extend_from_slice(&pairs(&source).between);
        }
        all.settle();
        all.shrink();
        all
    }

    /// Memory held, in bytes.
    pub fn bytes(&self) -> usize {
        self.last.capacity() * size_of::<(i64, i64, i64)>()
            + self.between.capacity() * size_of::<(i64, i64)>()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.last.len() + self.between.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.last.is_empty() && self.between.is_empty()
    }

    /// Each pair once, and without those that no best way can use: between two ids that both stand
    /// with a goal themselves, a way through the other would be longer than their own.
    fn settle(&mut self) {
        self.last.sort_unstable();
        self.last
            .dedup_by(|later, first| (later.0, later.1) == (first.0, first.1));
        self.between.sort_unstable();
        self.between.dedup();
        let last = &self.last;
        let ends = |id: i64| {
            let at = last.partition_point(|pair| pair.0 < id);
            last.get(at).is_some_and(|pair| pair.0 == id)
        };
        self.between.retain(|(a, b)| !(ends(*a) && ends(*b)));
    }

    fn shrink(&mut self) {
        self.last.shrink_to_fit();
        self.between.shrink_to_fit();
    }
}

/// Gathers the pairs of one source event by event.
#[derive(Debug)]
pub struct Gatherer {
    goal: Goal,
    pairs: Pairs,
    /// From so many pairs on they are settled.
    full: usize,
}

/// So many pairs are gathered at least before they are settled.
const WORTH_SETTLING: usize = 1 << 16;

impl Gatherer {
    /// For pairs on ways to this goal.
    pub fn new(goal: Goal) -> Gatherer {
        Gatherer {
            goal,
            pairs: Pairs::default(),
            full: WORTH_SETTLING,
        }
    }

    /// An event that names these ids, one of a kind, and when it occurred (µs since the epoch).
    pub fn add(&mut self, ids: &[(IdKind, i64)], occurred_at_us: i64) {
        let goal = self.goal;
        let end = ids.iter().find(|id| id.0 == goal.kind()).map(|id| id.1);
        for (i, (kind, key)) in ids.iter().enumerate() {
            if !goal.is_on_way(*kind) {
                continue;
            }
            if let Some(end) = end {
                self.pairs.last.push((*key, end, occurred_at_us));
            } else {
                // where the event names the goal, all its ids stand with it: no way leads from one
                // of them to another
                for (_, other) in ids[..i].iter().filter(|id| goal.is_on_way(id.0)) {
                    let pair = ((*key).min(*other), (*key).max(*other));
                    self.pairs.between.push(pair);
                }
            }
        }
        if self.pairs.len() >= self.full {
            self.pairs.settle();
            self.full = WORTH_SETTLING.max(2 * self.pairs.len());
        }
    }

    /// What was gathered.
    pub fn finish(mut self) -> Pairs {
        self.pairs.settle();
        self.pairs.shrink();
        self.pairs
    }
}

/// No further neighbour.
const END: u32 = u32::MAX;

/// What one id leads to, and where the list of its neighbours begins.
#[derive(Debug, Clone, Copy)]
struct Node {
    found: Found,
    neighbours: u32,
}

/// An id that stands with a goal, when the earliest event of such a pair occurred, and the goal.
type Direct = (i64, i64, i64);

/// The best way of every id to one goal, given some pairs.
#[derive(Default)]
pub struct Ways {
    below: Option<Arc<Ways>>,
    /// By id, the best pair of each. Most ids are here and nowhere else, which is small.
    direct: Vec<Direct>,
    /// Other ids, and those with neighbours.
    nodes: ByKey<i64, Node>,
    /// A neighbour, and where the next one of the same id is.
    neighbours: Vec<(i64, u32)>,
}

impl Ways {
    /// Ways over these pairs.
    pub fn new(pairs: &Pairs) -> Ways {
        Ways::default().with(pairs)
    }

    /// These ways with further pairs, where they lie over no others.
    pub fn with(&self, pairs: &Pairs) -> Ways {
        let mut ways = Ways {
            below: self.below.clone(),
            direct: merged(&self.direct, &pairs.last),
            nodes: self.nodes.clone(),
            neighbours: self.neighbours.clone(),
        };
        let mut improved = VecDeque::new();
        for (id, node) in &mut ways.nodes {
            let direct = found_directly(&ways.direct, *id);
            if let Some(direct) = direct.filter(|direct| *direct < node.found) {
                node.found = direct;
                improved.push_back(*id);
            }
        }
        ways.spread(&pairs.between, improved);
        ways
    }

    /// Ways over those of `below`, to which further pairs can be added without changing it.
    pub fn over(below: Arc<Ways>) -> Ways {
        Ways {
            below: Some(below),
            ..Ways::default()
        }
    }

    /// Takes further pairs in: few beside those below.
    pub fn extend(&mut self, pairs: &Pairs) {
        let mut improved = VecDeque::new();
        for (id, end, at_us) in &pairs.last {
            let direct = Found {
                steps: 1,
                at_us: *at_us,
                key: *end,
            };
            self.offer(*id, direct, &mut improved);
        }
        self.spread(&pairs.between, improved);
    }

    /// Joins ids, and follows what that and the ids with better ways give.
    fn spread(&mut self, between: &[(i64, i64)], mut improved: VecDeque<i64>) {
        for (a, b) in between {
            self.join(*a, *b);
            self.join(*b, *a);
        }
        for (a, b) in between {
            self.offer(*a, farther(self.found_or_nowhere(*b)), &mut improved);
            self.offer(*b, farther(self.found_or_nowhere(*a)), &mut improved);
        }
        let mut neighbours = Vec::new();
        while let Some(id) = improved.pop_front() {
            let next = farther(self.found_or_nowhere(id));
            if next == NOWHERE {
                continue;
            }
            neighbours.clear();
            self.neighbours_of(id, &mut neighbours);
            for neighbour in &neighbours {
                self.offer(*neighbour, next, &mut improved);
            }
        }
    }

    /// Where an id leads.
    pub fn find(&self, id: i64) -> Option<Found> {
        Some(self.found_or_nowhere(id)).filter(|found| *found != NOWHERE)
    }

    /// Where an event leads: the best over the ids it names.
    pub fn best(&self, ids: impl IntoIterator<Item = i64>) -> Option<Found> {
        ids.into_iter().filter_map(|id| self.find(id)).min()
    }

    /// The ids that lead elsewhere than in `base`, over which these ways lie; in order.
    pub fn changed_from(&self, base: &Arc<Ways>) -> Vec<i64> {
        let mut changed = Vec::new();
        let mut layer = Some(self);
        while let Some(ways) = layer {
            let ids = ways.nodes.keys().copied();
            changed.extend(ids.filter(|id| self.find(*id) != base.find(*id)));
            layer = ways
                .below
                .as_deref()
                .filter(|below| !std::ptr::eq(*below, Arc::as_ptr(base)));
        }
        changed.sort_unstable();
        changed.dedup();
        changed
    }

    /// Memory held, in bytes, roughly; what is below not counted.
    pub fn bytes(&self) -> usize {
        self.nodes.capacity() * (size_of::<(i64, Node)>() + 1)
            + self.neighbours.capacity() * size_of::<(i64, u32)>()
            + self.direct.capacity() * size_of::<Direct>()
    }

    fn found_or_nowhere(&self, id: i64) -> Found {
        match self.nodes.get(&id) {
            Some(node) => node.found,
            None => self.found_elsewhere(id),
        }
    }

    /// Where an id leads that has no node.
    fn found_elsewhere(&self, id: i64) -> Found {
        let below = self.below.as_ref();
        found_directly(&self.direct, id)
            .or_else(|| below.map(|ways| ways.found_or_nowhere(id)))
            .unwrap_or(NOWHERE)
    }

    fn node(&mut self, id: i64) -> &mut Node {
        let found = self.found_or_nowhere(id);
        self.nodes.entry(id).or_insert(Node {
            found,
            neighbours: END,
        })
    }

    fn join(&mut self, id: i64, neighbour: i64) {
        let at = u32::try_from(self.neighbours.len()).expect("memory ends before 2³² pairs do");
        let next = std::mem::replace(&mut self.node(id).neighbours, at);
        self.neighbours.push((neighbour, next));
    }

    fn neighbours_of(&self, id: i64, into: &mut Vec<i64>) {
        let mut at = self.nodes.get(&id).map_or(END, |node| node.neighbours);
        while let Some((neighbour, next)) = self.neighbours.get(at as usize) {
            into.push(*neighbour);
            at = *next;
        }
        if let Some(below) = &self.below {
            below.neighbours_of(id, into);
        }
    }

    fn offer(&mut self, id: i64, found: Found, improved: &mut VecDeque<i64>) {
        if found < self.found_or_nowhere(id) {
            self.node(id).found = found;
            improved.push_back(id);
        }
    }
}

impl fmt::Debug for Ways {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ways")
            .field("direct", &self.direct.len())
            .field("nodes", &self.nodes.len())
            .field("below", &self.below)
            .finish_non_exhaustive()
    }
}

/// Where an id leads by itself.
fn found_directly(direct: &[Direct], id: i64) -> Option<Found> {
    let at = direct.binary_search_by_key(&id, |direct| direct.0).ok()?;
    let (_, at_us, key) = direct[at];
    Some(Found {
        steps: 1,
        at_us,
        key,
    })
}

/// The best pair of each id, by id, out of known ones and of pairs in order.
fn merged(direct: &[Direct], last: &[(i64, i64, i64)]) -> Vec<Direct> {
    let mut all: Vec<Direct> = Vec::with_capacity(direct.len() + last.len());
    let mut take = |next: Direct| match all.last_mut() {
        Some(best) if best.0 == next.0 => *best = next.min(*best),
        _ => all.push(next),
    };
    let mut known = direct.iter().copied().peekable();
    for (id, end, at_us) in last {
        while let Some(known) = known.next_if(|known| known.0 <= *id) {
            take(known);
        }
        take((*id, *at_us, *end));
    }
    known.for_each(take);
    all.shrink_to_fit();
    all
}

/// The same goal one step further away.
fn farther(found: Found) -> Found {
    if found.steps < LONGEST_WAY {
        Found {
            steps: found.steps + 1,
            ..found
        }
    } else {
        NOWHERE
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use IdKind::{Attempt, Company, Connection, Invite, Journey, Session, User};

    /// Ids of an event, by kind and number, and when it occurred.
    type Event = (Vec<(IdKind, u8)>, i64);

    fn key(kind: IdKind, number: u8) -> i64 {
        crate::keys::id_key("t", kind, &number.to_string())
    }

    fn keyed(event: &Event) -> Vec<(IdKind, i64)> {
        event.0.iter().map(|(k, n)| (*k, key(*k, *n))).collect()
    }

    fn gather(goal: Goal, events: &[Event]) -> Pairs {
        let mut gatherer = Gatherer::new(goal);
        for event in events {
            gatherer.add(&keyed(event), event.1);
        }
        gatherer.finish()
    }

    fn find(goal: Goal, events: &[Event], id: (IdKind, u8)) -> Option<i64> {
        let ways = Ways::new(&gather(goal, events));
        ways.find(key(id.0, id.1)).map(|found| found.key)
    }

    #[test]
    fn an_id_leads_to_its_company_over_three_steps_and_not_over_four() {
        let events: Vec<Event> = vec![
            (vec![(Session, 1), (Attempt, 1)], 1),
            (vec![(Attempt, 1), (Connection, 1)], 2),
            (vec![(Connection, 1), (User, 1)], 3),
            (vec![(User, 1), (Company, 9)], 4),
        ];
        let company = Some(key(Company, 9));
        let of = |id| find(Goal::Company, &events, id);
        assert_eq!(of((User, 1)), company);
        assert_eq!(of((Connection, 1)), company);
        assert_eq!(of((Attempt, 1)), company);
        assert_eq!(of((Session, 1)), None);
    }

    #[test]
    fn the_nearest_company_wins_then_the_earliest_event_then_the_smaller_key() {
        let far_but_early: Vec<Event> = vec![
            (vec![(Attempt, 1), (User, 1)], 0),
            (vec![(User, 1), (Company, 1)], 0),
            (vec![(Attempt, 1), (Company, 2)], 9),
        ];
        let of = |events: &[Event]| find(Goal::Company, events, (Attempt, 1));
        assert_eq!(of(&far_but_early), Some(key(Company, 2)));
        let by_time: Vec<Event> = vec![
            (vec![(Attempt, 1), (Company, 1)], 5),
            (vec![(Attempt, 1), (Company, 2)], 4),
            (vec![(Attempt, 1), (Company, 1)], 6),
        ];
        assert_eq!(of(&by_time), Some(key(Company, 2)));
        let at_once: Vec<Event> = vec![
            (vec![(Attempt, 1), (Company, 1)], 5),
            (vec![(Attempt, 1), (Company, 2)], 5),
        ];
        let smaller = key(Company, 1).min(key(Company, 2));
        assert_eq!(of(&at_once), Some(smaller));
    }

    #[test]
    fn a_company_or_user_never_leads_from_an_attempt_to_a_journey() {
        let events: Vec<Event> = vec![
            (vec![(Company, 1), (User, 1), (Journey, 1)], 0),
            (vec![(Company, 1), (User, 1), (Attempt, 1)], 1),
            (vec![(Attempt, 1), (Connection, 1)], 2),
        ];
        assert_eq!(find(Goal::Journey, &events, (Connection, 1)), None);
        let mut named = events;
        named.push((vec![(Journey, 2), (Attempt, 1)], 3));
        assert_eq!(
            find(Goal::Journey, &named, (Connection, 1)),
            Some(key(Journey, 2))
        );
    }

    /// Every walk of at most three pairs, one by one.
    fn walk(goal: Goal, events: &[Event], id: (IdKind, u8), steps: u8, best: &mut Option<Found>) {
        if steps == LONGEST_WAY {
            return;
        }
        for (ids, _) in events.iter().filter(|event| event.0.contains(&id)) {
            for next in ids.iter().filter(|next| **next != id) {
                if next.0 == goal.kind() {
                    let both = |e: &&Event| e.0.contains(&id) && e.0.contains(next);
                    let at_us = events.iter().filter(both).map(|e| e.1).min().unwrap();
                    let found = Found {
                        steps: steps + 1,
                        at_us,
                        key: key(next.0, next.1),
                    };
                    *best = Some(best.map_or(found, |b| {
                        let (a, z) = (
                            (b.steps, b.at_us, b.key),
                            (found.steps, found.at_us, found.key),
                        );
                        if z < a { found } else { b }
                    }));
                }
                if next.0 >= goal.kind() {
                    walk(goal, events, *next, steps + 1, best);
                }
            }
        }
    }

    fn events() -> impl Strategy<Value = Vec<Event>> {
        let kinds = prop::sample::subsequence(
            vec![Company, User, Journey, Invite, Session, Attempt, Connection],
            1..4,
        );
        let event = (kinds, prop::collection::vec(0..3_u8, 4), 0..5_i64)
            .prop_map(|(kinds, numbers, at)| (kinds.into_iter().zip(numbers).collect(), at));
        prop::collection::vec(event, 0..14)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(3_000))]
        #[test]
        fn the_best_way_equals_exhaustive_search_however_the_events_are_split(
            events in events(),
            split in prop::collection::vec(0..5_u8, 14),
        ) {
            let part = |n: u8| -> Vec<Event> {
                events.iter().zip(&split).filter(|(_, s)| **s == n).map(|(e, _)| e.clone()).collect()
            };
            for goal in [Goal::Company, Goal::Journey] {
                let pairs = |n: u8| gather(goal, &part(n));
                let base = Ways::new(&Pairs::of([&pairs(3), &pairs(0)]));
                let base = base.with(&pairs(1));
                let base = Arc::new(base);
                let mut middle = Ways::over(Arc::clone(&base));
                middle.extend(&pairs(4));
                let mut ways = Ways::over(Arc::new(middle));
                ways.extend(&pairs(2));
                let changed = ways.changed_from(&base);
                for event in &events {
                    for id in event.0.iter().filter(|id| goal.is_on_way(id.0)) {
                        let mut best = None;
                        walk(goal, &events, *id, 0, &mut best);
                        let id = key(id.0, id.1);
                        prop_assert_eq!(ways.find(id), best);
                        let is_changed = ways.find(id) != base.find(id);
                        prop_assert_eq!(changed.contains(&id), is_changed);
                    }
                }
            }
        }
    }
}
