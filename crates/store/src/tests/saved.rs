//! Saved funnels: two at once, a process killed, a storage that lies, other tenants, every limit.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use linkfunnel_model::SavedId;
use serde_json::{Value, json};

use super::lab::*;
use crate::*;

fn id(text: &str) -> SavedId {
    SavedId::parse(text).unwrap()
}

fn shelf<'s>(store: &'s Store, tenant: &str) -> Shelf<'s> {
    store.shelf(SavedKind::Funnel, tenant)
}

/// Saves after the newest version there is.
async fn save(store: &Store, tenant: &str, name: &str, content: Value) -> Result<u32> {
    let id = id(name);
    let shelf = shelf(store, tenant);
    let newest = shelf.newest(&id).await?;
    let saved = shelf.save(&id, newest.as_deref(), "ann", Some(content));
    Ok(saved.await?.note.version)
}

async fn delete(store: &Store, tenant: &str, name: &str) -> Result<u32> {
    let id = id(name);
    let shelf = shelf(store, tenant);
    let newest = shelf.newest(&id).await?;
    let saved = shelf.save(&id, newest.as_deref(), "bob", None);
    Ok(saved.await?.note.version)
}

/// `id version content` of a tenant's funnels.
async fn list(store: &Store, tenant: &str) -> Vec<String> {
    let all = shelf(store, tenant).all().await.unwrap();
    all.iter()
        .map(|(id, newest)| match &newest.content {
            Some(content) => format!("{id} {} {content}", newest.note.version),
            None => format!("{id} {} deleted", newest.note.version),
        })
        .collect()
}

