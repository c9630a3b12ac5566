//! Dead letters are listed newest first, page by page, redacted.

use linkfunnel_store::{RejectKind, RejectRow};

use super::World;
use crate::{DeadLettersQuestion, Sealed};

async fn world(letters: u8) -> World {
    let mut world = World::of("").await;
    for i in 0..letters {
        let payload = format!("{{\"email\":\"a{i}@example.org\",\"n\":{i}}}");
        world.reject(&RejectRow {
            kind: if i == 3 {
                RejectKind::Suppressed
            } else {
                RejectKind::DeadLetter
            },
            code: "unknown_field",
            pointer: "/x",
            detail: "no such field",
            payload: (i != 3).then_some(payload.as_bytes()),
            key_id: Some("k1"),
        });
    }
    world
}

fn unseal(sealed: Sealed<'_>) -> Option<Vec<u8>> {
    assert_eq!(sealed.key_id, Some("k1"));
    Some(sealed.payload.to_vec())
}

#[tokio::test]
async fn pages_hold_each_dead_letter_once_newest_first() {
    let mut world = world(8).await;
    for _ in 0..2 {
        let (mut offsets, mut question) = (Vec::new(), DeadLettersQuestion::default());
        question.limit = Some(3);
        loop {
            let page = world
                .engine
                .dead_letters("default", question.clone(), &unseal)
                .await
                .unwrap();
            assert_eq!(page.count, 7);
            offsets.extend(page.dead_letters.iter().map(|l| l.offset));
            question.cursor = page.next_cursor;
            if question.cursor.is_none() {
                break;
            }
        }
        assert_eq!(offsets, [7, 6, 5, 4, 2, 1, 0]);
        world.commit().await;
    }
}

#[tokio::test]
async fn what_is_shown_is_redacted_and_says_what_is_wrong() {
    let world = world(1).await;
    let page = world
        .engine
        .dead_letters("default", DeadLettersQuestion::default(), &unseal)
        .await
        .unwrap();
    let letter = &page.dead_letters[0];
    assert_eq!(
        (letter.code.as_str(), letter.pointer.as_str()),
        ("unknown_field", "/x")
    );
    assert_eq!(letter.id, "test/0/0/0");
    let shown = letter.message.as_deref().unwrap();
    assert!(!shown.contains("example.org"), "{shown}");
    let other = world
        .engine
        .dead_letters("other", DeadLettersQuestion::default(), &unseal)
        .await
        .unwrap();
    assert_eq!((other.count, other.dead_letters.len()), (0, 0));
}

#[tokio::test]
async fn a_bad_cursor_or_limit_is_refused() {
    let world = world(1).await;
    let bad = DeadLettersQuestion {
        cursor: Some("x".into()),
        ..Default::default()
    };
    assert_eq!(
        world
            .engine
            .dead_letters("default", bad, &unseal)
            .await
            .unwrap_err()
            .code(),
        "bad_cursor"
    );
    let none = DeadLettersQuestion {
        limit: Some(0),
        ..Default::default()
    };
    assert_eq!(
        world
            .engine
            .dead_letters("default", none, &unseal)
            .await
            .unwrap_err()
            .pointer(),
        "/limit"
    );
}
