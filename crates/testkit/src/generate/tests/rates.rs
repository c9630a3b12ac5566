//! Rates are those configured, and every dimension has some of its own.

use std::collections::HashMap;

use linkfunnel_model::Field;

use super::{NOON_US, config, event_of, linking, run, truth_of};
use crate::generate::dice::{DAY, HOUR, SECOND};
use crate::generate::*;

#[test]
fn volumes_and_rates_are_about_the_ones_configured() {
    let quiet = GenerateConfig {
        dirt: Dirt::NONE,
        experiment: None,
        ..config(20_000)
    };
    let (deliveries, generator) = run(quiet);
    let truth = linking(&generator);
    assert!(
        (18_500..21_500).contains(&truth.total.entered),
        "{}",
        truth.total.entered
    );
    let per_journey = deliveries.len() as f64 / truth.total.entered as f64;
    assert!(
        (10.0..12.5).contains(&per_journey),
        "{per_journey} events a journey"
    );
    let rate = truth.total.rate().unwrap();
    assert!((0.66..0.74).contains(&rate), "{rate}");
    for (key, configured) in [
        ("xero", 0.88),
        ("quickbooks_online", 0.86),
        ("barclays", 0.79),
        ("sage50", 0.56),
    ] {
        let told = truth.by["integration"][key].rate().unwrap();
        assert!(
            (told - configured).abs() < 0.05,
            "{key}: {told}, configured {configured}"
        );
    }
    let surfaces = &truth.by["surface"];
    assert!(surfaces["embedded_sdk"].rate() > surfaces["hosted_page"].rate());
    assert!(surfaces["hosted_page"].rate() > surfaces["portal_link"].rate());
    assert!(truth.by["integration"].len() > 25 && truth.by["category"].len() > 4);
    assert!(
        truth.total.outcomes.iter().all(|count| *count > 20),
        "{:?}",
        truth.total.outcomes
    );
}

#[test]
fn the_experiment_has_its_lift() {
    let experiment = Some(Experiment {
        lift: 0.08,
        ..Experiment::default()
    });
    let (_, generator) = run(GenerateConfig {
        experiment,
        dirt: Dirt::NONE,
        ..config(30_000)
    });
    let by = &linking(&generator).by["experiment"];
    let lift = by["treatment"].rate().unwrap() - by["control"].rate().unwrap();
    assert!((0.055..0.105).contains(&lift), "{lift}");
    assert!(by["(none)"].entered > 0);
}

#[test]
fn an_incident_lowers_the_rate_of_its_integration_only() {
    let incident = Some(Incident::parse("xero:0.9..0.5@T+5d").unwrap());
    let quiet = GenerateConfig {
        incident,
        experiment: None,
        dirt: Dirt::NONE,
        ..config(30_000)
    };
    let rates = |generator: &Generator| {
        let by = &linking(generator).by["integration"];
        (
            by["xero"].rate().unwrap(),
            by["quickbooks_online"].rate().unwrap(),
        )
    };
    let (xero, other) = rates(&run(quiet.clone()).1);
    assert!((0.62..0.78).contains(&xero), "mean of 0.9 and 0.5: {xero}");
    assert!((0.81..0.91).contains(&other), "{other}");
    let before = GenerateConfig {
        end_us: Some(NOON_US + 5 * DAY),
        ..quiet
    };
    let (xero, _) = rates(&run(before).1);
    assert!((0.85..0.94).contains(&xero), "{xero}");
}

