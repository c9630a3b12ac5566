//! A disk that is full, for real: it is said, and what was taken in is kept until there is room again.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use linkfunnel_testkit::broker::EmbeddedBroker;
use serde_json::{Value as Json, json};

use crate::ledger::{Handed, await_committed, check_each_once, config, get, number, sql};
use crate::program::{Running, post, until};
use crate::storage::{TOPIC, produce};

/// A small disk of its own.
struct Disk {
    folder: PathBuf,
    _temporary: tempfile::TempDir,
}

impl Disk {
    /// `None` where this process may not mount one.
    fn mount(megabytes: u32) -> Option<Disk> {
        let temporary = tempfile::tempdir().unwrap();
        let folder = temporary.path().join("disk");
        fs::create_dir(&folder).unwrap();
        let size = format!("size={megabytes}m");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(&folder)
            .status();
        let mounted = mounted.is_ok_and(|status| status.success());
        mounted.then_some(Disk {
            folder,
            _temporary: temporary,
        })
    }

    /// Leaves no room.
    fn fill(&self) {
        use std::io::Write as _;
        let mut ballast = fs::File::create(self.folder.join("ballast")).unwrap();
        for size in [1 << 20, 4 << 10, 1] {
            while ballast.write_all(&vec![0; size]).is_ok() {}
        }
    }

