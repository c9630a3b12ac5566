//! What a definition may say, and the code and pointer of what it may not.

use serde_json::{Value, json};

use super::*;
use crate::funnel::MAX_STEPS;
use crate::saved::{MAX_FUNNEL_DESCRIPTION, MAX_FUNNEL_NAME};

/// The smallest experiment, with other fields in its definition.
fn content(change: &Value) -> ExperimentContent {
    let mut definition = json!({
        "unit": "company",
        "variants": [{"name": "a", "weight": 0.5}, {"name": "b", "weight": 0.5}],
        "start": "2026-09-01",
        "funnel": "linking",
        "primary": [{"name": "Linked"}]
    });
    merge(&mut definition, change);
    serde_json::from_value(json!({"name": "E", "definition": definition})).unwrap()
}

/// The smallest funnel, with other fields.
fn funnel(change: &Value) -> Value {
    let mut funnel = json!({"steps": steps(2), "window": "P1D", "subject": "journey"});
    merge(&mut funnel, change);
    funnel
}

fn merge(into: &mut Value, change: &Value) {
    for (field, value) in change.as_object().unwrap() {
        into[field] = value.clone();
    }
}

fn steps(count: usize) -> Value {
    (0..count)
        .map(|i| json!({"name": format!("S{i}"), "event": "journey.started"}))
        .collect()
}

fn variants(weights: &[f64]) -> Value {
    let variants = weights.iter().enumerate();
    variants
        .map(|(i, weight)| json!({"name": format!("v{i}"), "weight": weight}))
        .collect()
}

fn metrics(count: usize, margin: Option<f64>) -> Value {
    let named = |i| match margin {
        None => json!({"name": format!("m{i}")}),
        Some(margin) => json!({"name": format!("g{i}"), "margin": margin}),
    };
    (0..count).map(named).collect()
}

/// Code and pointer below the definition; nothing when it is accepted.
fn refusal(change: &Value) -> String {
    match content(change).check() {
        Ok(_) => String::new(),
        Err(mistake) => {
            assert!(mistake.detail.len() > 10, "{mistake}");
            let pointer = mistake.pointer.strip_prefix("/definition");
            format!("{} {}", mistake.code, pointer.unwrap())
        }
    }
}

#[test]
fn what_is_left_out_is_filled_in_and_dates_are_midnights_in_the_zone() {
    let experiment = content(&json!({
        "timezone": "Europe/Paris", "end": "2026-10-01T12:00:00Z", "segments": ["category", "attrs.plan"]
    }));
    let checked = experiment.check().unwrap();
    assert_eq!(checked.start_us, 1_788_213_600_000_000); // 2026-08-31T22:00:00Z
    assert_eq!(checked.end_us, Some(1_790_856_000_000_000));
    assert_eq!(checked.timezone.name(), "Europe/Paris");
    assert_eq!(checked.segments.len(), 2);
    let definition = &experiment.definition;
    assert_eq!(definition.control(), "a", "the first");
    assert_eq!(definition.method, LookMethod::Fixed);
    assert_eq!(definition.correction, FamilyCorrection::Holm);
    assert_eq!(definition.in_two_variants, TwoVariants::Exclude);
    assert!((definition.alpha - 0.05).abs() < f64::EPSILON);
    assert_eq!(definition.primary[0].measure(), Measure::Step(None));
    let named = content(&json!({"control": "b"}));
    assert_eq!(content(&json!({})).check().unwrap().end_us, None);
    assert_eq!(
        (
            refusal(&json!({"control": "b"})),
            named.definition.control()
        ),
        (String::new(), "b")
    );
}

#[test]
fn what_may_be_said_is_accepted() {
    let accepted = r#"
        {"variants": [{"name": "a", "weight": 0.333}, {"name": "b", "weight": 0.333}, {"name": "c", "weight": 0.333}]}
        {"variants": [{"name": "a", "weight": 1}, {"name": "b", "weight": 0}]}
        {"segments": ["category", "surface", "integration", "attrs.plan"]}
        {"planned_units": 1}
        {"end": "2026-09-01T00:00:00.000001Z"}
        {"method": {"continuous": {}}}
        {"method": {"continuous": {"tuned_for": 1}}}
        {"method": {"sequential": {"looks": 2}}, "planned_units": 10}
        {"method": {"sequential": {"looks": 20}}, "planned_units": 10}
        {"alpha": 0.4}
        {"primary": [{"name": "m", "step": 2}, {"name": "t", "time_to_step": 2}]}
        {"primary": [{"name": "m", "mean": {"event": "provider.selected", "where": [{"field": "surface", "op": "exists"}]}}]}
        {"primary": [{"name": "m", "mean": {"event": "invoice.paid", "sum": "payment.amount_minor"}}]}
        {"primary": [{"name": "m"}, {"name": "c", "cost_per_extra": {"event": "custom.paid", "sum": "attrs.incentive"}}]}
        {"primary": [{"name": "r", "ratio": {"numerator": {"event": "connection.linked"}, "denominator": {"event": "journey.started"}}}]}
        {"guardrails": [{"name": "g", "relative_margin": 0.999}, {"name": "h", "margin": 0.001, "better": "lower"}]}
    "#;
    for line in accepted.trim().lines() {
        let change: Value = serde_json::from_str(line).unwrap();
        assert_eq!(refusal(&change), "", "{line}");
    }
    let looser = json!({"order": "unordered", "steps": steps(MAX_STEPS - 1)});
    for change in [
        json!({"variants": variants(&[1.0 / 16.0; MAX_VARIANTS])}),
        json!({"primary": metrics(MAX_PRIMARY, None), "guardrails": metrics(MAX_GUARDRAILS, Some(0.1))}),
        json!({"funnel": funnel(&looser)}),
    ] {
        assert_eq!(refusal(&change), "", "{change}");
    }
}

