//! Semantics scenarios "Time", "Trend" and "State".

use serde_json::json;

use super::{DAY, SECOND, World, line, short_with};

#[tokio::test]
async fn a_step_at_the_windows_end_counts_and_one_microsecond_later_does_not() {
    let world = World::of(
        "0 j1 opened \n 1 j1 chose \n 1d j1 linked
         0 j2 opened \n 1 j2 chose \n 1d+1us j2 linked",
    )
    .await;
    assert_eq!(world.total(json!({})).await, "2 = 1 + 1 + 0, reached 2 2 1");
}

#[tokio::test]
async fn a_window_of_nothing_takes_one_instant_and_a_hundred_years_take_all() {
    let world = World::of(
        "0 j1 opened \n 0 j1 chose \n 0 j1 linked \n 0 j2 opened \n 1 j2 chose \n 2 j2 linked",
    )
    .await;
    let window = |w| json!({"funnel": short_with(json!({"window": w}))});
    assert_eq!(
        world.total(window("PT0S")).await,
        "2 = 1 + 1 + 0, reached 2 1 1"
    );
    assert_eq!(
        world.total(window("P36135D")).await,
        "2 = 2 + 0 + 0, reached 2 2 2"
    );
}

#[tokio::test]
async fn gaps_are_measured_from_the_required_step_before() {
    let steps = json!([
        {"name": "Opened", "event": "attempt.opened"},
        {"name": "Linked", "event": "connection.linked", "min_gap": "PT2S", "max_gap": "PT4S"},
    ]);
    let funnel = json!({"funnel": short_with(json!({"steps": steps}))});
    let world = World::of(
        "0 j1 opened \n 1 j1 linked \n 0 j2 opened \n 2 j2 linked \n 0 j3 opened \n 4 j3 linked
         0 j4 opened \n 5 j4 linked \n 0 j5 opened \n 3 j5 opened \n 7 j5 linked",
    )
    .await;
    assert_eq!(world.total(funnel).await, "5 = 3 + 2 + 0, reached 5 3");
}

#[tokio::test]
async fn entries_begin_inside_the_half_open_range_and_are_read_to_the_windows_end() {
    let world = World::of(
        "9d j1 opened \n 10d j1 chose \n 10d j1 linked
         10d j2 opened \n 11d j2 chose \n 11d j2 linked
         11d j3 opened
         9d j4 opened \n 10d+5 j4 opened \n 10d+6 j4 chose \n 11d+5 j4 linked",
    )
    .await;
    let answer = world
        .ask(json!({"range": {"from": "2026-09-11", "to": "2026-09-12"}}))
        .await;
    assert_eq!(line(&answer.total), "2 = 2 + 0 + 0, reached 2 2 2");
}

#[tokio::test]
async fn times_are_measured_from_the_clocks_start_and_never_above_the_window() {
    let world =
        World::of("0 j1 opened \n 10 j1 chose \n 70 j1 linked \n 0 j2 opened \n 30 j2 chose").await;
    let answer = world.ask(json!({"include": ["time_to_convert"]})).await;
    let near = |value: Option<f64>, expect: f64| (value.unwrap() - expect).abs() <= 0.01 * expect;
    let steps = &answer.total.steps;
    assert!(near(steps[2].time_from_entry_ms.p50, 70_000.0));
    assert!(near(steps[2].time_from_previous_ms.p50, 60_000.0));
    assert!(near(steps[1].time_from_entry_ms.p95, 30_000.0));
    let times = answer.total.time_to_convert.unwrap();
    assert!(near(times.converted_ms.p95, 70_000.0));
    assert_eq!(times.bins.iter().map(|b| b.count).sum::<u64>(), 1);
    assert_eq!(world.ask(json!({})).await.total.time_to_convert, None);
}

#[tokio::test]
async fn a_subject_is_open_until_the_watermark_passes_its_window() {
    let mut world = World::new().await;
    world.add("0 j1 opened \n 5 j1 attempt.exited \n 0 j2 opened \n 1 j2 chose \n 2 j2 linked");
    world.watermark(DAY - 1);
    let young = world.ask(json!({})).await;
    assert_eq!(line(&young.total), "2 = 1 + 0 + 1, reached 2 1 1");
    assert_eq!(young.total.matured.entered, 0);
    assert_eq!(young.total.rate.code.as_deref(), Some("not_matured"));
    assert_eq!(young.total.rate_so_far.value, Some(0.5));
    assert_eq!(
        young.total.rate_expected.code.as_deref(),
        Some("not_observed_to_window")
    );
    world.watermark(DAY);
    let old = world.ask(json!({})).await;
    assert_eq!(line(&old.total), "2 = 1 + 1 + 0, reached 2 1 1");
    assert_eq!(old.total.rate.value, Some(0.5));
}

#[tokio::test]
async fn without_a_watermark_every_clock_runs_and_the_answer_says_so() {
    let mut world = World::new().await;
    world.add("0 j1 opened");
    let answer = world.ask(json!({})).await;
    if answer.meta.watermark.is_none() {
        assert_eq!(line(&answer.total), "1 = 0 + 0 + 1, reached 1 0 0");
        assert_eq!(answer.meta.warnings[0].code, "no_watermark");
    }
}