    fn free(&self) {
        fs::remove_file(self.folder.join("ballast")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("-l").arg(&self.folder).status();
        assert!(unmounted.is_ok(), "{} stays mounted", self.folder.display());
    }
}

/// Says that a disk could not be mounted, where `tests/run` finds it. The fault-injecting store stands in, see `storage`.
fn no_mount() {
    use std::io::Write as _;
    assert!(
        std::env::var("CI").as_deref() != Ok("true"),
        "no file system may be mounted, and CI=true"
    );
    let thread = std::thread::current();
    let line = format!(
        "{} (this process may not mount a small disk)",
        thread.name().unwrap_or("a test")
    );
    let _ = writeln!(std::io::stderr(), "skipped: {line}");
    if let Some(path) = std::env::var_os("LINKFUNNEL_SKIPPED")
        && let Ok(mut file) = fs::OpenOptions::new().append(true).create(true).open(path)
    {
        let _ = writeln!(file, "{line}");
    }
}

#[test]
fn a_full_disk_is_said_in_one_sentence_and_ingest_goes_on_when_there_is_room_again() {
    let Some(disk) = Disk::mount(8) else {
        return no_mount();
    };
    let folder = tempfile::tempdir().unwrap();
    let broker = EmbeddedBroker::start(TOPIC, 2).unwrap();
    let tables = disk.folder.join("tables");
    let brokers = broker.bootstrap_servers();
    let more = format!(
        "location = {tables:?}\n[ingest]\ncommit_s = 0.3\n[kafka]\nbrokers = {brokers:?}\ntopic = {TOPIC:?}\n"
    );
    let (mut server, url) = Running::serve(&["--config", &config(folder.path(), "a", &more)]);
    let mut sent = BTreeMap::new();
    let mut handed = |ids: std::ops::Range<u64>| -> Handed {
        futures::executor::block_on(produce(&broker, ids, &mut sent));
        sent.iter().map(|(p, last)| (*p, 0..last + 1)).collect()
    };
    await_committed(&url, "/events#1", &handed(0..100));
    disk.fill();
    let all = handed(100..300);
    server.await_said("no space left in the storage");
    let said = server.said();
    let line = said
        .lines()
        .find(|line| line.contains("no space left in the storage"))
        .unwrap();
    assert!(
        line.contains("ERROR")
            && line.contains("commit failed; nothing is lost, it is tried again"),
        "{line}"
    );
    until("everything can be asked for", || {
        (number(&url, "select count(*) from events") == 300).then_some(())
    });
    let (status, why) = get(&format!("{url}/readyz"));
    assert!(
        status == 503 && why.contains("commits fail") && why.contains("no space left"),
        "{why}"
    );
    assert_eq!(get(&format!("{url}/healthz")).0, 200);
    disk.free();
    await_committed(&url, "/events#1", &all);
    await_committed(&url, "/events#1", &handed(300..400));
    until("it is ready again", || {
        (get(&format!("{url}/readyz")).0 == 200).then_some(())
    });
    assert!(server.is_alive());
    let (status, _, said) = server.end();
    assert_eq!(status, Some(0), "{said}");
    assert!(said.contains("the table takes commits again"), "{said}");
    let tables = format!("location = {tables:?}\n");
    let (_reader, url) = Running::serve(&["--config", &config(folder.path(), "reader", &tables)]);
    let (rows, _) = check_each_once(
        &url,
        "/events#1",
        &sent.iter().map(|(p, last)| (*p, 0..last + 1)).collect(),
    );
    assert_eq!(rows, 400);
}

/// Sends 100 events at once; those ids that the server has said to have.
fn offer(url: &str, batch: u64) -> Result<Vec<String>, (u16, Json)> {
    let ids = batch * 100..batch * 100 + 100;
    let padding = "x".repeat(200);
    let events: Vec<Json> = ids
        .clone()
        .map(|id| {
            json!({"event_id": format!("e{id}"), "event": "attempt.opened", "occurred_at": "2026-10-01T00:00:00Z",
                   "company_id": format!("c{}", id % 7), "attrs": {"padding": padding}})
        })
        .collect();
    match post(&format!("{url}/api/v1/events"), &Json::from(events)) {
        (200, _) => Ok(ids.map(|id| format!("e{id}")).collect()),
        refused => Err(refused),
    }
}

fn stored(url: &str) -> BTreeSet<String> {
    let rows = sql(url, "select event_id from events");
    let ids: Vec<String> = rows
        .iter()
        .map(|row| row["event_id"].as_str().unwrap().to_owned())
        .collect();
    let distinct: BTreeSet<String> = ids.iter().cloned().collect();
    assert_eq!(ids.len(), distinct.len(), "an event twice");
    distinct
}

#[test]
fn with_the_local_log_s_disk_full_events_are_refused_and_none_that_was_accepted_is_lost() {
    let Some(disk) = Disk::mount(24) else {
        return no_mount();
    };
    let data = disk.folder.join("data");
    let serve = |data: &Path| Running::serve(&["--data", data.to_str().unwrap()]);
    let (mut server, url) = serve(&data);
    let mut accepted = BTreeSet::new();
    for batch in 0..3 {
        accepted.extend(offer(&url, batch).unwrap());
    }
    disk.fill();
    let mut refusals = Vec::new();
    for batch in 3..40 {
        match offer(&url, batch) {
            Ok(ids) => accepted.extend(ids),
            Err(refusal) => refusals.push(refusal),
        }
        if refusals.len() >= 3 {
            break;
        }
    }
    assert!(
        refusals.len() >= 3,
        "the disk was not full: {} accepted",
        accepted.len()
    );
    for (status, why) in &refusals {
        assert!(*status == 503 || *status == 507, "{status} {why}");
        assert!(
            why["code"].is_string() && why["detail"].is_string(),
            "{why}"
        );
    }
    println!("refused: {}", refusals[0].1);
    assert!(server.is_alive() && get(&format!("{url}/healthz")).0 == 200);
    let said = server.said();
    assert!(
        said.contains("No space left on device") || said.contains("no space left"),
        "{said}"
    );
    disk.free();
    // Without anybody knocking, what was accepted is shown.
    until("what was accepted is there", || {
        accepted.is_subset(&stored(&url)).then_some(())
    });
    let mut again = None;
    until("events are taken again", || {
        again = offer(&url, 50).ok();
        again.is_some().then_some(())
    });
    accepted.extend(again.unwrap());
    until("what was accepted is there", || {
        accepted.is_subset(&stored(&url)).then_some(())
    });
    until("it is ready again", || {
        (get(&format!("{url}/readyz")).0 == 200).then_some(())
    });
    let (status, _, said) = server.end();
    assert_eq!(status, Some(0), "{said}");
    let (_server, url) = serve(&data);
    until("a restart shows the same", || {
        accepted.is_subset(&stored(&url)).then_some(())
    });
    let twice = number(
        &url,
        "select count(*) - count(distinct _offset) from events_raw",
    );
    assert_eq!(twice, 0);
    println!(
        "local log on a full disk: {} accepted, {} refused",
        accepted.len(),
        refusals.len()
    );
}