#[test]
fn mistakes_carry_code_and_pointer() {
    let refused = r#"
        too_few_variants /variants {"variants": [{"name": "a", "weight": 1}]}
        weights_do_not_sum /variants {"variants": [{"name": "a", "weight": 0.5}, {"name": "b", "weight": 0.4}]}
        weights_do_not_sum /variants {"variants": [{"name": "a", "weight": 0.5}, {"name": "b", "weight": 0.502}]}
        out_of_range /variants/0/weight {"variants": [{"name": "a", "weight": 1.5}, {"name": "b", "weight": -0.5}]}
        duplicate_name /variants/1/name {"variants": [{"name": "a", "weight": 0.5}, {"name": "a", "weight": 0.5}]}
        bad_name /variants/1/name {"variants": [{"name": "a", "weight": 0.5}, {"name": " ", "weight": 0.5}]}
        bad_id /told_as {"told_as": ""}
        not_first /primary/0/cost_per_extra {"primary": [{"name": "m", "cost_per_extra": {"event": "connection.linked"}}]}
        not_first /method {"method": {"continuous": {}}, "primary": [{"name": "m", "time_to_step": 2}]}
        unknown_variant /control {"control": "c"}
        unknown_timezone /timezone {"timezone": "Paris"}
        bad_time /start {"start": "yesterday"}
        bad_time /end {"end": "2026-13-01"}
        empty_range /end {"end": "2026-08-31"}
        empty_range /end {"end": "2026-09-01"}
        out_of_range /planned_units {"planned_units": 0}
        limit_exceeded /segments {"segments": ["category", "surface", "medium", "locale", "integration"]}
        unknown_field /segments/1 {"segments": ["category", "surfase"]}
        not_a_dimension /segments/0 {"segments": ["event_id"]}
        no_primary /primary {"primary": []}
        duplicate_name /primary/1/name {"primary": [{"name": "m"}, {"name": "m"}]}
        bad_name /primary/0/name {"primary": [{"name": ""}]}
        two_measures /primary/0 {"primary": [{"name": "m", "step": 2, "time_to_step": 2}]}
        two_measures /primary/1 {"primary": [{"name": "m"}, {"name": "n", "mean": {"event": "x"}, "cost_per_extra": {"event": "x"}}]}
        unknown_event /primary/0/mean/event {"primary": [{"name": "m", "mean": {"event": "connection.linkd"}}]}
        unknown_field /primary/0/mean/sum {"primary": [{"name": "m", "mean": {"event": "invoice.paid", "sum": "amount"}}]}
        wrong_type /primary/0/mean/sum {"primary": [{"name": "m", "mean": {"event": "invoice.paid", "sum": "category"}}]}
        unknown_field /primary/0/mean/where/0/field {"primary": [{"name": "m", "mean": {"event": "connection.linked", "where": [{"field": "surfase", "op": "exists"}]}}]}
        unknown_event /primary/0/cost_per_extra/event {"primary": [{"name": "m", "cost_per_extra": {"event": "x"}}]}
        unknown_event /primary/0/ratio/numerator/event {"primary": [{"name": "m", "ratio": {"numerator": {"event": "x"}, "denominator": {"event": "journey.started"}}}]}
        unknown_event /primary/0/ratio/denominator/event {"primary": [{"name": "m", "ratio": {"numerator": {"event": "journey.started"}, "denominator": {"event": "x"}}}]}
        duplicate_name /guardrails/1/name {"guardrails": [{"name": "g", "margin": 0.1}, {"name": "g", "margin": 0.1}]}
        duplicate_name /guardrails/0/name {"guardrails": [{"name": "Linked", "margin": 0.1}]}
        bad_name /guardrails/0/name {"guardrails": [{"name": "", "margin": 0.1}]}
        no_margin /guardrails/0 {"guardrails": [{"name": "g"}]}
        no_margin /guardrails/0 {"guardrails": [{"name": "g", "margin": 0.1, "relative_margin": 0.1}]}
        out_of_range /guardrails/0/margin {"guardrails": [{"name": "g", "margin": 0}]}
        out_of_range /guardrails/0/relative_margin {"guardrails": [{"name": "g", "relative_margin": 1}]}
        out_of_range /method {"method": {"continuous": {"tuned_for": 0}}}
        missing_planned_units /method {"method": {"sequential": {"looks": 5}}}
        out_of_range /method {"method": {"sequential": {"looks": 1}}, "planned_units": 10}
        out_of_range /method {"method": {"sequential": {"looks": 21}}, "planned_units": 10}
        out_of_range /alpha {"alpha": 0}
        out_of_range /alpha {"alpha": 0.41}
    "#;
    for line in refused.trim().lines() {
        let (expected, change) = line.trim().split_once(" {").unwrap();
        let change: Value = serde_json::from_str(&format!("{{{change}")).unwrap();
        assert_eq!(refusal(&change), expected, "{line}");
    }
    for (change, expected) in [
        (
            json!({"variants": variants(&[1.0 / 17.0; MAX_VARIANTS + 1])}),
            "limit_exceeded /variants",
        ),
        (
            json!({"primary": metrics(MAX_PRIMARY + 1, None)}),
            "limit_exceeded /primary",
        ),
        (
            json!({"guardrails": metrics(MAX_GUARDRAILS + 1, Some(0.1))}),
            "limit_exceeded /guardrails",
        ),
    ] {
        assert_eq!(refusal(&change), expected, "{change}");
    }
}

