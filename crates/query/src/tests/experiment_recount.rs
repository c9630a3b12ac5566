//! Experiments of random and of generated events, counted another way.

use std::collections::{BTreeMap, BTreeSet};

use linkfunnel_model::Event;
use linkfunnel_testkit::generate::Ids;
use proptest::prelude::*;
use serde_json::json;

use super::experiment_results::{asked, definition, told, try_results, without_meta};
use super::generated::{events, generate};
use super::{DAY, World};
use crate::ExperimentQuestion;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_generated_experiment_gives_exactly_the_true_counts() {
    for (seed, ids) in [(1, Ids::Full), (2, Ids::Full), (3, Ids::Sparse)] {
        let (deliveries, truth) = generate(seed, ids, 900);
        let mut world = World::new().await;
        world.watermark(90 * DAY);
        world.publish(0, &events(&deliveries));
        let definition = definition(json!({
            "unit": "company",
            "variants": [{"name": "control", "weight": 0.5}, {"name": "treatment", "weight": 0.5}],
            "funnel": "linking",
        }));
        let question = ExperimentQuestion {
            id: "short_consent".to_owned(),
            ..asked()
        };
        for stage in ["hot", "compacted"] {
            let answer = try_results(&world.engine, &question, definition.clone());
            let answer = answer.await.unwrap();
            let linked = &answer.primary[0];
            for (variant, arm) in answer.variants.iter().zip(&linked.arms) {
                let truth = &truth.linking.by["experiment"][variant.name.as_str()].matured;
                let told = (variant.matured_subjects.unwrap(), arm.of);
                assert_eq!(told, (truth.entered, truth.entered), "seed {seed}, {stage}");
                #[expect(clippy::cast_precision_loss, reason = "a few hundred")]
                let rate = truth.converted as f64 / truth.entered as f64;
                assert!(
                    (arm.value.unwrap() - rate).abs() < 1e-12,
                    "seed {seed}, {stage}"
                );
            }
            assert_eq!(answer.health.in_two_variants, 0);
            assert_eq!(answer.health.unknown_variant, 0);
            world.commit().await;
            world.compact().await;
        }
    }
}

/// A random event: time (s), journey, company, what it does, variant told and whether as exposure.
type Dealt = (i64, u8, u8, u8, Option<(bool, bool)>);

fn line((at, journey, company, what, told): &Dealt) -> String {
    let what = ["opened", "chose", "linked", "sync.initial_completed"][usize::from(*what)];
    let told = told.map_or(String::new(), |(is_new, exposes)| {
        let variant = if is_new { "new" } else { "old" };
        let key = if exposes { "exp" } else { "assigned" };
        format!("{key}={variant}")
    });
    format!("{at} j{journey} {what} company_id=c{company} {told}")
}

/// What a unit's events say, recounted by hand: its variant and how many steps it got to within `window` after its first
/// exposure.
fn recount(events: &[Dealt], window: i64) -> (Option<bool>, bool, usize) {
    let exposures: Vec<(i64, bool)> = events
        .iter()
        .filter_map(|(at, _, _, _, told)| told.filter(|told| told.1).map(|told| (*at, told.0)))
        .collect();
    let Some(first) = exposures.iter().map(|(at, _)| *at).min() else {
        return (None, false, 0);
    };
    let variants: BTreeSet<bool> = exposures.iter().map(|(_, variant)| *variant).collect();
    let is_in_two = variants.len() > 1;
    // the furthest chain of later or equal times, by trying all
    let mut ends: Vec<Option<i64>> = vec![Some(first); 4];
    for step in 0..3_usize {
        let from = if step == 0 { Some(first) } else { ends[step] };
        ends[step + 1] = from.and_then(|from| {
            let takes = |(at, _, _, what, _): &&Dealt| {
                usize::from(*what) == step && *at >= from && *at <= first + window
            };
            events.iter().filter(takes).map(|(at, ..)| *at).min()
        });
    }
    let got = (1..4).take_while(|step| ends[*step].is_some()).count();
    (variants.first().copied(), is_in_two, got)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn random_experiments_are_counted_as_by_hand(
        dealt in prop::collection::vec(
            (0..200_i64, 0..12_u8, Just(0_u8), 0..4_u8, prop::option::weighted(0.4, (any::<bool>(), prop::bool::weighted(0.7)))),
            1..120,
        ),
        window in 1..150_i64,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        // a journey stays with its company
        let dealt: Vec<Dealt> = dealt.into_iter().map(|(at, j, _, w, t)| (at, j, j / 3, w, t)).collect();
        let mut expected: BTreeMap<&str, Vec<u64>> = BTreeMap::from([("old", vec![0; 4]), ("new", vec![0; 4])]);
        let (mut two, mut seen) = (0, 0);
        for journey in 0..12 {
            let own: Vec<Dealt> = dealt.iter().filter(|event| event.1 == journey).copied().collect();
            let (variant, is_in_two, got) = recount(&own, window);
            let Some(is_new) = variant else { continue };
            seen += 1;
            two += u64::from(is_in_two);
            if is_in_two { continue }
            let counts = expected.get_mut(if is_new { "new" } else { "old" }).unwrap();
            counts[..=got].iter_mut().for_each(|count| *count += 1);
        }
        runtime.block_on(async {
            let mut world = World::new().await;
            let events: Vec<Event<'_>> = dealt.iter().enumerate().map(|(i, d)| told(&line(d), i, "journey")).collect();
            world.publish(0, &events);
            world.watermark(40 * DAY);
            let funnel = super::short_with(json!({"window": format!("PT{window}S")}));
            let definition = definition(json!({"funnel": funnel}));
            let first = try_results(&world.engine, &asked(), definition.clone()).await.unwrap();
            if seen == 0 { return }
            for (i, variant) in first.variants.iter().enumerate() {
                let mut told = vec![variant.units];
                told.extend(first.steps.iter().map(|step| step.arms[i].reached.unwrap()));
                assert_eq!(&told, &expected[variant.name.as_str()], "{dealt:?}");
            }
            assert_eq!((first.health.units_seen, first.health.in_two_variants), (seen, two));
            world.commit().await;
            world.compact().await;
            for threads in [1, 3] {
                let again = try_results(&world.engine(threads), &asked(), definition.clone()).await.unwrap();
                assert_eq!(without_meta(&again), without_meta(&first));
            }
        });
    }
}
