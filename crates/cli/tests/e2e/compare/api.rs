//! The HTTP API as one tenant uses it.

use std::collections::BTreeMap;
use std::io::Read;
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

/// Longest wait for one answer, in a debug build beside other tests.
const ANSWER_WITHIN: Duration = Duration::from_secs(300);

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

    pub(super) fn put(&self, path: &str, body: &Json) {
        let request = self.agent.put(format!("{}{path}", self.url));
        let request = request
            .header("linkfunnel-tenant", &self.tenant)
            .header("content-type", "application/json");
        read(path, request.send(body.to_string().as_bytes()));
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
    pub(super) fn numbers(&self, sql: &str) -> BTreeMap<String, u64> {
        let rows = self.sql(sql);
        let pair = |row: &Json| {
            (
                row["k"].as_str().unwrap_or("null").to_owned(),
                number(&row["n"]),
            )
        };
        rows.iter().map(pair).collect()
    }

    pub(super) fn count(&self, sql: &str) -> u64 {
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
