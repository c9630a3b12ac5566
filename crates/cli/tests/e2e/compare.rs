//! Every count the API gives beside the truth of what was generated. Differences are gathered, so that one run shows them all.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::io::Read;
use std::time::{Duration, Instant};

use chrono::{DateTime, SecondsFormat};
use linkfunnel_testkit::generate::{
    Counts, EventsAndRows, FunnelTruth, Generator, TenantTruth, Truth,
};
use serde_json::{Value as Json, json};

/// Dimensions that truth and API both know, by the API's names.
const DIMENSIONS: [&str; 9] = [
    "category",
    "surface",
    "medium",
    "entry_point",
    "use_case",
    "country",
    "locale",
    "device.class",
    "integration",
];
/// Dimensions of the truth that the API cannot break down by yet.
const NOT_YET: [&str; 1] = ["experiment"];
/// More segments than there are.
const ALL: usize = 1_000;
/// Longest wait for one answer, in a debug build beside other tests.
const ANSWER_WITHIN: Duration = Duration::from_secs(300);
const DAY_US: i64 = 86_400_000_000;

/// Events that are a step or an outcome of `linking`.
const IN_LINKING: &str = "'journey.started','attempt.opened','provider.selected','consent.granted','credentials.submitted',\
'handoff.started','sca.passed','connection.linked','file.uploaded','manual.entered','step.skipped','journey.paused','journey.delegated'";
/// Why the default population leaves an event out, in the words of the truth.
const WHY: &str = "CASE WHEN environment = 'sandbox' THEN 'sandbox' WHEN traffic <> 'human' THEN traffic ELSE 'counts' END";

/// A server as one tenant sees it.
pub(crate) struct Api {
    agent: ureq::Agent,
    url: String,
    tenant: String,
}

impl Api {
    pub(crate) fn new(url: &str, tenant: &str) -> Api {
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(ANSWER_WITHIN))
            .build()
            .into();
        let (url, tenant) = (url.to_owned(), tenant.to_owned());
        Api { agent, url, tenant }
    }

    /// The status of a path, 0 when nobody answers.
    pub(crate) fn status(&self, path: &str) -> u16 {
        let answer = self.agent.get(format!("{}{path}", self.url)).call();
        answer.map_or(0, |response| response.status().as_u16())
    }

    pub(crate) fn get(&self, path: &str) -> Json {
        let request = self.agent.get(format!("{}{path}", self.url));
        let answer = request.header("linkfunnel-tenant", &self.tenant).call();
        let text = read(path, answer);
        serde_json::from_str(&text).unwrap_or_else(|_| panic!("{path}: {text}"))
    }

    pub(crate) fn post(&self, path: &str, body: &Json) -> Json {
        let text = self.post_for(path, body, "application/json");
        serde_json::from_str(&text).unwrap_or_else(|_| panic!("{path}: {text}"))
    }

    fn post_for(&self, path: &str, body: &Json, accept: &str) -> String {
        let request = self.agent.post(format!("{}{path}", self.url));
        let request = request
            .header("linkfunnel-tenant", &self.tenant)
            .header("content-type", "application/json")
            .header("accept", accept);
        read(path, request.send(body.to_string().as_bytes()))
    }

    /// The rows of an SQL question.
    pub(crate) fn sql(&self, sql: &str) -> Vec<Json> {
        self.sql_as_of(sql, None).0
    }

    /// The rows and the token of the view they come from.
    pub(crate) fn sql_as_of(&self, sql: &str, as_of: Option<&str>) -> (Vec<Json>, String) {
        let answer = self.post("/api/v1/sql", &sql_question(sql, as_of));
        assert_eq!(answer["truncated"], json!(false), "{sql}");
        let rows = answer["rows"]
            .as_array()
            .unwrap_or_else(|| panic!("{sql}: {answer}"));
        let token = answer["meta"]["snapshot"].as_str().unwrap_or_default();
        (rows.clone(), token.to_owned())
    }

    /// Rows as CSV lines without the heading: for many of them.
    pub(crate) fn sql_lines(&self, sql: &str, as_of: &str) -> Vec<String> {
        let question = sql_question(sql, Some(as_of));
        let text = self.post_for("/api/v1/sql", &question, "text/csv");
        text.lines().skip(1).map(str::to_owned).collect()
    }

    /// Numbers by the text in the first of two columns, `k` and `n`.
    fn numbers(&self, sql: &str) -> BTreeMap<String, u64> {
        let rows = self.sql(sql);
        let pair = |row: &Json| {
            (
                row["k"].as_str().unwrap_or("null").to_owned(),
                number(&row["n"]),
            )
        };
        rows.iter().map(pair).collect()
    }

    fn count(&self, sql: &str) -> u64 {
        number(&self.sql(sql)[0]["n"])
    }
}

