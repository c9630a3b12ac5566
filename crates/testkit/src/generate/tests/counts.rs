//! The truth is in order in itself.

use linkfunnel_model::built_in_funnel;

use super::{NOON_US, config, run, truth_of};
use crate::generate::dice::{DAY, HOUR};
use crate::generate::*;

/// Every funnel of a tenant.
fn funnels(tenant: &TenantTruth) -> impl Iterator<Item = &FunnelTruth> {
    [Some(&tenant.linking), tenant.linking_by_named_ids.as_ref()]
        .into_iter()
        .flatten()
        .chain([&tenant.first_link])
        .chain(tenant.funnels.values())
}

fn sums(funnel: &FunnelTruth, counts: &Counts) {
    let reached = &counts.reached;
    assert_eq!(
        counts.entered,
        counts.converted + counts.dropped + counts.open
    );
    assert_eq!(counts.entered, reached[0], "{}", funnel.funnel);
    assert_eq!(Some(&counts.converted), reached.last());
    let got_past = reached.iter().zip(&counts.bypassed).map(|(r, b)| r + b);
    let required: Vec<u64> = funnel
        .steps
        .iter()
        .zip(got_past)
        .filter(|(step, _)| !step.optional)
        .map(|(_, got_past)| got_past)
        .collect();
    assert!(required.is_sorted_by(|a, b| a >= b), "{}", funnel.funnel);
    assert!(counts.outcomes.iter().sum::<u64>() <= counts.dropped + counts.open);
    assert!(counts.matured.entered <= counts.entered);
}

#[test]
fn truth_adds_up_in_total_by_segment_and_by_day() {
    let chosen = ["integration", "integration.kind", "provider", "auth.method"];
    for ids in [Ids::Full, Ids::Sparse] {
        let (_, generator) = run(GenerateConfig {
            ids,
            ..config(4_000)
        });
        let tenant = truth_of(&generator);
        assert!(funnels(&tenant).count() >= 12);
        for funnel in funnels(&tenant) {
            sums(funnel, &funnel.total);
            for (field, values) in &funnel.by {
                values.values().for_each(|counts| sums(funnel, counts));
                let entered: u64 = values.values().map(|counts| counts.entered).sum();
                if !chosen.contains(&field.as_str()) {
                    assert_eq!(entered, funnel.total.entered, "{} {field}", funnel.funnel);
                } else {
                    assert!(entered >= funnel.total.entered, "{} {field}", funnel.funnel);
                }
            }
            let by_day: u64 = funnel.by_day.values().map(|counts| counts.converted).sum();
            assert_eq!(by_day, funnel.total.converted);
        }
        let by_integration = &tenant.linking.by["integration"];
        let entered: u64 = by_integration.values().map(|counts| counts.entered).sum();
        assert!(entered > tenant.linking.total.entered, "some choose two");
    }
}

#[test]
fn sparse_and_full_streams_have_journeys_alike_but_fewer_are_found_by_named_ids() {
    let (_, generator) = run(GenerateConfig {
        ids: Ids::Sparse,
        ..config(4_000)
    });
    let truth = generator.truth(None).unwrap();
    let tenant = &truth.tenants["default"];
    let named = tenant.linking_by_named_ids.as_ref().unwrap();
    assert!(named.total.converted < tenant.linking.total.converted);
    let rate = tenant.linking.total.rate().unwrap();
    assert!((0.6..0.75).contains(&rate), "{rate}");
}

#[test]
fn open_subjects_follow_the_watermark() {
    let end_us = NOON_US + 3 * DAY;
    let (_, generator) = run(GenerateConfig {
        end_us: Some(end_us),
        season: false,
        ..config(9_000)
    });
    let at = |watermark_us| generator.truth(watermark_us).unwrap().tenants["default"].clone();
    let (now, later, over) = (at(Some(end_us)), at(Some(end_us + 12 * HOUR)), at(None));
    for ((now, later), over) in funnels(&now).zip(funnels(&later)).zip(funnels(&over)) {
        for truth in [now, later, over] {
            sums(truth, &truth.total);
            assert_eq!(truth.total.entered, over.total.entered);
            assert_eq!(truth.total.converted, over.total.converted);
            assert_eq!(truth.total.reached, over.total.reached);
        }
        let id = &over.funnel;
        assert!(now.total.open >= later.total.open, "{id}");
        // Few pay in the very minutes before the end.
        assert!(now.total.open > 0 || over.window_us < DAY, "{id}");
        assert_eq!(over.total.open, 0, "{id}");
        assert_eq!(over.total.matured.entered, over.total.entered);
    }
    let open = |tenant: &TenantTruth| tenant.linking.total.open;
    assert!(open(&now) > open(&later) && open(&later) > 0);
    assert!(
        generator.truth(Some(NOON_US + DAY)).is_none(),
        "records of that time are gone"
    );
}

#[test]
fn first_link_is_walked_by_companies_and_every_step_loses_some() {
    let (_, generator) = run(GenerateConfig {
        dirt: Dirt::NONE,
        ..config(10_000)
    });
    let truth = generator.truth(None).unwrap();
    let first = &truth.tenants["default"].first_link;
    let reached = &first.total.reached;
    let required: Vec<u64> = [0, 1, 3, 4, 5, 7]
        .iter()
        .map(|step| reached[*step])
        .collect();
    assert!(
        required.windows(2).all(|pair| pair[0] > pair[1]),
        "{reached:?}"
    );
    assert!(reached[2] > 0 && reached[6] > 0);
    assert_eq!(first.total.converted, reached[7]);
    assert!(reached[7] * 20 > reached[0], "{reached:?}");
}

#[test]
fn built_in_funnels_have_the_steps_that_the_truth_names() {
    let (_, generator) = run(config(100));
    let tenant = truth_of(&generator);
    let known = linkfunnel_model::built_in_funnels();
    let mut told: Vec<&str> = funnels(&tenant).map(|it| it.funnel.as_str()).collect();
    let mut known: Vec<&str> = known.iter().map(|funnel| funnel.id.as_str()).collect();
    told.sort_unstable();
    known.sort_unstable();
    assert_eq!(told, known, "every built-in funnel has a truth");
    for funnel in funnels(&tenant) {
        let built_in = built_in_funnel(&funnel.funnel).unwrap().definition;
        let steps: Vec<StepName> = built_in
            .steps
            .iter()
            .map(|step| StepName {
                name: step.name.clone(),
                optional: step.optional,
            })
            .collect();
        assert_eq!(funnel.steps, steps);
        let outcomes: Vec<String> = built_in.outcomes.iter().map(|o| o.name.clone()).collect();
        assert_eq!(funnel.outcomes, outcomes);
        assert_eq!(funnel.window_us, built_in.window.us());
    }
}
