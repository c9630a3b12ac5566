//! No secret reaches the disk, in whatever place a sender puts it.

use std::path::Path;

use linkfunnel_model::Defaults;
use linkfunnel_store::Relation;
use tokio_util::sync::CancellationToken;

use super::world::*;
use crate::{Intake, IntakeOptions, LocalConfig, LocalLog, Vault, start_local};

const SECRETS: [&str; 4] = [
    "tok_9f8e7d6c5b4a3f2e1d0c",
    "ann.example@mail.test",
    "FR7630006000011234567890189",
    "user-4711-raw",
];

fn planted() -> Vec<Vec<u8>> {
    let [token, email, iban, user] = SECRETS;
    vec![
        format!(r#"{{"event_id":"s1","event":"attempt.opened","occurred_at":"2026-01-01T00:00:00Z","user_id":"{user}","company_id":"c1","access_token":"{token}","email":"{email}","attrs":{{"iban":"{iban}","platform":"ios"}}}}"#).into_bytes(),
        format!(r#"{{"event_id":"s2","event":"no.such.event","occurred_at":"2026-01-01T00:00:00Z","company_id":"c1","reason":{{"code":"{token}"}},"user_id":"{user}"}}"#).into_bytes(),
        format!("{email} {iban} {token} {user} is not JSON").into_bytes(),
    ]
}

/// The bytes of every file, and what the table says when its columns are read back in the clear.
async fn assert_no_secret(folder: &Path, store: &linkfunnel_store::Store) {
    let mut files = 0;
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            files += 1;
            let bytes = std::fs::read(&path).unwrap();
            for secret in SECRETS {
                let found = bytes.windows(secret.len()).any(|w| w == secret.as_bytes());
                assert!(!found, "{secret} is in {}", path.display());
            }
        }
    }
    assert!(files >= 3, "there was something to search");
    for which in [Relation::EventsRaw, Relation::DeadLetters] {
        for row in rows(store, which, "*").await {
            for secret in SECRETS {
                assert!(
                    !row.iter().any(|cell| cell.contains(secret)),
                    "{secret} is in {row:?}"
                );
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_in_fields_and_in_bad_messages_of_a_topic_are_in_no_file() {
    let (folder, broker) = (tempfile::tempdir().unwrap(), broker(1));
    let reading = Reading::start(config(&broker), open(folder.path()).await);
    produce(&broker, planted().into_iter().map(|m| (0, Some(m)))).await;
    reading.until_committed(&[(0, 2)]).await;
    let dropped = |field: &str| {
        reading
            .metrics
            .dropped_fields
            .with_label_values(&[field])
            .get()
    };
    assert_eq!((dropped("access_token"), dropped("email")), (1, 1));
    let store = reading.store.clone();
    reading.stop().await.unwrap();
    assert_no_secret(folder.path(), &store).await;
    assert_eq!(
        rows(&store, Relation::DeadLetters, "_offset").await.len(),
        2
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_offered_over_http_are_in_no_file_and_the_keys_are_private() {
    let folder = tempfile::tempdir().unwrap();
    let vault = std::sync::Arc::new(Vault::in_folder(folder.path().join("keys"), &[]).unwrap());
    let store = open(folder.path()).await;
    let log = LocalLog::open(&folder.path().join("log.redb")).unwrap();
    let intake = Intake::local(
        log.clone(),
        vault.clone(),
        metrics(),
        clock(),
        IntakeOptions::default(),
    );
    let planted = planted();
    let slices: Vec<&[u8]> = planted.iter().map(Vec::as_slice).collect();
    intake.accept(&Defaults::default(), &slices).await.unwrap();
    assert_no_secret_in_log(&log);
    let shutdown = CancellationToken::new();
    let handle = start_local(
        LocalConfig::default(),
        log,
        store.clone(),
        vault,
        metrics(),
        clock(),
        shutdown.clone(),
    )
    .unwrap();
    until("it is read", || {
        handle
            .status()
            .partitions
            .first()
            .is_some_and(|p| p.position == Some(3))
    })
    .await;
    shutdown.cancel();
    handle.join().await.unwrap();
    assert_no_secret(folder.path(), &store).await;
}

fn assert_no_secret_in_log(log: &LocalLog) {
    for entry in log.read(0, usize::MAX).unwrap() {
        let text = String::from_utf8(entry.record.bytes).unwrap();
        for secret in SECRETS {
            assert!(!text.contains(secret), "{text}");
        }
    }
}