#[test]
fn some_link_after_a_pause_and_some_too_late() {
    let (deliveries, generator) = run(GenerateConfig {
        dirt: Dirt::NONE,
        ..config(20_000)
    });
    let truth = generator.truth(None).unwrap();
    let linked: u64 = truth.tenants["default"]
        .stored
        .linked_per_day
        .values()
        .sum();
    let converted = truth.tenants["default"].linking.total.converted;
    assert!(
        linked > converted,
        "{linked} linked, {converted} inside 24 hours"
    );
    let mut opened: HashMap<String, i64> = HashMap::new();
    let mut took: Vec<i64> = Vec::new();
    for delivery in &deliveries {
        let event = event_of(delivery).unwrap();
        let Some(journey) = event.text(Field::JourneyId) else {
            continue;
        };
        match event.name() {
            "journey.started" | "attempt.opened" => {
                opened
                    .entry(journey.to_owned())
                    .or_insert(event.occurred_at_us());
            }
            "connection.linked" => {
                took.extend(opened.get(journey).map(|at| event.occurred_at_us() - at))
            }
            _ => {}
        }
    }
    took.sort_unstable();
    let median_s = took[took.len() / 2] / SECOND;
    assert!((50..95).contains(&median_s), "median {median_s} s");
    assert!(took.iter().filter(|took| **took > HOUR).count() > 100);
}

#[test]
fn every_dimension_of_linking_has_rates_of_its_own() {
    let (_, generator) = run(GenerateConfig {
        dirt: Dirt::NONE,
        ..config(40_000)
    });
    let truth = linking(&generator);
    let rate = |field: &str, value: &str| {
        let counts = &truth.by[field][value];
        assert!(counts.matured.entered > 300, "{field} {value}: {counts:?}");
        counts.rate().unwrap()
    };
    for (field, better, worse, at_least) in [
        ("category", "accounting", "banking", 0.02),
        ("surface", "assisted_call", "portal_link", 0.10),
        ("medium", "in_app", "direct_url", 0.05),
        ("entry_point", "dashboard_center", "sub_menu", 0.06),
        ("cta.placement", "center", "sub_menu", 0.06),
        ("campaign_id", "autumn-intro", "winback", 0.06),
        ("target_group", "customers", "prospects", 0.04),
        ("use_case", "urgent_cash", "monitoring", 0.03),
        ("country", "NL", "DE", 0.02),
        ("locale", "nl-NL", "de-DE", 0.02),
        ("device.class", "desktop", "mobile", 0.01),
        ("incentive.type", "cash", "none", 0.05),
        ("messaging.value_prop", "true", "false", 0.005),
        ("messaging.revocation", "true", "false", 0.002),
        ("messaging.time_estimate", "true", "false", 0.02),
        ("messaging.social_proof", "true", "false", 0.015),
        ("integration", "xero", "netsuite", 0.15),
        ("integration.kind", "smb_accounting", "erp", 0.10),
        ("auth.method", "oauth_redirect", "desktop_connector", 0.10),
    ] {
        let (better_rate, worse_rate) = (rate(field, better), rate(field, worse));
        assert!(
            better_rate - worse_rate >= at_least,
            "{field}: {better} {better_rate}, {worse} {worse_rate}"
        );
    }
    for (field, values) in &truth.by {
        assert!(values.len() >= 2, "{field}: {values:?}");
    }
}

#[test]
fn a_mandatory_step_links_more_applicants_as_configured_and_loses_some() {
    let link_lift = 0.2;
    let (_, generator) = run(GenerateConfig {
        dirt: Dirt::NONE,
        mandatory_step: Some(MandatoryStep {
            link_lift,
            ..MandatoryStep::default()
        }),
        days: Some(60.0),
        ..config(60_000)
    });
    let applications = &truth_of(&generator).funnels["application"];
    let share = |arm: &str, step: usize, of: usize| {
        let reached = &applications.by["experiment"][arm].reached;
        reached[step] as f64 / reached[of] as f64
    };
    let lift = share("required", 2, 1) - share("optional", 2, 1);
    assert!((lift - link_lift).abs() < 0.04, "{lift}");
    let lost = share("optional", 5, 0) - share("required", 5, 0);
    assert!((0.02..0.12).contains(&lost), "{lost}");
    let required = &applications.by["step.requirement"]["required"];
    assert_eq!(required.reached[4], 0, "a mandatory step is not skipped");
    assert!(applications.by["experiment"]["(none)"].entered > 50);
    // The same links, counted as a funnel of their own.
    let linking = &truth_of(&generator).funnels["application_linking"];
    assert_eq!(linking.total.entered, applications.total.entered);
    assert!(linking.total.converted >= applications.total.reached[2]);
}

