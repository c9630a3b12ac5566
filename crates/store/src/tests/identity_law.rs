//! Roots of random events (semantics rule 1) against the rule written down word by word.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use linkfunnel_model::{Event, EventName, Field, IdKind, id_key};

use super::lab::*;
use crate::*;

const FULL: CompactOptions = CompactOptions {
    min_files: 2,
    full: true,
};

/// What is written down of a row that comes out: root, time, id, received at, partition, offset.
type Seen = (i64, i64, String, i64, i32, i64);

/// An event as it lies in the oracle: the tenant, ids by kind, and what is seen of it.
#[derive(Debug, Clone)]
struct Told {
    tenant: &'static str,
    ids: BTreeMap<IdKind, String>,
    is_exempt: bool,
    seen: Seen,
}

/// Every walk of at most three pairs: (steps, time of the last pair, key) of each company met.
fn walk(
    pairs: &BTreeMap<[(IdKind, String); 2], i64>,
    at: &(IdKind, String),
    steps: u8,
    met: &mut BTreeSet<(u8, i64, i64)>,
    tenant: &str,
) {
    if steps == 3 {
        return;
    }
    for ([from, to], time) in pairs.iter().filter(|(pair, _)| pair[0] == *at) {
        assert_eq!(from, at);
        if to.0 == IdKind::Company {
            met.insert((steps + 1, *time, id_key(tenant, IdKind::Company, &to.1)));
        }
        walk(pairs, to, steps + 1, met, tenant);
    }
}

/// The rule, word by word.
fn oracle(all: &[Told], tenant: &str) -> Vec<Seen> {
    let mut pairs: BTreeMap<[(IdKind, String); 2], i64> = BTreeMap::new();
    for told in all.iter().filter(|t| t.tenant == tenant && !t.is_exempt) {
        for a in &told.ids {
            for b in told.ids.iter().filter(|b| *b != a) {
                let pair = [(*a.0, a.1.clone()), (*b.0, b.1.clone())];
                let time = pairs.entry(pair).or_insert(told.seen.1);
                *time = told.seen.1.min(*time);
            }
        }
    }
    let mut survivors: BTreeMap<(i64, i64, String), Seen> = BTreeMap::new();
    for told in all.iter().filter(|t| t.tenant == tenant) {
        let coarsest = told
            .ids
            .iter()
            .next()
            .map(|(k, id)| id_key(tenant, *k, id))
            .unwrap();
        let root = if told.is_exempt || told.ids.contains_key(&IdKind::Company) {
            coarsest
        } else {
            let mut met = BTreeSet::new();
            for id in &told.ids {
                walk(&pairs, &(*id.0, id.1.clone()), 0, &mut met, tenant);
            }
            met.first().map_or(coarsest, |found| found.2)
        };
        let (_, time, id, received, partition, offset) = told.seen.clone();
        let seen = (root, time, id.clone(), received, partition, offset);
        let place = |s: &Seen| (s.3, s.4, s.5);
        let kept = survivors
            .entry((root, time, id))
            .or_insert_with(|| seen.clone());
        if place(&seen) < place(kept) {
            *kept = seen;
        }
    }
    let mut expected: Vec<Seen> = survivors.into_values().collect();
    expected.sort();
    expected
}

async fn seen(store: &Store, view: &Arc<ReadView>, tenant: &str, partitions: usize) -> Vec<Seen> {
    let request = ScanRequest {
        tenant: Some(tenant.to_owned()),
        partitions,
        ..asked(&[
            ROOT_KEY,
            OCCURRED_AT,
            EVENT_KEY,
            "event_id",
            RECEIVED_AT,
            PARTITION,
            OFFSET,
        ])
    };
    let mut all = Vec::new();
    for part in run_partitioned(store, view, request).await {
        let columns: Vec<Vec<i64>> = [0, 1, 2, 4, 6].map(|c| longs(&part, c)).to_vec();
        let keys: Vec<[i64; 3]> = (0..columns[0].len())
            .map(|r| [0, 1, 2].map(|c| columns[c][r]))
            .collect();
        assert!(keys.is_sorted(), "in table order");
        let (ids, partitions) = (texts(&part, 3), texts(&part, 5));
        for (r, id) in ids.into_iter().enumerate() {
            let partition = partitions[r].parse().unwrap();
            all.push((
                columns[0][r],
                columns[1][r],
                id,
                columns[3][r],
                partition,
                columns[4][r],
            ));
        }
    }
    all.sort();
    all
}

