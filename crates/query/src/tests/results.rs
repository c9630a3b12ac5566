//! Tags of results: the same while the numbers are, another as soon as they may not be.

use std::collections::HashMap;

use linkfunnel_model::{CompareWord, Include, Interval, Range};
use serde_json::{Value, json};

use super::{DAY, SECOND, T0, World, short, short_with};
use crate::{FunnelAnswer, ResultQuestion};

const HOUR: i64 = 3_600 * SECOND;

fn asked() -> ResultQuestion {
    ResultQuestion {
        funnel: "my".into(),
        range: Some(Range {
            from: "2026-09-01".into(),
            to: "2026-09-11".into(),
            timezone: "UTC".into(),
        }),
        ..ResultQuestion::default()
    }
}

impl World {
    async fn with_funnel(lines: &str) -> World {
        let mut world = World::new().await;
        world.add(lines);
        world.define("my", short()).await;
        world
    }

    async fn define(&self, id: &str, definition: Value) {
        let content = json!({"name": id, "definition": definition});
        let content = serde_json::from_value(content).unwrap();
        let saved = self
            .engine
            .save_funnel(&self.tenant, id, "ann", &content, &|_| true);
        saved.await.unwrap();
    }

    /// The tag now, whatever is known.
    async fn tag(&self, question: &ResultQuestion) -> String {
        let result = self
            .engine
            .funnel_result(&self.tenant, question.clone(), &|_| false)
            .await;
        let result = result.unwrap();
        assert!(result.value.is_some());
        result.tag
    }

    /// Whether a client with this tag is told that it has the numbers of now.
    async fn holds(&self, question: &ResultQuestion, tag: &str) -> bool {
        let known = |other: &str| other == tag;
        let result = self
            .engine
            .funnel_result(&self.tenant, question.clone(), &known)
            .await;
        let result = result.unwrap();
        assert_eq!(result.value.is_none(), result.tag == tag);
        result.value.is_none()
    }
}

/// All that an answer counts, without when it was made.
fn numbers(answer: &FunnelAnswer) -> Value {
    let mut json = serde_json::to_value(answer).unwrap();
    let meta = json["meta"].as_object_mut().unwrap();
    meta.retain(|name, _| {
        [
            "without_subject",
            "without_entry",
            "filtered_by_default",
            "warnings",
        ]
        .contains(&&**name)
    });
    json
}

#[tokio::test]
async fn a_tag_holds_until_rows_come_and_through_commits_and_compactions() {
    let mut world = World::with_funnel("0 j1 opened \n 1 j1 chose").await;
    world.watermark(20 * DAY);
    let question = asked();
    let tag = world.tag(&question).await;
    assert!(world.holds(&question, &tag).await);
    world.commit().await;
    assert!(world.holds(&question, &tag).await);
    world.add("2 j1 linked");
    assert!(!world.holds(&question, &tag).await);
    let tag = world.tag(&question).await;
    world.commit().await;
    world.compact().await;
    assert!(world.holds(&question, &tag).await);
}

#[tokio::test]
async fn a_tag_of_open_subjects_ends_when_time_passes_and_one_of_settled_ones_does_not() {
    let world = World::with_funnel("0 j1 opened \n 1h j1 chose").await;
    let question = asked();
    world.watermark(23 * HOUR);
    let open = world.tag(&question).await;
    assert!(world.holds(&question, &open).await, "nothing happened");
    world.watermark(24 * HOUR - 1);
    assert!(
        !world.holds(&question, &open).await,
        "the open one is followed further"
    );
    let last = world.tag(&question).await;
    world.watermark(24 * HOUR);
    assert!(
        !world.holds(&question, &last).await,
        "its window is over: it dropped"
    );
    let settled = world.tag(&question).await;
    for hours in [25, 48, 1_000] {
        world.watermark(hours * HOUR);
        assert!(world.holds(&question, &settled).await, "{hours} h");
    }
}

#[tokio::test]
async fn a_tag_ends_when_a_bucket_of_the_trend_matures() {
    let world = World::with_funnel("0 j1 opened").await;
    let question = ResultQuestion {
        interval: Some(Interval::Day),
        ..asked()
    };
    world.watermark(25 * HOUR);
    let tag = world.tag(&question).await;
    world.watermark(48 * HOUR - 2);
    assert!(
        world.holds(&question, &tag).await,
        "the first day is not over for everybody"
    );
    world.watermark(48 * HOUR - 1);
    assert!(!world.holds(&question, &tag).await);
    assert!(world.holds(&asked(), &world.tag(&asked()).await).await);
}

#[tokio::test]
async fn a_tag_is_of_one_question_one_definition_and_one_tenant() {
    let mut world = World::with_funnel("0 j1 opened").await;
    world.watermark(20 * DAY);
    let tag = world.tag(&asked()).await;
    let others = [
        ResultQuestion {
            by: vec!["category".into()],
            ..asked()
        },
        ResultQuestion {
            interval: Some(Interval::Week),
            ..asked()
        },
        ResultQuestion {
            timezone: Some("Europe/Paris".into()),
            range: None,
            ..asked()
        },
        ResultQuestion {
            include: vec![Include::TimeToConvert],
            ..asked()
        },
        ResultQuestion {
            filters: serde_json::from_value(json!([{"field": "surface", "op": "exists"}])).unwrap(),
            ..asked()
        },
    ];
    for other in &others {
        assert!(!world.holds(other, &tag).await, "{other:?}");
    }
    world
        .define("my", short_with(json!({"window": "PT2H"})))
        .await;
    assert!(!world.holds(&asked(), &tag).await);
    world.define("my", short()).await;
    assert!(
        !world.holds(&asked(), &tag).await,
        "the answer names another version"
    );
    let tag = world.tag(&asked()).await;
    world.tenant = "bolt".into();
    world.define("my", short()).await;
    assert!(!world.holds(&asked(), &tag).await);
}

