use arrow::array::{Array, AsArray};
use arrow::datatypes::Int64Type;
use linkfunnel_model::{Event, EventName, Experiment, Field, IdKind, Value, event_key, id_key};

use super::lab::{longs, texts};
use crate::*;

const AT: RowPosition<'_> = RowPosition {
    stream: "s",
    partition: 3,
    offset: 9,
    index: 1,
};

fn full_event() -> Event<'static> {
    Event::new("e1", EventName::AttemptExited, 1_000_001)
        .with(Field::TenantId, "t")
        .with(Field::CompanyId, "c")
        .with(Field::AttemptId, "a")
        .with(Field::StepIndex, 5_i64)
        .with(Field::ReasonRecoverable, true)
        .with(Field::ConsentValidUntil, Value::Instant(7))
        .with(
            Field::ConsentPurposes,
            Value::Texts(vec!["x".into(), "y".into()]),
        )
        .with_attr("k", "v")
        .with_attr_num("n", 1.5)
        .with_experiment(Experiment {
            id: "x".into(),
            variant: "b".into(),
            unit: "company",
            exposed: true,
        })
}

#[test]
fn an_event_comes_back_as_it_was_pushed() {
    let (mut builder, event) = (EventBatchBuilder::new(), full_event());
    builder.push(AT, 5, &event);
    assert!(builder.len() == 1 && builder.bytes() > 60);
    let rows = [builder.finish()];
    let text = |column: &str| texts(&rows, rows[0].schema().index_of(column).unwrap()).remove(0);
    let expected = [
        ("_stream", "s"),
        ("_partition", "3"),
        ("_offset", "9"),
        ("_index", "1"),
        ("tenant_id", "t"),
        ("root_kind", "company"),
        ("event", "attempt.exited"),
        ("occurred_at", "1970-01-01T00:00:01.000001Z"),
        ("received_at", "1970-01-01T00:00:00.000005Z"),
        ("consent_valid_until", "1970-01-01T00:00:00.000007Z"),
        ("company_id", "c"),
        ("attempt_id", "a"),
        ("step_index", "5"),
        ("reason_recoverable", "true"),
        ("consent_purposes", "[x, y]"),
        ("attrs", "{k: v}"),
        ("attrs_num", "{n: 1.5}"),
        (
            "experiments",
            "[{id: x, variant: b, unit: company, exposed: true}]",
        ),
        ("category", ""),
    ];
    for (column, value) in expected {
        assert_eq!(text(column), value, "{column}");
    }
    let long = |column: &str| longs(&rows, rows[0].schema().index_of(column).unwrap())[0];
    assert_eq!(long(ROOT_KEY), id_key("t", IdKind::Company, "c"));
    assert_eq!(long("company_key"), long(ROOT_KEY));
    assert_eq!(long("attempt_key"), id_key("t", IdKind::Attempt, "a"));
    assert_eq!(long(EVENT_KEY), event_key(&event, 0));
}

#[test]
fn gaps_are_filled_with_nulls_and_a_builder_starts_empty_again() {
    let mut builder = EventBatchBuilder::new();
    let plain = Event::new("e", EventName::JourneyStarted, 0).with(Field::UserId, "u");
    for round in 0..2 {
        for event in [&plain, &plain, &full_event(), &plain] {
            builder.push(AT, 5, event);
        }
        let rows = builder.finish();
        assert_eq!(rows.schema(), table_schema());
        let nulls = |column: &str| {
            let column = rows.column_by_name(column).unwrap();
            (0..column.len())
                .map(|row| column.is_null(row))
                .collect::<Vec<_>>()
        };
        for column in [
            "step_index",
            "attrs",
            "attrs_num",
            "experiments",
            "consent_purposes",
        ] {
            assert_eq!(
                nulls(column),
                [true, true, false, true],
                "{column} in round {round}"
            );
        }
        assert_eq!(nulls("user_key"), [false, false, true, false]);
        assert!(builder.is_empty() && builder.bytes() == 0);
    }
    assert_eq!(builder.finish().num_rows(), 0);
}

#[test]
fn a_reject_comes_back_as_it_was_pushed() {
    let mut builder = RejectBatchBuilder::new();
    let dead = RejectRow {
        kind: RejectKind::DeadLetter,
        code: "unknown_field",
        pointer: "/x",
        detail: "unknown field",
        payload: Some(b"sealed"),
        key_id: Some("k1"),
    };
    let suppressed = RejectRow {
        kind: RejectKind::Suppressed,
        payload: None,
        key_id: None,
        ..dead
    };
    builder.push(AT, "t", 5, &dead);
    builder.push(AT, "t", 5, &suppressed);
    let rows = builder.finish();
    assert_eq!(rows.schema(), reject_schema());
    let payload = rows.column_by_name("payload").unwrap().as_binary::<i32>();
    assert!(payload.value(0) == b"sealed" && payload.is_null(1));
    let kinds = texts(
        std::slice::from_ref(&rows),
        rows.schema().index_of("reject_kind").unwrap(),
    );
    assert_eq!(kinds, ["dead_letter", "suppressed"]);
    let offsets = rows
        .column_by_name(OFFSET)
        .unwrap()
        .as_primitive::<Int64Type>();
    assert_eq!(offsets.values(), &[9, 9]);
}
