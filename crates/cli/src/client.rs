//! Asks a running server over HTTP; what it refuses becomes one sentence.

use std::io::Read;
use std::time::Duration;

use serde_json::Value as Json;

use crate::failure::{Failure, Result};

/// Where a server is when nothing else is said.
pub(crate) const DEFAULT_URL: &str = "http://127.0.0.1:8080";
/// Longest wait for an answer.
const TIMEOUT: Duration = Duration::from_secs(120);
/// How often a busy server is asked again, and after how long.
const BUSY_TRIES: u32 = 30;
const BUSY_WAIT: Duration = Duration::from_secs(1);
/// Largest answer read, in bytes.
const MAX_ANSWER: u64 = 512 << 20;

/// A server and who is asking it.
pub(crate) struct Client {
    agent: ureq::Agent,
    url: String,
    tenant: Option<String>,
    key: Option<String>,
}

impl Client {
    /// A client of the server at `url`. The key, for a server that wants one, is in `LINKFUNNEL_KEY`.
    pub(crate) fn new(url: &str, tenant: Option<&str>) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(TIMEOUT))
            .build();
        let url = url
            .trim_end_matches('/')
            .trim_end_matches("/api/v1")
            .to_owned();
        let url = if url.contains("://") {
            url
        } else {
            format!("http://{url}")
        };
        Client {
            agent: config.into(),
            url,
            tenant: tenant.map(str::to_owned),
            key: std::env::var("LINKFUNNEL_KEY").ok(),
        }
    }

    /// The server's URL.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// POSTs a body to a path below `/api/v1` and reads the JSON answer.
    pub(crate) fn post(&self, path: &str, content_type: &str, body: &[u8]) -> Result<Json> {
        let request = self.agent.post(format!("{}/api/v1{path}", self.url));
        let request = request.header("content-type", content_type);
        self.read(self.sign(request).send(body))
    }

    /// POSTs as [`Client::post`], and again while the server says that it has too much to do.
    pub(crate) fn post_patiently(
        &self,
        path: &str,
        content_type: &str,
        body: &[u8],
    ) -> Result<Json> {
        for _ in 0..BUSY_TRIES {
            let request = self.agent.post(format!("{}/api/v1{path}", self.url));
            let request = request.header("content-type", content_type);
            let answer = self.sign(request).send(body);
            if !answer
                .as_ref()
                .is_ok_and(|response| matches!(response.status().as_u16(), 429 | 503))
            {
                return self.read(answer);
            }
            std::thread::sleep(BUSY_WAIT);
        }
        self.post(path, content_type, body)
    }

    /// GETs a path below `/api/v1`.
    pub(crate) fn get(&self, path: &str) -> Result<Json> {
        let request = self.agent.get(format!("{}/api/v1{path}", self.url));
        self.read(self.sign(request).call())
    }

    /// Whether a linkfunnel server answers there.
    pub(crate) fn is_alive(&self) -> bool {
        self.agent
            .get(format!("{}/healthz", self.url))
            .call()
            .is_ok_and(|r| r.status().is_success())
    }

    fn sign<Any>(&self, mut request: ureq::RequestBuilder<Any>) -> ureq::RequestBuilder<Any> {
        if let Some(tenant) = &self.tenant {
            request = request.header("linkfunnel-tenant", tenant);
        }
        if let Some(key) = &self.key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        request
    }

    fn read(&self, answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Result<Json> {
        let mut response = answer.map_err(|error| self.unreachable(&error))?;
        let status = response.status();
        let mut text = String::new();
        response
            .body_mut()
            .as_reader()
            .take(MAX_ANSWER)
            .read_to_string(&mut text)?;
        let json = serde_json::from_str::<Json>(&text);
        match json {
            Ok(json) if status.is_success() => Ok(json),
            Ok(problem) => Err(refused(status.as_u16(), &problem)),
            Err(_) => Err(Failure::new(format!(
                "{} answered {status}, but not as linkfunnel does",
                self.url
            ))
            .mend("is this the address of a linkfunnel server?")),
        }
    }

    fn unreachable(&self, error: &ureq::Error) -> Failure {
        Failure::new(format!("no linkfunnel server answers at {} ({error})", self.url)).mend(
            "start one with `linkfunnel serve --data DIR`, name another with --url, or ask a folder with --data DIR",
        )
    }
}

/// A problem (RFC 9457) as a sentence.
fn refused(status: u16, problem: &Json) -> Failure {
    let text = |key: &str| problem[key].as_str().filter(|text| !text.is_empty());
    let detail = text("detail")
        .or(text("title"))
        .unwrap_or("no reason given")
        .to_owned();
    let at = text("pointer").map_or(String::new(), |pointer| format!(" (at {pointer})"));
    let failure = Failure::new(format!("{detail}{at}"));
    match status {
        401 | 403 => failure.mend("put a key that may do this into LINKFUNNEL_KEY"),
        500.. => match text("request_id") {
            Some(id) => failure.mend(format!("the server's log has more under request id {id}")),
            None => failure,
        },
        _ => failure,
    }
}

/// A path with parameters after it.
pub(crate) fn with_parameters(path: &str, parameters: &[(&str, String)]) -> String {
    let parameters: Vec<String> = parameters
        .iter()
        .map(|(name, value)| format!("{name}={}", escaped(value)))
        .collect();
    match parameters.is_empty() {
        true => path.to_owned(),
        false => format!("{path}?{}", parameters.join("&")),
    }
}

/// Percent-encoded, save what needs it nowhere in a URL (RFC 3986, unreserved).
pub(crate) fn escaped(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            char::from(byte).to_string()
        }
        other => format!("%{other:02X}"),
    };
    text.bytes().map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_where_and_what() {
        let problem = serde_json::json!({"title": "x", "detail": "no field is called \"categry\"", "pointer": "/breakdown/by/0"});
        assert_eq!(
            refused(422, &problem).to_string(),
            "no field is called \"categry\" (at /breakdown/by/0)"
        );
        let missing = refused(
            401,
            &serde_json::json!({"detail": "this server wants a key"}),
        );
        assert!(missing.to_string().contains("LINKFUNNEL_KEY"));
    }
}