#[tokio::test]
async fn the_default_range_is_the_same_all_day() {
    let world = World::with_funnel("0 j1 opened").await;
    world.watermark(40 * DAY);
    let question = ResultQuestion {
        range: None,
        ..asked()
    };
    let at = |us: i64| {
        world
            .now
            .store(T0 + us, std::sync::atomic::Ordering::Relaxed)
    };
    at(20 * DAY);
    let tag = world.tag(&question).await;
    at(21 * DAY - 1);
    assert!(world.holds(&question, &tag).await);
    at(21 * DAY);
    assert!(
        !world.holds(&question, &tag).await,
        "the range moved on with the day"
    );
}

#[tokio::test]
async fn a_result_asked_of_a_view_has_the_tag_of_that_view() {
    let mut world = World::with_funnel("0 j1 opened").await;
    world.watermark(HOUR);
    let answer = world
        .engine
        .funnel_result("default", asked(), &|_| false)
        .await
        .unwrap();
    let as_of = ResultQuestion {
        as_of: Some(answer.value.unwrap().meta.snapshot),
        ..asked()
    };
    let tag = world.tag(&as_of).await;
    world.add("1 j1 chose");
    world.watermark(DAY);
    world
        .define("my", short_with(json!({"window": "PT2H"})))
        .await;
    assert!(world.holds(&as_of, &tag).await, "nothing of it changes");
    assert!(!world.holds(&asked(), &tag).await);
}

/// Numbers that are the same for the same seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: i64) -> i64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        i64::try_from(self.0 >> 33).unwrap() % sides
    }

    fn one_of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[usize::try_from(self.roll(i64::try_from(all.len()).unwrap())).unwrap()]
    }
}

fn line(dice: &mut Dice) -> String {
    let event = dice.one_of(&["opened", "chose", "linked", "uploaded"]);
    let integration = dice.one_of(&["xero", "sage"]);
    let (hour, journey) = (dice.roll(72), dice.roll(6));
    format!("{hour}h j{journey} {event} integration={integration} country=FR")
}

/// Rows come, time passes, tables are compacted, definitions change, in any order: whenever a client
/// is told that it has the numbers of now, asking says the same numbers.
#[tokio::test]
async fn whoever_is_told_that_nothing_changed_has_the_numbers_of_now() {
    let variants = [
        asked(),
        ResultQuestion {
            interval: Some(Interval::Day),
            by: vec!["integration".into()],
            ..asked()
        },
        ResultQuestion {
            by: vec!["country".into()],
            include: vec![Include::TimeToConvert, Include::Reasons],
            ..asked()
        },
        ResultQuestion {
            range: Some(Range {
                from: "2026-09-02".into(),
                to: "2026-09-03".into(),
                timezone: "UTC".into(),
            }),
            compare: Some(CompareWord::PreviousPeriod),
            by: vec!["integration".into()],
            ..asked()
        },
    ];
    let definitions = [
        json!({}),
        json!({"window": "PT2H"}),
        json!({"entries": "best"}),
        json!({"entries": "all", "window": "PT30H"}),
        json!({"order": "unordered"}),
        json!({"order": "strict", "hold_constant": ["integration"]}),
        json!({"exclude": [{"event": "file.uploaded", "after": 1, "before": 3}], "on_exclude": "discard_subject"}),
    ];
    let (mut told, mut asked_anew) = (0, 0);
    for seed in 0..28 {
        let mut dice = Dice(seed);
        let mut world = World::with_funnel("").await;
        let definition = definitions[usize::try_from(seed).unwrap() % definitions.len()].clone();
        world.define("my", short_with(definition)).await;
        let mut given: HashMap<String, Value> = HashMap::new();
        let mut hours = 0;
        for turn in 0..60 {
            match dice.roll(8) {
                0 => world.add(&line(&mut dice)),
                1 => world.commit().await,
                2 if dice.roll(4) == 0 => world.compact().await,
                3 if dice.roll(4) == 0 => {
                    let definition = dice.one_of(&definitions).clone();
                    world.define("my", short_with(definition)).await;
                }
                4 | 5 => {
                    hours += dice.roll(30);
                    world.watermark(hours * HOUR);
                }
                _ => {}
            }
            let question = dice.one_of(&variants);
            let now = world
                .engine
                .funnel_result("default", question.clone(), &|_| false)
                .await;
            let now = now.unwrap();
            let numbers_now = numbers(now.value.as_ref().unwrap());
            let known = |tag: &str| given.contains_key(tag);
            let result = world
                .engine
                .funnel_result("default", question.clone(), &known)
                .await;
            let result = result.unwrap();
            if result.value.is_none() {
                told += 1;
                assert_eq!(given[&result.tag], numbers_now, "seed {seed}, turn {turn}");
            } else {
                asked_anew += 1;
            }
            given.insert(now.tag, numbers_now);
        }
    }
    assert!(
        told > 100 && asked_anew > 100,
        "{told} told, {asked_anew} asked anew"
    );
}
