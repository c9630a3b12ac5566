//! What is refused and what is accepted, as tables.

use super::*;
use proptest::prelude::*;

const NOW_US: i64 = 1_795_305_600_000_000; // 2026-11-22T00:00:00Z

fn refusal(json: &str) -> (&'static str, String) {
    let refusal = decode(json.as_bytes(), &Defaults::default(), NOW_US).unwrap_err();
    (refusal.code, refusal.pointer)
}

fn with(extra: &str) -> String {
    format!(
        r#"{{"event_id":"e","event":"attempt.opened","occurred_at":"2026-11-21T09:00:00Z","journey_id":"j"{extra}}}"#
    )
}

#[test]
fn the_smallest_event_is_filled_in() {
    let json = with("");
    let event = decode(json.as_bytes(), &Defaults::default(), NOW_US).unwrap();
    assert_eq!(event.tenant(), "default");
    assert_eq!(event.text(Field::Environment), Some("live"));
    assert_eq!(event.text(Field::Source), Some("first_party_server"));
    assert_eq!(event.text(Field::PrivacyBasis), Some("unknown"));
}

#[test]
fn every_mistake_is_named_with_its_place() {
    let cases: &[(String, &str, &str)] = &[
        ("".into(), "empty", ""),
        ("  \n".into(), "empty", ""),
        ("{\"a\"".into(), "not_json", ""),
        ("hello".into(), "not_json", ""),
        ("[1]".into(), "not_an_object", ""),
        ("null".into(), "not_an_object", ""),
        (with(r#","occured_at":"x""#), "unknown_field", "/occured_at"),
        (
            with(r#","integration":{"kye":"x"}"#),
            "unknown_field",
            "/integration/kye",
        ),
        (
            with(r#","integration":"xero""#),
            "wrong_type",
            "/integration",
        ),
        (with(r#","seq":"1""#), "wrong_type", "/seq"),
        (with(r#","seq":1.5"#), "wrong_type", "/seq"),
        (with(r#","seq":-1"#), "out_of_range", "/seq"),
        (
            with(r#","journey_id":"k""#),
            "duplicate_field",
            "/journey_id",
        ),
        (with(r#","user_id":"""#), "bad_value", "/user_id"),
        (
            with(r#","environment":"staging""#),
            "bad_value",
            "/environment",
        ),
        (with(r#","attrs":[1]"#), "wrong_type", "/attrs"),
        (with(r#","attrs":{"a":{}}"#), "wrong_type", "/attrs/a"),
        (
            with(r#","experiments":[{"id":"x"}]"#),
            "bad_value",
            "/experiments/0",
        ),
        (
            with("").replace("attempt.opened", "experiment.exposed"),
            "missing_field",
            "/experiments",
        ),
        (
            with(r#","experiments":[]"#).replace("attempt.opened", "experiment.assigned"),
            "missing_field",
            "/experiments",
        ),
        (
            with(r#","schema_version":"2.0""#),
            "unsupported_version",
            "/schema_version",
        ),
        (
            with("").replace("attempt.opened", "attempt.opend"),
            "unknown_event",
            "/event",
        ),
        (
            with("").replace("attempt.opened", "journey.stuck"),
            "unknown_event",
            "/event",
        ),
        (
            with("").replace("attempt.opened", "custom.Bad"),
            "unknown_event",
            "/event",
        ),
        (
            with("").replace("2026-", "1970-"),
            "bad_time",
            "/occurred_at",
        ),
        (
            with("").replace("2026-", "2100-"),
            "bad_time",
            "/occurred_at",
        ),
        (
            with("").replace("T09:00:00Z", ""),
            "bad_time",
            "/occurred_at",
        ),
        (
            with("").replace(r#""journey_id":"j""#, r#""seq":1"#),
            "no_id",
            "",
        ),
        (
            with("").replace(r#""event_id":"e","#, ""),
            "missing_field",
            "/event_id",
        ),
    ];
    for (json, code, pointer) in cases {
        assert_eq!(refusal(json), (*code, (*pointer).to_owned()), "{json}");
    }
    let huge = format!("\"{}\"", "x".repeat(MAX_MESSAGE_BYTES));
    assert_eq!(refusal(&huge).0, "too_large");
    assert_eq!(
        decode(b"{\"a\":\xff}", &Defaults::default(), NOW_US)
            .unwrap_err()
            .code,
        "invalid_utf8"
    );
}

#[test]
fn a_typo_gets_a_hint() {
    let json = with(r#","occured_at":"x""#);
    let refusal = decode(json.as_bytes(), &Defaults::default(), NOW_US).unwrap_err();
    assert_eq!(refusal.detail, "unknown field; did you mean occurred_at?");
}

#[test]
fn secrets_are_dropped_by_name_and_their_names_kept() {
    let json = with(
        r#","access_token":"tok","email":["x"],"integration":{"key":"xero","password":1},"attrs":{"iban":"FR76","plan":"pro"}"#,
    );
    let event = decode(json.as_bytes(), &Defaults::default(), NOW_US).unwrap();
    assert_eq!(
        event.dropped_fields(),
        [
            "access_token",
            "email",
            "integration.password",
            "attrs.iban"
        ]
    );
    let mut out = Vec::new();
    event.to_json(&mut out);
    let out = String::from_utf8(out).unwrap();
    assert!(!out.contains("tok\"") && !out.contains("FR76"), "{out}");
}

#[test]
fn a_denied_consent_is_suppressed_whatever_else_is_wrong() {
    let json =
        with(r#","occured_at":"x","seq":"a","attrs":3,"privacy":{"analytics_consent":"denied"}"#);
    let refusal = decode(json.as_bytes(), &Defaults::default(), NOW_US).unwrap_err();
    assert_eq!(refusal.code, "consent_denied");
    assert!(refusal.is_suppressed());
}

#[test]
fn an_unknown_word_is_other_and_its_text_is_kept() {
    let json = with(r#","category":"knitting""#);
    let event = decode(json.as_bytes(), &Defaults::default(), NOW_US).unwrap();
    assert_eq!(event.text(Field::Category), Some("other"));
    assert_eq!(event.attrs(), [("raw.category".into(), "knitting".into())]);
}

#[test]
fn a_newer_minor_version_may_bring_unknown_fields() {
    let json = with(r#","schema_version":"1.3","sparkle":{"x":1}"#);
    let event = decode(json.as_bytes(), &Defaults::default(), NOW_US).unwrap();
    assert_eq!(event.dropped_fields(), ["sparkle"]);
}

#[test]
fn another_tenants_name_is_refused_under_a_key() {
    let defaults = Defaults {
        tenant: "a".into(),
        force_tenant: true,
        ..Defaults::default()
    };
    let json = with(r#","tenant_id":"b""#);
    assert_eq!(
        decode(json.as_bytes(), &defaults, NOW_US).unwrap_err().code,
        "tenant_mismatch"
    );
}

#[test]
fn canonical_json_decodes_to_the_same_event() {
    let json = with(
        r#","integration":{"key":"xero","name":"Xé\"ro"},"sca":{"required":true},"consent":{"purposes":["a","b"],"valid_until":"2027-01-01T00:00:00.000001Z"},"attrs":{"n":1.5,"t":"x"},"experiments":[{"id":"x","variant":"a","unit":"company","exposed":true}],"password":"p""#,
    );
    let first = decode(json.as_bytes(), &Defaults::default(), NOW_US).unwrap();
    let mut text = Vec::new();
    first.to_json(&mut text);
    let second = decode(&text, &Defaults::default(), NOW_US).unwrap();
    let mut again = Vec::new();
    second.to_json(&mut again);
    assert_eq!(
        String::from_utf8(text).unwrap(),
        String::from_utf8(again).unwrap()
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn hostile_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode(&bytes, &Defaults::default(), NOW_US);
    }

    #[test]
    fn cut_and_garbled_events_never_panic(cut in 0usize..300, at in 0usize..300, byte in any::<u8>()) {
        let json = with(r#","integration":{"key":"xero"},"attrs":{"a":"b"},"experiments":[{"id":"x","variant":"a","unit":"user","exposed":true}]"#);
        let mut bytes = json.into_bytes();
        let len = bytes.len();
        bytes[at % len] = byte;
        bytes.truncate(cut.min(len));
        let _ = decode(&bytes, &Defaults::default(), NOW_US);
    }
}