fn sql_question(sql: &str, as_of: Option<&str>) -> Json {
    let mut question = json!({"sql": sql, "limit": 3_000_000});
    if let Some(token) = as_of {
        question["as_of"] = token.into();
    }
    question
}

fn read(path: &str, answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> String {
    let mut response = answer.unwrap_or_else(|error| panic!("{path}: {error}"));
    let mut text = String::new();
    let body = response.body_mut().as_reader().read_to_string(&mut text);
    body.unwrap_or_else(|error| panic!("{path}: {error}"));
    assert!(
        response.status().is_success(),
        "{path}: {} {text}",
        response.status()
    );
    text
}

pub(crate) fn number(value: &Json) -> u64 {
    value
        .as_u64()
        .unwrap_or_else(|| panic!("{value} is no count"))
}

/// Looks again and again until there is something, at most so long.
pub(crate) fn wait<T>(
    within: Duration,
    what: &str,
    mut look: impl FnMut() -> Result<T, String>,
) -> T {
    let end = Instant::now() + within;
    loop {
        match look() {
            Ok(found) => return found,
            Err(so_far) => assert!(
                Instant::now() < end,
                "waited {within:?} in vain: {what}; {so_far}"
            ),
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// What was found to differ.
#[derive(Default)]
pub(crate) struct Differences {
    found: Vec<String>,
    looked_at: usize,
}

impl Differences {
    pub(crate) fn eq<T: PartialEq + Debug>(&mut self, what: &str, got: T, truth: T) {
        self.looked_at += 1;
        if got != truth {
            self.found
                .push(format!("{what}: the API says {got:?}, true is {truth:?}"));
        }
    }

    pub(crate) fn note(&mut self, what: String) {
        self.looked_at += 1;
        self.found.push(what);
    }

    /// Adds what was found elsewhere.
    pub(crate) fn take_in(&mut self, whose: &str, other: Differences) {
        self.looked_at += other.looked_at;
        let found = other.found.into_iter();
        self.found
            .extend(found.map(|what| format!("{whose}: {what}")));
    }

    /// How many numbers were compared; all must have been right.
    pub(crate) fn none(self, when: &str) -> usize {
        let shown = self.found.len().min(60);
        assert!(
            self.found.is_empty(),
            "{when}: {} of {} numbers are wrong:\n{}",
            self.found.len(),
            self.looked_at,
            self.found[..shown].join("\n")
        );
        self.looked_at
    }
}

/// Picks one of the two counts.
type Count = fn(&EventsAndRows) -> u64;

/// Whether rows that are copies are all still there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Copies {
    /// Nothing was compacted and nothing sent twice.
    Kept,
    /// Some may be gone, or have come again.
    Maybe,
}

/// All answers to one tenant beside the truth.
pub(crate) struct Comparison<'a> {
    pub(crate) api: &'a Api,
    pub(crate) generator: &'a Generator,
    pub(crate) tenant: &'a str,
    pub(crate) copies: Copies,
    pub(crate) differences: &'a mut Differences,
}

impl Comparison<'_> {
    pub(crate) fn everything(&mut self) {
        self.linking();
        self.success_rates();
        self.first_link();
        self.tables();
    }

    fn truth(&self, watermark: &Json) -> (Truth, TenantTruth) {
        let text = watermark.as_str().expect("a watermark");
        let at = DateTime::parse_from_rfc3339(text).expect("RFC 3339");
        let truth = self.generator.truth(Some(at.timestamp_micros()));
        let truth = truth.expect("the generator keeps the records of the last days");
        let tenant = truth.tenants[self.tenant].clone();
        (truth, tenant)
    }

    /// A range that holds every event.
    fn range(&self) -> (String, String) {
        let truth = self
            .generator
            .truth(None)
            .expect("all windows over is always told");
        let (first, last) = truth.delivered.occurred_us.expect("there are rows");
        let text = |us: i64| {
            let at = DateTime::from_timestamp_micros(us).expect("a time of now");
            at.to_rfc3339_opts(SecondsFormat::Secs, true)
        };
        (text(first - DAY_US), text(last + DAY_US))
    }

    fn ask(&self, funnel: &str, by: Option<&str>, interval: Option<&str>) -> Json {
        let (from, to) = self.range();
        let mut question =
            json!({"funnel": funnel, "range": {"from": from, "to": to, "timezone": "UTC"}});
        if let Some(by) = by {
            question["breakdown"] = json!({"by": [by], "limit": ALL});
        }
        if let Some(interval) = interval {
            question["interval"] = interval.into();
        }
        self.api.post("/api/v1/funnels/query", &question)
    }

    fn linking(&mut self) {
        let answer = self.ask("linking", None, Some("day"));
        let (_, tenant) = self.truth(&answer["meta"]["watermark"]);
        self.funnel(&answer, &tenant.linking, "linking");
        let meta = &answer["meta"];
        self.differences.eq(
            "linking: without entry",
            number(&meta["without_entry"]),
            tenant.linking.without_entry.unwrap_or(0),
        );
        self.differences.eq(
            "linking: without subject",
            number(&meta["without_subject"]),
            tenant.stored.without_journey_id_in_linking,
        );
        let filtered = format!(
            "SELECT count(*) AS n FROM events WHERE {WHY} <> 'counts' AND event IN ({IN_LINKING})"
        );
        let filtered = self.api.count(&filtered);
        let told = number(&meta["filtered_by_default"]);
        self.differences
            .eq("linking: filtered by default", told, filtered);
        for dimension in DIMENSIONS {
            let answer = self.ask("linking", Some(dimension), None);
            let (_, tenant) = self.truth(&answer["meta"]["watermark"]);
            let what = format!("linking by {dimension}");
            self.funnel(&answer, &tenant.linking, &what);
            self.segments(&answer, dimension, &tenant.linking, &what);
        }
        let known: BTreeSet<&str> = DIMENSIONS.iter().chain(&NOT_YET).copied().collect();
        for dimension in tenant.linking.by.keys() {
            assert!(
                known.contains(dimension.as_str()),
                "{dimension} is compared with nothing"
            );
        }
    }

    fn first_link(&mut self) {
        let answer = self.ask("first_link", None, Some("day"));
        let (_, tenant) = self.truth(&answer["meta"]["watermark"]);
        if let Some(truth) = &tenant.first_link {
            self.funnel(&answer, truth, "first_link");
        }
    }

    /// The total, and the trend by day where there is one.
    fn funnel(&mut self, answer: &Json, truth: &FunnelTruth, what: &str) {
        self.group(
            &answer["total"],
            &truth.total,
            truth,
            &format!("{what}: total"),
        );
        if let Some(trend) = answer["trend"].as_array().filter(|trend| !trend.is_empty()) {
            self.trend(trend, truth, what);
        }
    }

    fn trend(&mut self, trend: &[Json], truth: &FunnelTruth, what: &str) {
        let mut days = truth.by_day.clone();
        for bucket in trend {
            let day = bucket["start"].as_str().map_or("", |start| &start[..10]);
            let counts = days.remove(day).unwrap_or_default();
            self.sums(
                bucket,
                &counts,
                ["entered", "converted"],
                &format!("{what}: {day}"),
            );
        }
        for day in days.keys() {
            self.differences
                .note(format!("{what}: the trend has no {day}"));
        }
    }

    fn segments(&mut self, answer: &Json, dimension: &str, truth: &FunnelTruth, what: &str) {
        let mut segments = truth.by.get(dimension).cloned().unwrap_or_default();
        for group in answer["groups"].as_array().expect("groups") {
            let key = group["key"].as_object().expect("a key");
            let value = key.values().next().and_then(Json::as_str).unwrap_or("?");
            let what = format!("{what}: {value}");
            match segments.remove(value) {
                Some(counts) => self.group(group, &counts, truth, &what),
                None => self.differences.note(format!(
                    "{what}: {} entered, in truth there is none",
                    group["entered"]
                )),
            }
        }
        for (value, counts) in segments.iter().filter(|(_, counts)| counts.entered > 0) {
            self.differences
                .note(format!("{what}: {value} is missing, in truth {counts:?}"));
        }
    }

    fn group(&mut self, group: &Json, counts: &Counts, truth: &FunnelTruth, what: &str) {
        self.sums(group, counts, ["entered", "converted"], what);
        let steps = group["steps"].as_array().expect("steps");
        self.differences
            .eq(&format!("{what}: steps"), steps.len(), truth.steps.len());
        for (at, (step, named)) in steps.iter().zip(&truth.steps).enumerate() {
            let what = format!("{what}: step {}", named.name);
            let said = (step["name"].as_str(), step["optional"].as_bool());
            self.differences.eq(
                &what,
                said,
                (Some(named.name.as_str()), Some(named.optional)),
            );
            self.differences.eq(
                &format!("{what}: reached"),
                number(&step["reached"]),
                counts.reached[at],
            );
            let matured = number(&step["matured_reached"]);
            self.differences.eq(
                &format!("{what}: matured reached"),
                matured,
                counts.matured.reached[at],
            );
        }
        let outcomes = group["outcomes"].as_array().expect("outcomes");
        let told: Vec<(&str, u64)> = outcomes
            .iter()
            .map(|outcome| {
                (
                    outcome["name"].as_str().unwrap_or("?"),
                    number(&outcome["count"]),
                )
            })
            .collect();
        let names = truth.outcomes.iter().map(String::as_str);
        self.differences.eq(
            &format!("{what}: outcomes"),
            told,
            names.zip(counts.outcomes.iter().copied()).collect(),
        );
    }

    /// The counts that groups, buckets and success rates share; the first two under these names.
    fn sums(&mut self, told: &Json, counts: &Counts, [entered, converted]: [&str; 2], what: &str) {
        let of = |name: &str| number(&told[name]);
        let matured = &told["matured"];
        let said = [
            of(entered),
            of(converted),
            of("dropped"),
            of("open"),
            number(&matured["entered"]),
            number(&matured["converted"]),
        ];
        let truth = [
            counts.entered,
            counts.converted,
            counts.dropped,
            counts.open,
            counts.matured.entered,
            counts.matured.converted,
        ];
        let what =
            format!("{what}: [entered, converted, dropped, open, matured, of them converted]");
        self.differences.eq(&what, said, truth);
        // Read back from JSON, the last bit may differ.
        let rate = told["rate"]["value"].as_f64();
        let near = match (rate, counts.rate()) {
            (Some(told), Some(truth)) => (told - truth).abs() <= f64::EPSILON,
            (told, truth) => told.is_none() && truth.is_none(),
        };
        let both = format!("{what}: rate {rate:?} is {:?}", counts.rate());
        self.differences.eq(&both, near, true);
    }

    fn success_rates(&mut self) {
        let (from, to) = self.range();
        for by in ["category", "integration", "surface"] {
            let path = format!(
                "/api/v1/success-rates?by={by}&interval=day&from={from}&to={to}&timezone=UTC&limit={ALL}"
            );
            let answer = self.api.get(&path);
            let (_, tenant) = self.truth(&answer["meta"]["watermark"]);
            let truth = &tenant.linking;
            let what = format!("success rates by {by}");
            let names = ["started", "linked"];
            let total = format!("{what}: total");
            self.sums(&answer["total"], &truth.total, names, &total);
            let trend = answer["total"]["trend"].as_array().expect("a trend");
            self.trend(trend, truth, &what);
            let mut segments = truth.by[by].clone();
            for group in answer["groups"].as_array().expect("groups") {
                let value = group["key"][by].as_str().unwrap_or("?");
                let counts = segments.remove(value).unwrap_or_default();
                self.sums(group, &counts, names, &format!("{what}: {value}"));
            }
            let missing: Vec<&String> = segments
                .iter()
                .filter(|(_, counts)| counts.entered > 0)
                .map(|(value, _)| value)
                .collect();
            self.differences
                .eq(&format!("{what}: missing"), missing, Vec::new());
        }
    }

    /// What SQL says of the rows.
    fn tables(&mut self) {
        let truth = self
            .generator
            .truth(None)
            .expect("all windows over is always told");
        let stored = &truth.tenants[self.tenant].stored;
        let api = self.api;
        let events = api.count("SELECT count(*) AS n FROM events");
        self.differences.eq("events", events, stored.events);
        let by_name =
            api.numbers("SELECT CAST(event AS VARCHAR) AS k, count(*) AS n FROM events GROUP BY 1");
        self.differences
            .eq("events by name", by_name, stored.events_by_name.clone());
        let linked = api.numbers(&format!(
            "SELECT CAST(CAST(occurred_at AS DATE) AS VARCHAR) AS k, count(*) AS n FROM events \
             WHERE event = 'connection.linked' AND {WHY} = 'counts' GROUP BY 1"
        ));
        self.differences
            .eq("linked per day", linked, stored.linked_per_day.clone());
        let of = |which: Count, counts: &BTreeMap<String, EventsAndRows>| {
            let pairs = counts
                .iter()
                .map(|(name, counts)| (name.clone(), which(counts)));
            pairs.collect::<BTreeMap<String, u64>>()
        };
        let mut relations: Vec<(&str, Count)> = vec![("events", |counts| counts.events)];
        if self.copies == Copies::Kept {
            relations.push(("events_raw", |counts| counts.rows));
            let rows = api.count("SELECT count(*) AS n FROM events_raw");
            self.differences.eq("rows with copies", rows, stored.rows);
        }
        for (relation, which) in relations {
            let filtered = api.numbers(&format!(
                "SELECT {WHY} AS k, count(*) AS n FROM {relation} WHERE {WHY} <> 'counts' GROUP BY 1"
            ));
            self.differences.eq(
                &format!("left out by default, {relation}"),
                filtered,
                of(which, &stored.filtered_by_default),
            );
            let dropped = api.numbers(&format!(
                "SELECT k, count(*) AS n FROM (SELECT unnest(dropped_fields) AS k FROM {relation}) GROUP BY k"
            ));
            self.differences.eq(
                &format!("dropped fields, {relation}"),
                dropped,
                of(which, &stored.dropped_fields),
            );
        }
    }
}

/// Rejects of all tenants, by kind and code.
pub(crate) fn rejects(apis: &[Api], kind: &str) -> BTreeMap<String, u64> {
    let mut all = BTreeMap::new();
    for api in apis {
        let sql = format!(
            "SELECT CAST(reject_code AS VARCHAR) AS k, count(*) AS n FROM rejects WHERE reject_kind = '{kind}' GROUP BY 1"
        );
        for (code, count) in api.numbers(&sql) {
            *all.entry(code).or_default() += count;
        }
    }
    all
}