fn random_row(dice: &mut Dice, offset: i64, partition: i32, round: i64) -> (Row, Told) {
    let kinds = [
        (IdKind::Company, 3, 4),
        (IdKind::User, 4, 3),
        (IdKind::Journey, 6, 2),
        (IdKind::Session, 6, 3),
        (IdKind::Attempt, 8, 2),
        (IdKind::Connection, 8, 2),
    ];
    let tenant = if dice.roll(5) == 0 {
        "other"
    } else {
        "default"
    };
    let mut ids = BTreeMap::new();
    for (kind, numbers, one_in) in kinds {
        if dice.roll(one_in) == 0 {
            ids.insert(kind, dice.roll(numbers).to_string());
        }
    }
    if ids.is_empty() {
        ids.insert(IdKind::Attempt, dice.roll(8).to_string());
    }
    let is_exempt = dice.roll(12) == 0;
    // few names and times, so that there are copies, with the same ids and with others
    let (id, time) = (
        format!("e{}", dice.roll(40)),
        START_US + dice.roll(3) * DAY_US,
    );
    let received = START_US + round * 100 + dice.roll(300);
    let mut event =
        Event::new(id.clone(), EventName::AttemptOpened, time).with(Field::TenantId, tenant);
    for (kind, id) in &ids {
        event = event.with(kind.field(), id.clone());
    }
    if is_exempt {
        event = event.with(
            Field::PrivacyBasis,
            linkfunnel_model::vocab::PrivacyBasis::ExemptAudience,
        );
    }
    let seen = (0, time, id, received, partition, offset);
    let told = Told {
        tenant,
        ids,
        is_exempt,
        seen,
    };
    ((offset, received, event), told)
}

/// The same message as an earlier one, received later or earlier.
fn resent(earlier: &(Row, Told), offset: i64, partition: i32, received: i64) -> (Row, Told) {
    let ((_, _, event), mut told) = earlier.clone();
    (told.seen.3, told.seen.4, told.seen.5) = (received, partition, offset);
    ((offset, received, event), told)
}

#[tokio::test]
async fn roots_equal_the_rule_for_any_arrival_hot_cold_compacted_and_in_views_of_the_past() {
    for seed in 1..=6 {
        let (lab, mut dice) = (Lab::new().await, Dice(seed));
        let (mut sent, mut next) = (Vec::<(Row, Told)>::new(), [0_i64; 3]);
        let mut waiting: Vec<Arc<HotSegment>> = Vec::new();
        let mut past = Vec::new();
        for round in 0..24_i64 {
            let partition = dice.roll(3);
            let offset = &mut next[usize::try_from(partition).unwrap()];
            let partition = i32::try_from(partition).unwrap();
            let mut rows = Vec::new();
            for _ in 0..=dice.roll(6) {
                let next = match dice.roll(4) {
                    0 if !sent.is_empty() => {
                        let many = i64::try_from(sent.len()).unwrap();
                        let earlier = &sent[usize::try_from(dice.roll(many)).unwrap()];
                        let received = START_US + round * 100 + dice.roll(300);
                        resent(earlier, *offset, partition, received)
                    }
                    _ => random_row(&mut dice, *offset, partition, round),
                };
                rows.push(next.0.clone());
                sent.push(next);
                *offset += 1;
            }
            let segment = segment("s", partition, &rows);
            lab.store.publish_shared(vec![Arc::clone(&segment)]);
            waiting.push(segment);
            if dice.roll(3) == 0 {
                commit(&lab.store, std::mem::take(&mut waiting)).await;
            }
            if dice.roll(5) == 0 {
                let options = CompactOptions {
                    min_files: 2,
                    full: dice.roll(2) == 0,
                };
                lab.store.compact(options).await.unwrap();
            }
            let view = lab.store.view();
            let told: Vec<Told> = sent.iter().map(|(_, told)| told.clone()).collect();
            for tenant in ["default", "other"] {
                let expected = oracle(&told, tenant);
                for partitions in [1, 3] {
                    let found = seen(&lab.store, &view, tenant, partitions).await;
                    assert_eq!(found, expected, "seed {seed}, round {round}, {tenant}");
                }
                if dice.roll(4) == 0 {
                    past.push((view.token(), tenant, expected));
                }
            }
        }
        commit(&lab.store, waiting).await;
        lab.store.compact(FULL).await.unwrap();
        let told: Vec<Told> = sent.iter().map(|(_, told)| told.clone()).collect();
        let again = lab.again().await;
        for store in [&lab.store, &again] {
            for tenant in ["default", "other"] {
                let found = seen(store, &store.view(), tenant, 2).await;
                assert_eq!(
                    found,
                    oracle(&told, tenant),
                    "seed {seed}, at the end, {tenant}"
                );
            }
            for (token, tenant, expected) in &past {
                let view = store.view_as_of(token).await.unwrap();
                let found = seen(store, &view, tenant, 2).await;
                assert_eq!(
                    &found, expected,
                    "seed {seed}, {tenant}, a view of the past"
                );
            }
        }
        let left = raw_count(&lab.store, &lab.store.view()).await;
        let own = told.iter().filter(|t| t.tenant == "default");
        let different: BTreeSet<_> = own
            .map(|t| (&t.ids, t.is_exempt, t.seen.1, &t.seen.2))
            .collect();
        assert_eq!(
            left,
            different.len(),
            "copies with the same ids are gone for good"
        );
    }
}