#[test]
fn a_funnel_that_cannot_start_at_exposure_is_refused_wherever_it_stands() {
    for (change, code, field) in [
        (json!({"order": "strict"}), "not_in_experiments", "order"),
        (json!({"entries": "best"}), "not_in_experiments", "entries"),
        (json!({"entries": "all"}), "not_in_experiments", "entries"),
        (
            json!({"order": "unordered", "first_pinned": true}),
            "not_in_experiments",
            "first_pinned",
        ),
        (
            json!({"steps": steps(MAX_STEPS)}),
            "limit_exceeded",
            "steps",
        ),
        (json!({"steps": steps(1)}), "too_few_steps", "steps"),
    ] {
        let funnel = funnel(&change);
        let metric = json!({"name": "m", "margin": 0.1, "funnel": funnel});
        let primary = json!({"name": "m", "funnel": funnel});
        for (whole, at) in [
            (json!({"funnel": funnel}), "/funnel"),
            (
                json!({"primary": [{"name": "first"}, primary]}),
                "/primary/1/funnel",
            ),
            (json!({"guardrails": [metric]}), "/guardrails/0/funnel"),
        ] {
            assert_eq!(refusal(&whole), format!("{code} {at}/{field}"), "{change}");
        }
    }
}

#[test]
fn a_metric_is_of_the_unit_or_of_something_finer() {
    let all =
        "company user anonymous session journey attempt connection invite payment_link application";
    for (unit, coarser) in [
        ("company", &[][..]),
        ("user", &["company", "anonymous"]),
        ("session", &["company", "user", "anonymous"]),
        ("journey", &["company", "user", "anonymous", "session"]),
    ] {
        for subject in all.split(' ') {
            let change = json!({"unit": unit, "funnel": funnel(&json!({"subject": subject}))});
            let expected = if coarser.contains(&subject) {
                "coarser_subject /funnel/subject"
            } else {
                ""
            };
            assert_eq!(refusal(&change), expected, "{unit} {subject}");
        }
    }
}

#[test]
fn a_name_and_a_description_have_their_limits() {
    let largest = ExperimentContent {
        name: "é".repeat(MAX_FUNNEL_NAME),
        description: "é".repeat(MAX_FUNNEL_DESCRIPTION),
        ..content(&json!({}))
    };
    largest.check().unwrap();
    let (name, description) = (&largest.name, &largest.description);
    for (name, description, code, pointer) in [
        (" ", "", "bad_name", "/name"),
        (&format!("{name}x"), "", "bad_name", "/name"),
        (
            name,
            &format!("{description}x"),
            "limit_exceeded",
            "/description",
        ),
    ] {
        let content = ExperimentContent {
            name: name.to_owned(),
            description: description.to_owned(),
            ..largest.clone()
        };
        let mistake = content.check().unwrap_err();
        assert_eq!((mistake.code, &*mistake.pointer), (code, pointer));
    }
}