#[tokio::test]
async fn a_retry_after_the_clocks_end_does_not_convert() {
    let world = World::of("0 j1 opened \n 2d j1 opened \n 2d+1 j1 chose \n 2d+2 j1 linked").await;
    assert_eq!(world.total(json!({})).await, "1 = 0 + 1 + 0, reached 1 0 0");
}

#[tokio::test]
async fn the_matured_rate_of_a_young_cohort_is_not_flattered_by_the_fast() {
    let mut world = World::new().await;
    // 70 of 100 link after 20 h, half of them started a day ago, half just now; the fast 10 link at once.
    let mut lines = String::new();
    for i in 0..200 {
        let start = if i < 100 { 0 } else { 2 * 86_400 };
        lines += &format!("{start} j{i} opened\n");
        let after = match i % 100 {
            0..10 => 10,
            10..70 => 20 * 3_600,
            _ => continue,
        };
        let at = start + after;
        if at <= 2 * 86_400 + 3_600 {
            lines += &format!("{at} j{i} chose\n{at} j{i} linked\n");
        }
    }
    world.add(&lines);
    world.watermark(2 * DAY + 3_600 * SECOND);
    let total = world.ask(json!({})).await.total;
    assert_eq!(total.rate.value, Some(0.7));
    assert_eq!(line(&total), "200 = 80 + 30 + 90, reached 200 80 80");
}

#[tokio::test]
async fn a_late_event_converts_a_subject_in_its_own_bucket_only() {
    let mut world = World::of("0 j1 opened \n 1 j1 chose \n 1d j2 opened").await;
    let trend = json!({"interval": "day", "range": {"from": "2026-09-01", "to": "2026-09-03"}});
    let before = world.ask(trend.clone()).await.trend;
    world.add("5 j1 linked");
    let after = world.ask(trend).await.trend;
    assert_eq!((before[0].converted, after[0].converted), (0, 1));
    assert_eq!(before[1], after[1]);
}

#[tokio::test]
async fn the_trend_has_every_interval_and_adds_up_to_the_total() {
    let world = World::of(
        "0 j1 opened \n 1d+23h j2 opened \n 1d+23h j2 chose \n 1d+23h j2 linked \n 4d j3 opened",
    )
    .await;
    for (interval, buckets) in [("hour", 30 * 24), ("day", 30), ("week", 5), ("month", 1)] {
        let answer = world.ask(json!({"interval": interval})).await;
        assert_eq!(answer.trend.len(), buckets, "{interval}");
        let sum = |f: fn(&crate::TrendBucket) -> u64| answer.trend.iter().map(f).sum::<u64>();
        assert_eq!(sum(|b| b.entered), answer.total.entered);
        assert_eq!(sum(|b| b.converted), answer.total.converted);
        assert_eq!(sum(|b| b.dropped), answer.total.dropped);
        let empty = answer.trend.iter().find(|b| b.entered == 0);
        assert!(empty.is_none_or(|b| b.rate.code.as_deref() == Some("nobody_entered")));
    }
}

#[tokio::test]
async fn the_zone_moves_an_entry_to_another_day() {
    let world = World::of("1d+23h j1 opened").await;
    for (zone, day) in [("UTC", 1), ("Europe/Paris", 2), ("America/New_York", 1)] {
        let range = json!({"from": "2026-09-01", "to": "2026-09-05", "timezone": zone});
        let answer = world.ask(json!({"interval": "day", "range": range})).await;
        let entered: Vec<u64> = answer.trend.iter().map(|b| b.entered).collect();
        assert_eq!(
            entered.iter().position(|e| *e == 1),
            Some(day),
            "{zone} {entered:?}"
        );
    }
}

#[tokio::test]
async fn buckets_say_whether_they_are_matured_and_whether_they_are_whole() {
    let mut world = World::new().await;
    world.add("0 j1 opened \n 2d j2 opened");
    world.watermark(2 * DAY);
    let range = json!({"from": "2026-09-01T12:00:00Z", "to": "2026-09-04"});
    let trend = world
        .ask(json!({"interval": "day", "range": range}))
        .await
        .trend;
    let said: Vec<(bool, bool)> = trend.iter().map(|b| (b.partial, b.is_matured)).collect();
    assert_eq!(said, [(true, true), (false, false), (false, false)]);
    assert_eq!(trend[0].start, "2026-09-01T00:00:00Z");
}

#[tokio::test]
async fn groups_have_trends_of_their_own_that_add_up_to_the_whole() {
    let world = World::of(
        "0 j1 opened category=banking \n 1d j2 opened category=accounting \n 1d j3 opened",
    )
    .await;
    let answer = world
        .ask(json!({"interval": "day", "breakdown": {"by": ["category"]}}))
        .await;
    for (i, bucket) in answer.trend.iter().enumerate() {
        assert_eq!(
            bucket.entered,
            answer
                .groups
                .iter()
                .map(|g| g.trend[i].entered)
                .sum::<u64>()
        );
    }
}

#[tokio::test]
async fn a_watermark_at_one_instant_is_shown_as_such() {
    let world = World::of("0 j1 opened").await;
    let meta = world.ask(json!({})).await.meta;
    assert_eq!(meta.watermark.as_deref(), Some("2026-10-11T00:00:00Z"));
    assert_eq!(meta.complete_until.as_deref(), Some("2026-10-01T00:00:00Z"));
}
