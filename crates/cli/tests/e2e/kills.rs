//! `kill -9` at every point where something could be lost or doubled, while data comes in; afterwards everything is there once.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use linkfunnel_testkit::generate::{Carrier, GenerateConfig, Generator};
use linkfunnel_testkit::kafka::KafkaCluster;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use sha2::{Digest, Sha256};

use crate::accounting::{self, At};
use crate::compare::{Copies, Differences, rejects, wait};
use crate::program::{Running, linkfunnel};
use crate::truth::{apis, await_read, compare, dirty, note, record, seed};

/// Longest time until a process reaches the point where it is to die: a hundred commits until a checkpoint is due.
const REACHED_WITHIN: Duration = Duration::from_secs(90);
const SIGABRT: i32 = 6;
const SIGKILL: i32 = 9;

/// How a process is to die.
#[derive(Debug, Clone, Copy)]
enum Death {
    /// At a named point, the n-th time it is passed.
    At(&'static str, u64),
    /// By SIGKILL so long after its start.
    After(Duration),
}

/// A process that is to die, its words going to a file.
struct Life {
    child: Child,
    log: PathBuf,
}

impl Life {
    fn start(args: &[&str], death: Option<Death>, log: &Path) -> Life {
        let mut command: Command = linkfunnel(args);
        if let Some(Death::At(point, n)) = death {
            command.env("LINKFUNNEL_CRASH_AT", format!("{point}:{n}"));
        }
        let out = fs::File::create(log).unwrap();
        let child = command
            .stdout(Stdio::from(out.try_clone().unwrap()))
            .stderr(Stdio::from(out))
            .spawn()
            .unwrap();
        Life {
            child,
            log: log.to_owned(),
        }
    }

    fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The server's URL, once it has said it.
    fn url(&self) -> Option<String> {
        let said = self.said();
        let line = said.lines().find(|line| line.starts_with("linkfunnel "))?;
        let word = line
            .split_whitespace()
            .find(|word| word.starts_with("http://"))?;
        Some(word.to_owned())
    }

