//! Sums of every answer: every built-in funnel over a generated stream with all its dirt, in the middle of which the watermark
//! stands, so that there are open subjects beside converted and dropped ones.

use linkfunnel_model::built_in_funnels;
use linkfunnel_testkit::generate::Ids;
use serde_json::{Value, json};

use super::generated::{events, generate};
use super::{DAY, World, question};
use crate::{FunnelAnswer, Group, SubjectsQuestion};

/// Dimensions whose segments add up to the total, and one whose segments may overlap.
const ADD_UP: [&str; 3] = ["category", "surface", "device.class"];
const OVERLAPS: &str = "integration";

fn asked(funnel: &str, by: &str) -> Value {
    json!({
        "funnel": funnel,
        "range": {"from": "2026-09-25", "to": "2026-12-01"},
        "breakdown": {"by": [by], "limit": 1_000},
        "interval": "day",
        "include": ["reasons"],
    })
}

fn states_and_reasons_add_up(group: &Group, what: &str) {
    let sum = |of: fn(&crate::StepAnswer) -> u64| group.steps.iter().map(of).sum::<u64>();
    let states = group.converted + group.dropped + group.open;
    assert_eq!(states, group.entered, "{what}");
    assert_eq!(sum(|step| step.dropped), group.dropped, "{what}");
    assert_eq!(sum(|step| step.open), group.open, "{what}");
    for step in &group.steps {
        let reasons: u64 = step.reasons.iter().map(|reason| reason.count).sum();
        assert_eq!(reasons, step.dropped, "{what}, {}", step.name);
    }
}

fn trend_adds_up(answer: &FunnelAnswer, what: &str) {
    let total = &answer.total;
    let entered: u64 = answer.trend.iter().map(|bucket| bucket.entered).sum();
    let converted: u64 = answer.trend.iter().map(|bucket| bucket.converted).sum();
    let told = (total.entered, total.converted);
    assert_eq!((entered, converted), told, "{what}");
}

fn segments_add_up(answer: &FunnelAnswer, what: &str) {
    let sum = |of: fn(&Group) -> u64| answer.groups.iter().map(of).sum::<u64>();
    let numbers: [fn(&Group) -> u64; 4] =
        [|g| g.entered, |g| g.converted, |g| g.dropped, |g| g.open];
    for number in numbers {
        assert_eq!(sum(number), number(&answer.total), "{what}");
    }
    for (step, of_all) in answer.total.steps.iter().enumerate() {
        let reached: u64 = answer.groups.iter().map(|g| g.steps[step].reached).sum();
        assert_eq!(reached, of_all.reached, "{what}, {}", of_all.name);
        let bypassed: u64 = answer.groups.iter().map(|g| g.steps[step].bypassed).sum();
        assert_eq!(bypassed, of_all.bypassed, "{what}, {}", of_all.name);
    }
}

/// What is counted of a group; its rates and times follow from it.
fn counted(group: &Group) -> Value {
    let steps: Vec<_> = group
        .steps
        .iter()
        .map(|s| json!([s.reached, s.bypassed, s.dropped, s.open, s.matured_reached]))
        .collect();
    json!([
        group.entered,
        group.converted,
        group.dropped,
        group.open,
        group.matured,
        group.outcomes,
        steps
    ])
}

impl World {
    async fn filtering_by_a_value_gives_its_segment(&self, funnel: &str, by: &str, group: &Group) {
        let mut asked = asked(funnel, by);
        let value = &group.key[by];
        asked["filters"] = match value.starts_with('(') {
            true => json!([{"field": by, "op": "missing"}]),
            false => json!([{"field": by, "op": "eq", "value": value}]),
        };
        asked.as_object_mut().unwrap().remove("breakdown");
        let answer = self
            .engine
            .funnel("default", question(asked))
            .await
            .unwrap();
        assert_eq!(
            counted(&answer.total),
            counted(group),
            "{funnel}, {by} {value}"
        );
    }

    async fn its_dropped_are_listed(&self, funnel: &str, answer: &FunnelAnswer) {
        for (step, told) in answer.total.steps.iter().enumerate() {
            let asked = json!({
                "funnel": funnel,
                "range": {"from": "2026-09-25", "to": "2026-12-01"},
                "show": "dropped",
                "step": step + 1,
                "limit": 1_000,
            });
            let asked: SubjectsQuestion = serde_json::from_value(asked).unwrap();
            let list = self.engine.subjects("default", asked).await.unwrap();
            let count = usize::try_from(told.dropped).unwrap();
            assert_eq!(
                (list.count, list.subjects.len()),
                (told.dropped, count.min(1_000)),
                "{funnel}, {}",
                told.name
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn states_reasons_segments_trends_filters_and_lists_add_up_for_every_built_in_funnel() {
    let (deliveries, _) = generate(11, Ids::Full, 500);
    let mut world = World::new().await;
    world.watermark(35 * DAY);
    world.publish(0, &events(&deliveries));
    world.commit().await;
    let mut open_and_dropped = 0;
    for funnel in built_in_funnels() {
        let funnel = funnel.id.as_str();
        for by in ADD_UP.into_iter().chain([OVERLAPS]) {
            let what = format!("{funnel} by {by}");
            let answer = world
                .engine
                .funnel("default", question(asked(funnel, by)))
                .await
                .unwrap();
            states_and_reasons_add_up(&answer.total, &what);
            for group in &answer.groups {
                states_and_reasons_add_up(group, &what);
                world
                    .filtering_by_a_value_gives_its_segment(funnel, by, group)
                    .await;
            }
            trend_adds_up(&answer, &what);
            if by == OVERLAPS {
                world.its_dropped_are_listed(funnel, &answer).await;
            } else {
                segments_add_up(&answer, &what);
            }
            open_and_dropped += u64::from(answer.total.open > 0 && answer.total.dropped > 0);
        }
    }
    assert!(open_and_dropped > 20, "{open_and_dropped}");
}
