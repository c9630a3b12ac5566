use std::collections::BTreeSet;

use super::*;

#[test]
fn every_built_in_funnel_passes_its_own_check_and_survives_json() {
    for funnel in all() {
        funnel.definition.check("").unwrap();
        let json = serde_json::to_string(&funnel.definition).unwrap();
        let back: FunnelDefinition = serde_json::from_str(&json).unwrap();
        assert_eq!(back, funnel.definition, "{}", funnel.id);
    }
}

#[test]
fn ids_names_and_descriptions_are_there_and_differ() {
    let funnels = all();
    for of in [
        |funnel: &NamedFunnel| funnel.id.clone(),
        |funnel: &NamedFunnel| funnel.name.clone(),
        |funnel: &NamedFunnel| funnel.description.clone(),
    ] {
        let texts: BTreeSet<String> = funnels.iter().map(of).collect();
        assert_eq!(texts.len(), funnels.len());
        assert!(texts.iter().all(|text| !text.trim().is_empty()));
    }
    for funnel in &funnels {
        assert!(!funnel.description.contains('\n'), "{}", funnel.id);
        assert_eq!(find(&funnel.id).as_ref(), Some(funnel));
    }
}

/// Each funnel as text: `?` optional, `|` alternatives, conditions in brackets.
fn shown(id: &str) -> Vec<String> {
    let funnel = find(id).unwrap().definition;
    let steps = funnel.steps.iter().map(|step| {
        let alternatives = step.alternatives();
        let events: Vec<String> = alternatives
            .iter()
            .map(|alternative| {
                let conditions = alternative.conditions.iter();
                let conditions: Vec<String> = conditions
                    .map(|predicate| match predicate {
                        Predicate::Is(c) => format!("[{} {:?} {}]", c.field, c.op, c.value),
                        other => panic!("{other:?}"),
                    })
                    .collect();
                format!("{}{}", alternative.event, conditions.concat())
            })
            .collect();
        format!(
            "{}{}",
            events.join(" | "),
            if step.optional { "?" } else { "" }
        )
    });
    let subject = funnel.subject.as_str();
    let window = serde_json::to_value(funnel.window).unwrap();
    [format!("{subject} {}", window.as_str().unwrap())]
        .into_iter()
        .chain(steps)
        .collect()
}

#[test]
fn they_say_what_the_domain_says() {
    assert_eq!(
        shown("linking"),
        [
            "journey P1D",
            "journey.started | attempt.opened",
            "provider.selected",
            "consent.granted?",
            "credentials.submitted | handoff.started",
            "sca.passed?",
            "connection.linked",
        ]
    );
    assert_eq!(
        shown("first_link"),
        [
            "company P7D",
            "visit.landed",
            "signup.completed",
            r#"invite.sent[entry_point Eq "welcome_email"] | cta.shown?"#,
            r#"invite.clicked[kind Ne "payment"] | cta.clicked[kind Ne "payment"]"#,
            r#"journey.started[journey_type Eq "first_link"]"#,
            "connection.linked",
            "prefill.applied?",
            "sync.initial_completed",
        ]
    );
    assert_eq!(
        shown("invitation"),
        [
            "invite P30D",
            r#"invite.created[kind NotIn ["payment","reconnect"]]"#,
            "invite.sent",
            "invite.delivered",
            "invite.opened",
            "invite.clicked",
            "attempt.opened",
            "connection.linked",
        ]
    );
    assert_eq!(
        shown("pay_by_link"),
        [
            "payment_link P90D",
            "payment_link.created",
            r#"invite.sent[kind Eq "payment"]"#,
            "invite.delivered?",
            "payment_link.opened",
            "payment.bank_selected",
            "payment.authorizing",
            "payment.authorized",
            "payment.executed",
            "payment.settled",
            "invoice.paid",
        ]
    );
    assert_eq!(
        shown("activation"),
        [
            "connection P1D",
            "connection.linked",
            "sync.started",
            "sync.dataset_completed",
            "sync.initial_completed",
            "value.first_delivered",
        ]
    );
    assert_eq!(
        shown("application"),
        [
            "application P30D",
            "application.started",
            r#"step.viewed[step.requirement In ["required","optional"]]"#,
            "connection.linked?",
            "file.uploaded?",
            "step.skipped?",
            "application.submitted",
            "application.decided",
        ]
    );
    assert_eq!(
        shown("assisted_call"),
        [
            "company P30D",
            "call.booked",
            "call.held",
            r#"attempt.opened[surface Eq "assisted_call"]"#,
            "connection.linked",
        ]
    );
}

#[test]
fn a_week_and_a_day_differ_from_their_funnel_in_the_window_only() {
    let mut session = find("first_link_session").unwrap().definition;
    assert_eq!(session.hold_constant, ["session_id"]);
    session.hold_constant.clear();
    assert_eq!(session, find("first_link_1d").unwrap().definition);
    for (id, other, window_days) in [
        ("linking_7d", "linking", 7),
        ("first_link_1d", "first_link", 1),
        ("first_link_30d", "first_link", 30),
        ("invitation_1d", "invitation", 1),
        ("activation_7d", "activation", 7),
    ] {
        let (mut one, other) = (
            find(id).unwrap().definition,
            find(other).unwrap().definition,
        );
        assert_eq!(one.window, days(window_days));
        one.window = other.window;
        assert_eq!(one, other, "{id}");
    }
}
