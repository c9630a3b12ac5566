//! What is kept of a measurement holds as long as a new one would say the same.

use serde_json::json;

use super::experiment_results::{asked, definition, told, try_results, without_meta, world};
use super::{DAY, World, merge};
#[tokio::test]
async fn what_is_kept_of_a_result_is_what_a_new_one_would_say() {
    let mut world = world(
        "journey",
        "0 a opened exp=old\n0 b opened exp=new\n41d c opened exp=new\n41d+1 c linked",
    )
    .await;
    let at = |world: &World, us: i64| {
        world.watermark(us);
        let fresh = world.engine(1);
        let kept = world.engine.clone();
        async move {
            let kept = try_results(&kept, &asked(), definition(json!({})))
                .await
                .unwrap();
            let fresh = try_results(&fresh, &asked(), definition(json!({})))
                .await
                .unwrap();
            assert_eq!(without_meta(&kept), without_meta(&fresh));
            kept.variants[1].units
        }
    };
    // settled, settled a moment later, then a day begins, an exposure comes up, its window runs and ends
    for (us, units) in [
        (40 * DAY, 1),
        (40 * DAY + 5, 1),
        (41 * DAY - 1, 1),
        (41 * DAY, 2),
        (41 * DAY + 3, 2),
        (41 * DAY + 9, 2),
        (42 * DAY + 9, 2),
    ] {
        assert_eq!(at(&world, us).await, units, "{us}");
    }
    let more = [told("9 d opened exp=new", 99, "journey")];
    world.publish(0, &more);
    assert_eq!(at(&world, 42 * DAY + 10).await, 3);
}

#[tokio::test]
async fn what_is_kept_holds_for_short_windows_and_for_journeys_of_companies() {
    let lines = "0 - experiment.exposed exp=old company_id=a
         1 ja opened company_id=a
         0 - experiment.exposed exp=new company_id=b
         2 jb opened company_id=b
         40d+5h jc opened company_id=a
         40d+9h - experiment.exposed exp=new company_id=c
         40d+10h jd opened company_id=c";
    let hour = json!({"funnel": super::short_with(json!({"window": "PT1H"}))});
    for fields in [
        json!({"unit": "company"}),
        json!({"unit": "company", "end": "2026-10-11"}),
        merged(json!({"unit": "company"}), &hour),
        merged(
            json!({"unit": "company", "funnel": super::short_with(json!({"subject": "company", "window": "PT1H"}))}),
            &json!({}),
        ),
        merged(
            json!({"unit": "company", "method": {"sequential": {"looks": 2}}, "planned_units": 4}),
            &json!({"funnel": super::short_with(json!({"subject": "company", "window": "PT1H"}))}),
        ),
    ] {
        let world = world("company", lines).await;
        let kept = world.engine.clone();
        for minutes in (-90..40 * 60).step_by(35) {
            world.watermark(40 * DAY + minutes * 60 * super::SECOND);
            let fresh = world.engine(1);
            let kept = try_results(&kept, &asked(), definition(fields.clone()))
                .await
                .unwrap();
            let fresh = try_results(&fresh, &asked(), definition(fields.clone()))
                .await
                .unwrap();
            assert_eq!(
                without_meta(&kept),
                without_meta(&fresh),
                "{minutes} min: {fields}"
            );
        }
    }
}

fn merged(mut fields: serde_json::Value, more: &serde_json::Value) -> serde_json::Value {
    merge(&mut fields, more.clone());
    fields
}