#[tokio::test]
async fn a_funnel_is_there_after_a_restart_with_every_version_and_who_made_it_when() {
    let lab = Lab::new().await;
    assert_eq!(save(&lab.store, "acme", "my", json!("a")).await.unwrap(), 1);
    lab.pass(1_000);
    assert_eq!(save(&lab.store, "acme", "my", json!("b")).await.unwrap(), 2);
    assert_eq!(delete(&lab.store, "acme", "my").await.unwrap(), 3);
    assert_eq!(save(&lab.store, "acme", "my", json!("c")).await.unwrap(), 4);
    assert_eq!(
        save(&lab.store, "acme", "my_other", json!(1))
            .await
            .unwrap(),
        1
    );
    for store in [lab.store.clone(), lab.again().await] {
        assert_eq!(list(&store, "acme").await, [r#"my 4 "c""#, "my_other 1 1"]);
        let newest = shelf(&store, "acme")
            .newest(&id("my"))
            .await
            .unwrap()
            .unwrap();
        let history: Vec<_> = newest
            .history()
            .map(|n| (n.version, n.saved_at_us - START_US, &*n.saved_by, n.deleted))
            .collect();
        assert_eq!(
            history,
            [
                (1, 0, "ann", false),
                (2, 1_000, "ann", false),
                (3, 1_000, "bob", true),
                (4, 1_000, "ann", false)
            ]
        );
        for (version, content) in [(1, Some("a")), (2, Some("b")), (3, None), (4, Some("c"))] {
            let found = shelf(&store, "acme")
                .version(&id("my"), version)
                .await
                .unwrap()
                .unwrap();
            assert_eq!(found.content, content.map(Into::into));
            assert_eq!(found.history().count(), version as usize);
        }
        for none in [0, 5] {
            assert_eq!(
                shelf(&store, "acme")
                    .version(&id("my"), none)
                    .await
                    .unwrap(),
                None
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_stores_that_save_one_version_one_does_and_the_other_is_told_and_nothing_is_lost() {
    let lab = Lab::new().await;
    let other = lab.again().await;
    for round in 1..=50 {
        let base = shelf(&lab.store, "acme").newest(&id("my")).await.unwrap();
        let attempt = |store: &Store, by: &'static str| {
            let (store, base) = (store.clone(), base.clone());
            tokio::spawn(async move {
                let content = Some(json!(format!("{by} {round}")));
                shelf(&store, "acme")
                    .save(&id("my"), base.as_deref(), by, content)
                    .await
            })
        };
        let (a, b) = (attempt(&lab.store, "ann"), attempt(&other, "bob"));
        let (a, b) = (a.await.unwrap(), b.await.unwrap());
        let (won, lost) = match (a, b) {
            (Ok(won), Err(lost)) | (Err(lost), Ok(won)) => (won, lost),
            both => panic!("{both:?}"),
        };
        assert!(matches!(lost, Error::Overtaken { .. }), "{lost:?}");
        assert_eq!(won.note.version, round);
        for store in [&lab.store, &other] {
            let newest = shelf(store, "acme")
                .newest(&id("my"))
                .await
                .unwrap()
                .unwrap();
            assert_eq!(newest, won, "what was answered is what is there");
        }
    }
    assert_eq!(lab.paths("_linkfunnel/funnels/acme/my").len(), 50);
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_who_look_again_when_they_were_overtaken_all_save_in_the_end() {
    let lab = Lab::new().await;
    let mut tasks = Vec::new();
    for worker in 0..8 {
        let store = lab.again().await;
        tasks.push(tokio::spawn(async move {
            for i in 0..5 {
                loop {
                    match save(&store, "acme", "my", json!(format!("{worker}/{i}"))).await {
                        Ok(_) => break,
                        Err(Error::Overtaken { .. }) => {}
                        Err(other) => panic!("{other}"),
                    }
                }
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let versions = all_versions(&lab.store, "acme", "my").await;
    let mut contents: Vec<_> = versions
        .iter()
        .map(|v| v.content.clone().unwrap().to_string())
        .collect();
    contents.sort();
    contents.dedup();
    assert_eq!((versions.len(), contents.len()), (40, 40));
}

/// All versions, checked to name those before them.
async fn all_versions(store: &Store, tenant: &str, name: &str) -> Vec<Arc<SavedVersion>> {
    let Some(newest) = shelf(store, tenant).newest(&id(name)).await.unwrap() else {
        return Vec::new();
    };
    let mut versions: Vec<Arc<SavedVersion>> = Vec::new();
    for version in 1..=newest.note.version {
        let found = shelf(store, tenant)
            .version(&id(name), version)
            .await
            .unwrap()
            .unwrap();
        let before: Vec<_> = versions.iter().map(|v| v.note.clone()).collect();
        assert_eq!((found.note.version, &found.before), (version, &before));
        versions.push(found);
    }
    versions
}

#[tokio::test]
async fn ones_own_save_is_seen_at_once_and_anothers_within_the_named_time() {
    let lab = Lab::new().await;
    let other = lab.again().await;
    assert_eq!(list(&other, "acme").await, [""; 0]);
    save(&lab.store, "acme", "my", json!(1)).await.unwrap();
    assert_eq!(list(&lab.store, "acme").await, ["my 1 1"]);
    lab.pass(SAVED_SEEN_WITHIN_US);
    assert_eq!(
        list(&other, "acme").await,
        [""; 0],
        "still the list it read"
    );
    save(&other, "acme", "other", json!(2)).await.unwrap();
    assert_eq!(list(&other, "acme").await, ["other 1 2"]);
    lab.pass(1);
    assert_eq!(list(&other, "acme").await, ["my 1 1", "other 1 2"]);
    lab.pass(-DAY_US); // a clock set back must not keep a list for a day
    save(&lab.store, "acme", "my", json!(3)).await.unwrap();
    assert_eq!(list(&other, "acme").await, ["my 2 3", "other 1 2"]);
}

#[tokio::test]
async fn who_saves_looks_at_what_is_there_and_not_at_what_it_remembers() {
    let lab = Lab::new().await;
    let other = lab.again().await;
    save(&other, "acme", "my", json!(1)).await.unwrap();
    assert_eq!(list(&other, "acme").await, ["my 1 1"]);
    save(&lab.store, "acme", "my", json!(2)).await.unwrap();
    let newest = shelf(&other, "acme")
        .newest(&id("my"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(newest.content, Some(json!(2)));
    assert_eq!(list(&other, "acme").await, ["my 2 2"], "and remembers it");
}

#[tokio::test]
async fn tenants_have_funnels_of_their_own_whatever_they_are_called() {
    let lab = Lab::new().await;
    let tenants = ["acme", "Acme", "ac_me", "ac.me", "acme-", "_61cme"];
    for tenant in tenants {
        save(&lab.store, tenant, "my", json!(tenant)).await.unwrap();
    }
    for store in [lab.store.clone(), lab.again().await] {
        for tenant in tenants {
            assert_eq!(list(&store, tenant).await, [format!("my 1 \"{tenant}\"")]);
            let one = shelf(&store, tenant)
                .version(&id("my"), 1)
                .await
                .unwrap()
                .unwrap();
            assert_eq!(one.content, Some(json!(tenant)));
        }
        for tenant in ["ac", "acm", "", ".", "..", "acme/my", &"x".repeat(500)] {
            assert_eq!(list(&store, tenant).await, [""; 0], "{tenant:?}");
            assert_eq!(shelf(&store, tenant).newest(&id("my")).await.unwrap(), None);
        }
    }
    let too_long = save(&lab.store, &"x".repeat(65), "my", json!(1)).await;
    assert!(
        matches!(too_long, Err(Error::SavedLimit { .. })),
        "{too_long:?}"
    );
}

#[tokio::test]
async fn what_a_killed_process_left_half_written_is_nothing() {
    let lab = Lab::new().await;
    save(&lab.store, "acme", "my", json!(1)).await.unwrap();
    let folder = lab.dir.path().join("_linkfunnel/funnels/acme/my");
    std::fs::write(folder.join("0000000002.json#12345"), r#"{"version":2,"sav"#).unwrap();
    std::fs::create_dir(lab.dir.path().join("_linkfunnel/funnels/acme/empty")).unwrap();
    let store = lab.again().await;
    assert_eq!(list(&store, "acme").await, ["my 1 1"]);
    assert_eq!(save(&store, "acme", "my", json!(2)).await.unwrap(), 2);
    assert_eq!(save(&store, "acme", "empty", json!(3)).await.unwrap(), 1);
    assert_eq!(
        list(&lab.again().await, "acme").await,
        ["empty 1 3", "my 2 2"]
    );
}

/// Where the killed processes save into.
const INTO: &str = "LINKFUNNEL_TEST_SAVES_INTO";

#[tokio::test]
async fn processes_killed_while_they_save_lose_nothing_that_they_had_answered() {
    if let Some(folder) = std::env::var_os(INTO) {
        return save_until_killed(folder.to_str().unwrap()).await;
    }
    let lab = Lab::new().await;
    let mut answered: BTreeMap<String, u32> = BTreeMap::new();
    for round in 0..4_u64 {
        let mut children: Vec<Child> = (0..2).map(|_| saver(&lab)).collect();
        let mut lines: Vec<_> = children
            .iter_mut()
            .map(|child| BufReader::new(child.stdout.take().unwrap()).lines())
            .collect();
        for lines in &mut lines {
            let first = lines
                .by_ref()
                .map(Result::unwrap)
                .find(|l| l.contains("saved "))
                .unwrap();
            note(&first, &mut answered);
        }
        std::thread::sleep(std::time::Duration::from_millis(20 + 37 * round));
        for child in &mut children {
            child.kill().unwrap(); // SIGKILL
            child.wait().unwrap();
        }
        for line in lines.into_iter().flatten().map(Result::unwrap) {
            note(&line, &mut answered);
        }
    }
    let store = lab.again().await;
    let mut there: BTreeMap<String, u32> = BTreeMap::new();
    let ids: Vec<SavedId> = shelf(&store, "acme")
        .all()
        .await
        .unwrap()
        .keys()
        .cloned()
        .collect();
    for name in ids {
        for version in all_versions(&store, "acme", name.as_str()).await {
            let mark = version
                .content
                .clone()
                .unwrap()
                .as_str()
                .unwrap()
                .to_owned();
            assert_eq!(there.insert(mark, version.note.version), None, "saved once");
        }
    }
    let answers = answered.len();
    for (mark, version) in answered {
        assert_eq!(there.remove(&mark), Some(version), "{mark} was answered");
    }
    assert!(answers >= 8, "{answers}");
    assert!(
        there.len() <= 8,
        "at most the one that each of eight was saving: {there:?}"
    );
}

/// Another process that saves until it is killed.
fn saver(lab: &Lab) -> Child {
    let name = "tests::saved::processes_killed_while_they_save_lose_nothing_that_they_had_answered";
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(INTO, lab.dir.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Reads `saved MARK VERSION`; a line cut off by the death says nothing.
fn note(line: &str, answered: &mut BTreeMap<String, u32>) {
    let words: Vec<&str> = line.split_whitespace().collect();
    if let [.., "saved", mark, version, "."] = words[..] {
        answered.insert(mark.to_owned(), version.parse().unwrap());
    }
}

async fn save_until_killed(folder: &str) {
    let location = Location::parse(folder).unwrap();
    let clock: linkfunnel_model::Clock = Arc::new(|| START_US);
    let store = Store::open(&location, StoreOptions::default(), clock)
        .await
        .unwrap();
    let mut funnel = 0;
    for i in 0.. {
        let mark = format!("{}-{i}", std::process::id());
        loop {
            match save(&store, "acme", &format!("f{funnel}"), json!(mark)).await {
                Ok(version) => break println!("saved {mark} {version} ."),
                Err(Error::Overtaken { .. }) => {}
                Err(Error::SavedLimit { .. }) => funnel += 1,
                Err(other) => panic!("{other}"),
            }
        }
    }
}

#[tokio::test]
async fn a_file_that_is_no_version_is_named_and_files_of_others_are_passed_over() {
    let lab = Lab::new().await;
    save(&lab.store, "acme", "my", json!(1)).await.unwrap();
    let folder = lab.dir.path().join("_linkfunnel/funnels/acme");
    std::fs::write(folder.join("notes.txt"), "x").unwrap();
    std::fs::write(folder.join("my/17.json"), "x").unwrap();
    assert_eq!(list(&lab.again().await, "acme").await, ["my 1 1"]);
    std::fs::write(folder.join("my/0000000002.json"), "{").unwrap();
    let refused = shelf(&lab.again().await, "acme")
        .all()
        .await
        .unwrap_err()
        .to_string();
    assert!(
        refused.contains("_linkfunnel/funnels/acme/my/0000000002.json cannot be read"),
        "{refused}"
    );
}

fn limited(result: Result<u32>) -> String {
    match result {
        Err(error @ Error::SavedLimit { .. }) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_version_of_the_largest_size_is_kept_and_one_byte_more_is_refused() {
    let lab = Lab::new().await;
    let largest = "x".repeat(MAX_SAVED_BYTES - 2);
    save(&lab.store, "acme", "my", json!(largest))
        .await
        .unwrap();
    let over = save(&lab.store, "acme", "my", json!(format!("{largest}x"))).await;
    assert_eq!(limited(over), "at most 65536 bytes are kept");
}

#[tokio::test]
async fn after_the_last_version_a_funnel_can_only_be_deleted() {
    let lab = Lab::new().await;
    for version in 1..=MAX_SAVED_VERSIONS {
        let saved = save(&lab.store, "acme", "my", json!(version))
            .await
            .unwrap();
        assert_eq!(saved, version);
    }
    let over = save(&lab.store, "acme", "my", json!("more")).await;
    assert_eq!(limited(over), "at most 200 versions are kept");
    assert_eq!(delete(&lab.store, "acme", "my").await.unwrap(), 201);
    assert_eq!(
        limited(save(&lab.store, "acme", "my", json!("x")).await),
        "at most 200 versions are kept"
    );
    assert_eq!(list(&lab.again().await, "acme").await, ["my 201 deleted"]);
}

#[tokio::test]
async fn a_tenant_has_so_many_funnels_and_so_many_ids_and_others_are_not_in_its_way() {
    let lab = Lab::new().await;
    save(&lab.store, "acme", "f0", json!(0)).await.unwrap();
    let folder = lab.dir.path().join("_linkfunnel/funnels/acme");
    let copy = |name: &str, from: &str| {
        std::fs::create_dir(folder.join(name)).unwrap();
        std::fs::copy(folder.join(from), folder.join(name).join("0000000001.json")).unwrap();
    };
    for i in 1..MAX_SAVED_FUNNELS - 1 {
        copy(&format!("f{i}"), "f0/0000000001.json");
    }
    let store = lab.again().await;
    save(&store, "acme", "last", json!(1)).await.unwrap();
    assert_eq!(
        shelf(&store, "acme").all().await.unwrap().len(),
        MAX_SAVED_FUNNELS
    );
    let over = save(&store, "acme", "over", json!(1)).await;
    assert_eq!(limited(over), "at most 500 saved funnels are kept");
    save(&store, "acme", "last", json!(2)).await.unwrap();
    save(&store, "bolt", "over", json!(1)).await.unwrap();
    delete(&store, "acme", "last").await.unwrap();
    save(&store, "acme", "over", json!(1)).await.unwrap();
    let back = save(&store, "acme", "last", json!(3)).await;
    assert_eq!(limited(back), "at most 500 saved funnels are kept");
    delete(&store, "acme", "over").await.unwrap();
    for i in MAX_SAVED_FUNNELS + 2..MAX_SAVED_IDS {
        copy(&format!("d{i}"), "over/0000000002.json");
    }
    let store = lab.again().await;
    save(&store, "acme", "thousandth", json!(1)).await.unwrap();
    delete(&store, "acme", "thousandth").await.unwrap();
    let over = save(&store, "acme", "one_more", json!(1)).await;
    assert_eq!(
        limited(over),
        "at most 1000 ids of saved and deleted funnels are kept"
    );
    save(&store, "acme", "thousandth", json!(2)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn no_reader_and_no_vacuum_of_delta_tables_touches_saved_funnels() {
    let lab = Lab::new().await;
    commit(&lab.store, vec![run_of("s", 0, 0, 10)]).await;
    commit(&lab.store, vec![run_of("s", 0, 10, 10)]).await;
    save(&lab.store, "acme", "my", json!(1)).await.unwrap();
    delete(&lab.store, "acme", "my").await.unwrap();
    lab.store
        .compact(CompactOptions {
            full: true,
            ..Default::default()
        })
        .await
        .unwrap();
    let url = url::Url::from_directory_path(lab.dir.path()).unwrap();
    let mut table = deltalake::DeltaTableBuilder::from_url(url)
        .unwrap()
        .build()
        .unwrap();
    table.load().await.unwrap();
    let log = table.snapshot().unwrap().snapshot().log_data();
    assert_eq!(
        log.iter().map(|f| f.num_records().unwrap()).sum::<usize>(),
        20
    );
    let orphan = lab.dir.path().join("_kind=event/orphan.parquet");
    std::fs::write(&orphan, "x").unwrap();
    let (_, report) = table
        .vacuum()
        .with_mode(deltalake::operations::vacuum::VacuumMode::Full)
        .with_retention_period(chrono::TimeDelta::zero())
        .with_enforce_retention_duration(false)
        .await
        .unwrap();
    assert!(!orphan.exists(), "{report:?}");
    lab.pass(30 * DAY_US);
    lab.store.maintain().await.unwrap();
    let store = lab.again().await;
    assert_eq!(list(&store, "acme").await, ["my 2 deleted"]);
    assert_eq!(all_versions(&store, "acme", "my").await.len(), 2);
}

#[tokio::test]
async fn kinds_are_apart_in_names_lists_and_limits() {
    let lab = Lab::new().await;
    let store = &lab.store;
    save(store, "acme", "my", json!("funnel")).await.unwrap();
    let experiments = store.shelf(SavedKind::Experiment, "acme");
    assert_eq!(experiments.all().await.unwrap().len(), 0);
    assert_eq!(experiments.newest(&id("my")).await.unwrap(), None);
    let content = Some(json!("experiment"));
    let saved = experiments.save(&id("my"), None, "eve", content).await;
    assert_eq!(saved.unwrap().note.version, 1);
    let folder = lab.dir.path().join("_linkfunnel/experiments/acme");
    let first = folder.join("my/0000000001.json");
    assert!(first.exists());
    for i in 1..MAX_SAVED_EXPERIMENTS {
        std::fs::create_dir(folder.join(format!("e{i}"))).unwrap();
        std::fs::copy(&first, folder.join(format!("e{i}/0000000001.json"))).unwrap();
    }
    let store = lab.again().await;
    let experiments = store.shelf(SavedKind::Experiment, "acme");
    let all = experiments.all().await.unwrap();
    assert_eq!(all.len(), MAX_SAVED_EXPERIMENTS);
    assert_eq!(all[&id("my")].content, Some(json!("experiment")));
    let over_id = id("over");
    let over = experiments.save(&over_id, None, "eve", Some(json!(1)));
    let over = over.await.map(|saved| saved.note.version);
    assert_eq!(limited(over), "at most 500 saved experiments are kept");
    assert_eq!(save(&store, "acme", "over", json!(1)).await.unwrap(), 1);
    assert_eq!(list(&store, "acme").await, [r#"my 1 "funnel""#, "over 1 1"]);
}