    /// Waits for the end, doing something meanwhile.
    fn ended(&mut self, within: Duration, mut meanwhile: impl FnMut(&Life)) -> Option<ExitStatus> {
        let until = Instant::now() + within;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return Some(status);
            }
            if Instant::now() >= until {
                return None;
            }
            meanwhile(self);
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn kill(&mut self) -> ExitStatus {
        self.child.kill().unwrap();
        self.child.wait().unwrap()
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        // Dead already, most often.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Kills so far, by point.
#[derive(Default)]
struct Kills(BTreeMap<&'static str, u32>);

impl Kills {
    /// Lets one process live and die; false when it came to a good end before.
    fn one(
        &mut self,
        args: &[&str],
        death: Death,
        log: &Path,
        meanwhile: impl FnMut(&Life),
    ) -> bool {
        let mut life = Life::start(args, Some(death), log);
        let (point, within) = match death {
            Death::At(point, _) => (point, REACHED_WITHIN),
            Death::After(time) => ("at a random moment", time),
        };
        let status = match (life.ended(within, meanwhile), death) {
            (Some(status), _) => status,
            (None, Death::After(_)) => life.kill(),
            (None, Death::At(..)) => {
                panic!("{death:?} was not reached in {within:?}:\n{}", life.said())
            }
        };
        let said = life.said();
        assert!(!said.contains("panicked"), "{death:?}: {said}");
        match status.signal() {
            Some(SIGABRT | SIGKILL) => {
                *self.0.entry(point).or_default() += 1;
                true
            }
            _ if status.success() => false,
            _ => panic!("{death:?} ended with {status}:\n{said}"),
        }
    }

    fn total(&self) -> u32 {
        self.0.values().sum()
    }
}

fn config(folder: &Path, name: &str, maintain_s: u32, kafka: &str) -> String {
    let path = folder.join(name);
    let data = folder.join("data");
    let text = format!(
        "[storage]\ndata = {data:?}\nmaintain_every_s = {maintain_s}\n[server]\nlisten = \"127.0.0.1:0\"\n\
         request_timeout_s = 300\n[query]\ntimeout_s = 300\nsql_timeout_s = 300\nsql_max_rows = 3000000\n\
         [ingest]\nseal_ms = 30\ncommit_s = 0.1\n{kafka}"
    );
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn kill_minus_nine_at_every_point_loses_nothing_and_doubles_nothing() {
    let Some(cluster) = KafkaCluster::shared_or_skip() else {
        return;
    };
    let drawn = chrono::Utc::now().timestamp_micros().unsigned_abs() % 1_000_000;
    let seed = seed("kills", drawn);
    let mut dice = StdRng::seed_from_u64(seed);
    let mut kills = Kills::default();
    let begun = Instant::now();
    let told = |what: &str, kills: &Kills| {
        note(&format!("{what}: {:?}, {:?}", kills.0, begun.elapsed()));
    };
    while_a_topic_is_read(cluster, seed, &mut dice, &mut kills);
    told("topic", &kills);
    while_events_come_over_http(seed, &mut dice, &mut kills);
    told("local log", &kills);
    while_files_are_imported(seed, &mut dice, &mut kills);
    told("imports", &kills);
    assert!(kills.total() >= 30, "{:?}", kills.0);
    for point in [
        "before_parquet",
        "after_parquet",
        "after_commit",
        "during_checkpoint",
        "during_compaction",
        "after_append",
        "during_import",
    ] {
        assert!(kills.0.contains_key(point), "{point}: {:?}", kills.0);
    }
}

/// Deaths of a server in the order in which they come; those at a checkpoint last, when enough commits have gathered.
fn deaths(points: &[(&'static str, u64, usize)], random: usize, dice: &mut StdRng) -> Vec<Death> {
    let mut deaths = Vec::new();
    for (point, most, times) in points {
        deaths.extend((0..*times).map(|_| Death::At(point, dice.random_range(1..=*most))));
    }
    deaths.extend(
        (0..random).map(|_| Death::After(Duration::from_millis(dice.random_range(50..3_000)))),
    );
    deaths.shuffle(dice);
    deaths
}

fn while_a_topic_is_read(cluster: &KafkaCluster, seed: u64, dice: &mut StdRng, kills: &mut Kills) {
    const PARTITIONS: i32 = 3;
    /// Messages produced at once, so that there is always something to commit.
    const PORTION: usize = 20;
    let topic = "kills";
    cluster.create_topic(topic, PARTITIONS, &[]).unwrap();
    let mut generator = Generator::new(dirty(seed, 30_000, 12)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let kafka = format!(
        "[kafka]\nbrokers = {:?}\ntopic = {topic:?}\n",
        cluster.bootstrap()
    );
    let often = config(folder.path(), "often.toml", 1, &kafka);
    let log = folder.path().join("log");
    let mut plan = deaths(
        &[
            ("before_parquet", 4, 3),
            ("after_parquet", 4, 3),
            ("after_commit", 4, 3),
            ("during_compaction", 2, 3),
        ],
        4,
        dice,
    );
    plan.extend([1, 1, 2].map(|n| Death::At("during_checkpoint", n)));
    let all_dead = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let produce = scope.spawn(|| {
            while !all_dead.load(Ordering::Relaxed) {
                let portion: Vec<_> = generator.by_ref().take(PORTION).map(record).collect();
                assert_eq!(
                    portion.len(),
                    PORTION,
                    "the messages did not last until the last kill"
                );
                cluster.produce(topic, portion).unwrap();
                std::thread::sleep(Duration::from_millis(20));
            }
            cluster
                .produce(topic, generator.by_ref().map(record))
                .unwrap();
        });
        for death in plan {
            let args = ["serve", "--config", &often];
            assert!(
                kills.one(&args, death, &log, |_| {}),
                "{death:?}: it ended well"
            );
            note(&format!("killed: {death:?}"));
            assert!(!produce.is_finished(), "producing has ended early");
        }
        all_dead.store(true, Ordering::Relaxed);
    });
    let (server, url) = Running::serve(&["--config", &often]);
    let apis = apis(&url);
    let handed = await_read(cluster, topic, PARTITIONS, &apis);
    compare_dead_letters(&apis, &generator);
    compare(
        &apis,
        &generator,
        &handed,
        Copies::Maybe,
        "a topic read with kills",
    );
    let (status, _, said) = server.end();
    assert_eq!(status, Some(0), "{said}");
}

fn compare_dead_letters(apis: &[crate::compare::Api], generator: &Generator) {
    let delivered = generator.truth(None).unwrap().delivered;
    let mut differences = Differences::default();
    let dead = rejects(apis, "dead_letter");
    differences.eq("dead letters by code", dead, delivered.dead_letters);
    let suppressed = rejects(apis, "suppressed");
    differences.eq("suppressed by code", suppressed, delivered.suppressed);
    differences.none("after kills");
}

fn as_lines(seed: u64, events: u64) -> Generator {
    Generator::new(GenerateConfig {
        carrier: Carrier::File,
        ..dirty(seed, events, 12)
    })
    .unwrap()
}

fn while_events_come_over_http(seed: u64, dice: &mut StdRng, kills: &mut Kills) {
    /// Events in one request.
    const PORTION: usize = 25;
    let mut generator = as_lines(seed + 1, 20_000);
    let folder = tempfile::tempdir().unwrap();
    let often = config(folder.path(), "often.toml", 1, "");
    let log = folder.path().join("log");
    let plan = deaths(
        &[
            ("after_append", 6, 4),
            ("before_parquet", 3, 1),
            ("after_parquet", 3, 1),
            ("after_commit", 3, 1),
            ("during_compaction", 1, 1),
        ],
        2,
        dice,
    );
    let place: Mutex<Option<String>> = Mutex::new(None);
    let all_dead = AtomicBool::new(false);
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(Duration::from_secs(20)))
        .build()
        .into();
    let mut server = None;
    let mut repeated = 0_u64;
    std::thread::scope(|scope| {
        let client = scope.spawn(|| {
            loop {
                let many = if all_dead.load(Ordering::Relaxed) {
                    40 * PORTION
                } else {
                    PORTION
                };
                let lines: Vec<Vec<u8>> = generator
                    .by_ref()
                    .take(many)
                    .filter_map(|delivery| delivery.payload)
                    .collect();
                if lines.is_empty() {
                    return;
                }
                repeated += post_until_answered(&agent, &place, &lines.join(&b'\n'), &all_dead);
            }
        });
        for death in plan {
            *place.lock().unwrap() = None;
            let args = ["serve", "--config", &often];
            let killed = kills.one(&args, death, &log, |life| {
                let mut place = place.lock().unwrap();
                if place.is_none() {
                    *place = life.url();
                }
            });
            assert!(killed, "{death:?}: it ended well");
            note(&format!("killed: {death:?}"));
            assert!(
                !client.is_finished(),
                "the events did not last until the last kill"
            );
        }
        all_dead.store(true, Ordering::Relaxed);
        let (running, url) = Running::serve(&["--config", &often]);
        *place.lock().unwrap() = Some(url.clone());
        server = Some((running, url));
    });
    let (server, url) = server.unwrap();
    let apis = apis(&url);
    let within = Duration::from_secs(120);
    // A local log is ours alone: what was handed is what was written, and no gap may be in it.
    let handed: BTreeMap<At, i64> = wait(within, "all is committed", || {
        let offsets = accounting::offsets(&apis);
        let settled = offsets
            .values()
            .all(|(committed, visible)| committed == visible);
        let ended = apis[0].status("/readyz/caught-up") == 200;
        let ends = offsets
            .iter()
            .map(|(at, (last, _))| (at.clone(), last.map_or(0, |o| o + 1)));
        let ends: BTreeMap<At, i64> = ends.collect();
        match settled && ended && !ends.is_empty() {
            true => Ok(ends),
            false => Err(format!("{offsets:?}")),
        }
    });
    assert_eq!(handed.len(), 1, "{handed:?}");
    note(&format!("{repeated} requests repeated, {handed:?}"));
    let delivered = generator.truth(None).unwrap().delivered;
    let mut differences = Differences::default();
    // A refused event that is sent again is another dead letter; nothing tells them apart.
    let dead = rejects(&apis, "dead_letter");
    for (code, count) in &delivered.dead_letters {
        let kept = dead.get(code).copied().unwrap_or(0);
        let most = count + repeated * PORTION as u64;
        differences.eq(
            &format!("dead letters {code}: {kept} kept of {count}"),
            (*count..=most).contains(&kept),
            true,
        );
    }
    differences.none("dead letters over HTTP");
    compare(
        &apis,
        &generator,
        &handed,
        Copies::Maybe,
        "a local log with kills",
    );
    let (status, _, said) = server.end();
    assert_eq!(status, Some(0), "{said}");
}

/// POSTs lines again and again until they are answered; how often in vain.
fn post_until_answered(
    agent: &ureq::Agent,
    place: &Mutex<Option<String>>,
    lines: &[u8],
    hurry: &AtomicBool,
) -> u64 {
    let mut in_vain = 0;
    let until = Instant::now() + Duration::from_secs(180);
    loop {
        let url = place.lock().unwrap().clone();
        if let Some(url) = url {
            let answer = agent
                .post(format!("{url}/api/v1/events"))
                .header("content-type", "application/x-ndjson")
                .send(lines);
            match answer {
                Ok(response) if response.status().is_success() => {
                    if !hurry.load(Ordering::Relaxed) {
                        std::thread::sleep(Duration::from_millis(20));
                    }
                    return in_vain;
                }
                Ok(mut response) if response.status().as_u16() < 500 => {
                    let text = response.body_mut().read_to_string();
                    panic!("{} {text:?}", response.status());
                }
                _ => in_vain += 1,
            }
        }
        assert!(Instant::now() < until, "no answer in three minutes");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The first object of a file shows whether its events have ids of their own. Here they have: where a line damaged just so
/// stands at a file's beginning, the first event takes its place.
fn begin_with_an_id(lines: &mut [Vec<u8>]) {
    let names_an_id = |line: &Vec<u8>| line.windows(10).any(|part| part == b"\"event_id\"");
    let first = lines.iter().position(names_an_id);
    lines.swap(0, first.expect("an event in each file"));
}

fn while_files_are_imported(seed: u64, dice: &mut StdRng, kills: &mut Kills) {
    /// A death at a point has a file of its own, so that the point is passed whatever was imported before.
    const FILES: usize = 9;
    const LINES: usize = 10_500;
    let mut generator = as_lines(seed + 2, 100_000);
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let log = folder.path().join("log");
    let mut handed: BTreeMap<At, i64> = BTreeMap::new();
    let mut files = Vec::new();
    for number in 1..=FILES {
        let path = folder.path().join(format!("{number}.ndjson"));
        let most = if number == FILES { usize::MAX } else { LINES };
        let mut lines: Vec<Vec<u8>> = generator
            .by_ref()
            .take(most)
            .filter_map(|delivery| delivery.payload)
            .collect();
        begin_with_an_id(&mut lines);
        let mut text = lines.join(&b'\n');
        text.push(b'\n');
        let hash: String = Sha256::digest(&text)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert!(lines.len() > 10_000, "{}", lines.len());
        handed.insert(
            (format!("import:{hash}"), 0),
            i64::try_from(lines.len()).unwrap(),
        );
        fs::File::create(&path).unwrap().write_all(&text).unwrap();
        files.push(path.to_str().unwrap().to_owned());
    }
    let import = |files: &[String]| {
        let mut args = vec!["import", "--data", data.to_str().unwrap()];
        args.extend(files.iter().map(String::as_str));
        args.into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    // Every file passes `during_import` at its 10 000th record and after its commit.
    let points = [
        ("during_import", 1),
        ("before_parquet", 1),
        ("after_parquet", 1),
        ("after_commit", 1),
        ("during_import", 2),
        ("during_import", 1),
        ("before_parquet", 1),
        ("during_import", 2),
        ("after_parquet", 1),
    ];
    assert_eq!(points.len(), FILES);
    for (number, (point, nth)) in points.into_iter().enumerate() {
        let args = import(&files[number..=number]);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let death = Death::At(point, nth);
        assert!(
            kills.one(&args, death, &log, |_| {}),
            "{death:?} was never reached"
        );
        if number % 4 == 2 {
            // Goes on with the files cut off so far, for a while; it may get through them all.
            let args = import(&files[..=number]);
            let args: Vec<&str> = args.iter().map(String::as_str).collect();
            let death = Death::After(Duration::from_millis(dice.random_range(20..300)));
            kills.one(&args, death, &log, |_| {});
        }
    }
    let args = import(&files);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let last = crate::program::run_well(&args);
    let again = crate::program::run_well(&args);
    assert_eq!(again.matches(" 0 stored").count(), FILES, "{last}\n{again}");
    let (server, url) =
        Running::serve(&["--config", &config(folder.path(), "calm.toml", 100_000, "")]);
    let apis = apis(&url);
    wait(
        Duration::from_secs(60),
        "/readyz/caught-up",
        || match apis[0].status("/readyz/caught-up") {
            200 => Ok(()),
            status => Err(status.to_string()),
        },
    );
    accounting::await_committed(&apis, &handed, Duration::from_secs(10));
    compare_dead_letters(&apis, &generator);
    compare(
        &apis,
        &generator,
        &handed,
        Copies::Kept,
        "imports with kills",
    );
    let (status, _, said) = server.end();
    assert_eq!(status, Some(0), "{said}");
}