#[test]
fn invitations_payments_activation_and_calls_lose_some_at_every_step() {
    let (_, generator) = run(GenerateConfig {
        dirt: Dirt::NONE,
        days: Some(40.0),
        ..config(30_000)
    });
    let tenant = truth_of(&generator);
    for (id, low, high) in [
        ("invitation", 0.28, 0.48),
        ("pay_by_link", 0.3, 0.6),
        ("pay_by_link_checkout", 0.55, 0.85),
        ("activation", 0.45, 0.7),
        ("activation_7d", 0.45, 0.7),
        ("activation_write_back", 0.03, 0.1),
        ("application", 0.6, 0.85),
        ("application_linking", 0.35, 0.6),
        ("assisted_call", 0.45, 0.75),
        ("linking_7d", 0.66, 0.76),
        ("linking_from_choice", 0.73, 0.86),
        ("first_link_1d", 0.2, 0.45),
        ("first_link_30d", 0.25, 0.5),
    ] {
        let funnel = &tenant.funnels[id];
        let rate = funnel.total.rate().unwrap();
        assert!(
            (low..high).contains(&rate),
            "{id}: {rate} {:?}",
            funnel.total
        );
        let got_past = funnel.total.reached.iter().zip(&funnel.total.bypassed);
        let required = funnel.steps.iter().zip(got_past);
        let reached: Vec<u64> = required
            .filter(|(step, _)| !step.optional)
            .map(|(_, (reached, bypassed))| reached + bypassed)
            .collect();
        assert!(
            reached.windows(2).all(|pair| pair[0] > pair[1]),
            "{id}: {reached:?}"
        );
        for (step, reached) in funnel.steps.iter().zip(&funnel.total.reached) {
            assert!(*reached > 0, "{id}: nobody reaches {}", step.name);
        }
        for (outcome, count) in funnel.outcomes.iter().zip(&funnel.total.outcomes) {
            assert!(*count > 0 || outcome == "Disconnected", "{id}: {outcome}");
        }
    }
    let rate =
        |id: &str, field: &str, value: &str| tenant.funnels[id].by[field][value].rate().unwrap();
    for (id, field, better, worse) in [
        ("pay_by_link", "medium", "sms", "invoice_document"),
        ("pay_by_link", "payment.amount_bucket", "0-100", "10k+"),
        ("pay_by_link", "payment.reminder_no", "0", "3"),
        ("pay_by_link", "entry_point", "invoice", "payment_reminder"),
        ("invitation", "target_group", "customers", "prospects"),
        ("invitation", "campaign_id", "autumn-intro", "winback"),
        ("invitation", "medium", "sms", "direct_url"),
        ("activation_write_back", "category", "accounting", "banking"),
    ] {
        let (good, bad) = (rate(id, field, better), rate(id, field, worse));
        assert!(
            good > bad,
            "{id} by {field}: {better} {good}, {worse} {bad}"
        );
    }
}

#[test]
fn journeys_stay_the_larger_part_of_the_stream() {
    for ids in [Ids::Full, Ids::Sparse] {
        let (deliveries, _) = run(GenerateConfig {
            ids,
            dirt: Dirt::NONE,
            ..config(5_000)
        });
        let of_flow = |name: &str| {
            let group = name.split('.').next().unwrap_or("");
            let groups = [
                "journey",
                "step",
                "attempt",
                "provider",
                "consent",
                "handoff",
                "credentials",
                "sca",
                "account",
                "connection",
                "file",
                "manual",
                "help",
            ];
            groups.contains(&group)
        };
        let in_flow = deliveries
            .iter()
            .filter(|delivery| of_flow(event_of(delivery).unwrap().name()))
            .count();
        assert!(
            in_flow * 2 > deliveries.len(),
            "{in_flow} of {}",
            deliveries.len()
        );
    }
}
