use std::sync::Arc;

use super::lab::*;
use crate::*;

const FULL: CompactOptions = CompactOptions {
    min_files: 2,
    full: true,
};

/// A view with files and hot rows, and what it showed.
async fn shown(lab: &Lab) -> (SnapshotToken, Vec<String>) {
    commit(
        &lab.store,
        vec![run_of("s", 0, 0, 20), run_of("s", 1, 0, 5)],
    )
    .await;
    commit(&lab.store, vec![run_of("s", 0, 20, 10)]).await;
    lab.store
        .publish_shared(vec![run_of("s", 0, 30, 10), run_of("s", 2, 0, 7)]);
    lab.store.set_watermark(StreamPartition::new("s", 0), 123);
    let view = lab.store.view();
    (view.token(), sorted_ids(&lab.store, &view).await)
}

async fn check(store: &Store, token: &SnapshotToken, expected: &[String]) {
    let view = store.view_as_of(token).await.unwrap();
    assert_eq!(sorted_ids(store, &view).await, expected);
    assert_eq!(view.watermark_us, Some(123));
    assert_eq!(&view.token(), token, "a view of the past keeps its name");
}

#[tokio::test]
async fn the_same_rows_through_later_hot_rows_commits_and_compactions() {
    let lab = Lab::new().await;
    let (token, expected) = shown(&lab).await;
    assert_eq!(expected.len(), 52);
    lab.store
        .publish_shared(vec![run_of("s", 0, 40, 5), run_of("new", 0, 0, 5)]);
    check(&lab.store, &token, &expected).await;
    // one file now holds rows the view had, and others of the same partition
    let segments = vec![
        run_of("s", 0, 30, 15),
        run_of("s", 2, 0, 9),
        run_of("new", 0, 0, 5),
    ];
    commit(&lab.store, segments).await;
    check(&lab.store, &token, &expected).await;
    lab.store.compact(FULL).await.unwrap();
    assert_eq!(lab.store.view().files(), 1);
    check(&lab.store, &token, &expected).await;
    commit(&lab.store, vec![run_of("s", 0, 45, 5)]).await;
    lab.store.compact(FULL).await.unwrap();
    lab.store.maintain().await.unwrap();
    check(&lab.store, &token, &expected).await;
}

#[tokio::test]
async fn the_same_rows_in_another_process_and_after_a_restart() {
    let options = StoreOptions {
        checkpoint_every: 1,
        ..StoreOptions::default()
    };
    let lab = Lab::with(options).await;
    let (token, expected) = shown(&lab).await;
    let other = lab.again().await;
    let early = other.view_as_of(&token).await;
    assert!(matches!(early, Err(Error::Behind { .. })), "{early:?}");
    other.publish_shared(vec![run_of("s", 0, 30, 12), run_of("s", 2, 0, 7)]);
    check(&other, &token, &expected).await; // read again from the stream
    commit(
        &lab.store,
        vec![run_of("s", 0, 30, 10), run_of("s", 2, 0, 7)],
    )
    .await;
    lab.store.compact(FULL).await.unwrap();
    lab.store.maintain().await.unwrap();
    check(&other, &token, &expected).await;
    check(&lab.again().await, &token, &expected).await;
}

#[tokio::test]
async fn a_token_is_honoured_for_a_day_and_then_gone_with_the_reason() {
    let lab = Lab::new().await;
    let (token, expected) = shown(&lab).await;
    lab.pass(DAY_US);
    check(&lab.store, &token, &expected).await;
    lab.pass(1);
    let gone = lab.store.view_as_of(&token).await.unwrap_err();
    assert_eq!(
        gone.to_string(),
        "this view is gone: it was made more than 24 h ago"
    );
}

#[tokio::test]
async fn replaced_files_stay_as_long_as_a_token_and_are_deleted_then() {
    let lab = Lab::new().await;
    let (token, expected) = shown(&lab).await;
    lab.store.compact(FULL).await.unwrap();
    assert_eq!(lab.paths("_kind=event").len(), 3);
    lab.pass(DAY_US);
    assert_eq!(lab.store.maintain().await.unwrap().data_files, 0);
    check(&lab.store, &token, &expected).await;
    lab.pass(2 * 3_600_000_000 + 1000);
    assert_eq!(lab.store.maintain().await.unwrap().data_files, 2);
    assert_eq!(lab.paths("_kind=event").len(), 1);
    assert_eq!(lab.store.maintain().await.unwrap().data_files, 0);
    assert_eq!(
        ids(&lab.store, &lab.store.view()).await.len(),
        expected.len()
    );
}

#[tokio::test]
async fn tokens_of_other_tables_and_damaged_ones_are_refused() {
    let (lab, other) = (Lab::new().await, Lab::new().await);
    let (token, _) = shown(&lab).await;
    let refused = other.store.view_as_of(&token).await;
    assert!(matches!(refused, Err(Error::Token { .. })));
    let mut damaged = token.as_str().to_owned();
    damaged.replace_range(8..9, if &damaged[8..9] == "A" { "B" } else { "A" });
    let refused = lab
        .store
        .view_as_of(&SnapshotToken::from_text(damaged))
        .await;
    assert!(matches!(refused, Err(Error::Token { .. })));
}

#[tokio::test]
async fn copies_that_came_later_do_not_change_what_was_shown() {
    let lab = Lab::new().await;
    let row = |offset, received| (offset, START_US + received, event("a", "c", START_US));
    lab.store
        .publish_shared(vec![segment("s", 0, &[row(0, 100)])]);
    let view = lab.store.view();
    let token = view.token();
    let received =
        async |view: &Arc<ReadView>| longs(&run(&lab.store, view, asked(&[RECEIVED_AT])).await, 0);
    commit(
        &lab.store,
        vec![segment("s", 0, &[row(0, 100), row(1, 50)])],
    )
    .await;
    lab.store.compact(FULL).await.unwrap();
    assert_eq!(received(&lab.store.view()).await, [START_US + 50]);
    let then = lab.store.view_as_of(&token).await.unwrap();
    assert_eq!(received(&then).await, [START_US + 100]);
}

#[tokio::test]
async fn the_number_of_the_rows_changes_with_the_rows_and_with_nothing_else() {
    let lab = Lab::new().await;
    let (token, _) = shown(&lab).await;
    let then = lab.store.view().rows_id();
    lab.store.set_watermark(StreamPartition::new("s", 0), 456);
    lab.pass(DAY_US / 2);
    assert_eq!(lab.store.view().rows_id(), then, "time changes none");
    let other = lab.again().await;
    assert_ne!(other.view().rows_id(), then, "it has no hot rows");
    commit(
        &lab.store,
        vec![run_of("s", 0, 30, 10), run_of("s", 2, 0, 7)],
    )
    .await;
    assert_eq!(lab.store.view().rows_id(), then, "hot rows became files");
    lab.store.compact(FULL).await.unwrap();
    assert_eq!(lab.store.view().rows_id(), then, "files became one");
    other.refresh().await.unwrap();
    assert_eq!(other.view().rows_id(), then, "the same in another process");
    assert_eq!(lab.again().await.view().rows_id(), then);
    for segment in [run_of("s", 0, 40, 1), run_of("new", 0, 0, 1)] {
        let before = lab.store.view().rows_id();
        lab.store.publish_shared(vec![segment]);
        assert_ne!(lab.store.view().rows_id(), before, "a row more");
    }
    let past = lab.store.view_as_of(&token).await.unwrap();
    assert_eq!(past.rows_id(), then, "the rows of then");
}
