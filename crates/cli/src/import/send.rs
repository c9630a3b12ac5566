//! Sends records to a running server, a few thousand a request.

use serde_json::Value as Json;

use super::Progress;
use super::records::Records;
use crate::client::Client;
use crate::failure::Result;
use crate::words;

/// Events of one request.
const BATCH_EVENTS: u64 = 5_000;
/// Bytes of one request, about.
const BATCH_BYTES: usize = 2 << 20;

/// What the server said about all of them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Sent {
    read: u64,
    accepted: u64,
    duplicates: u64,
    rejected: u64,
    suppressed: u64,
}

impl Sent {
    /// What became of the records, in one line.
    pub(crate) fn line(&self, url: &str) -> String {
        let mut line = format!(
            "{} read, {} stored, {}, {}",
            words::count(self.read),
            words::count(self.accepted),
            words::counted(self.duplicates, "duplicate"),
            words::counted(self.rejected, "dead letter"),
        );
        if self.suppressed > 0 {
            line += &format!(", {} not kept (no consent)", words::count(self.suppressed));
        }
        if self.rejected > 0 {
            line += &format!(" (linkfunnel dead-letters --url {url})");
        }
        line
    }

    fn add(&mut self, verdicts: &Json) {
        let count = |key: &str| verdicts[key].as_u64().unwrap_or(0);
        self.accepted += count("accepted");
        self.duplicates += count("duplicates");
        self.rejected += count("rejected");
        self.suppressed += count("suppressed");
    }
}

/// Sends every record.
pub(crate) fn send(client: &Client, records: &mut Records, progress: &Progress) -> Result<Sent> {
    let mut sent = Sent::default();
    let mut body = Vec::with_capacity(BATCH_BYTES + 4_096);
    let mut record = Vec::new();
    let mut in_batch = 0;
    loop {
        record.clear();
        let more = records.next_into(&mut record)?;
        if more {
            push(&record, &mut body);
            in_batch += 1;
            sent.read += 1;
        }
        if in_batch > 0 && (!more || in_batch == BATCH_EVENTS || body.len() >= BATCH_BYTES) {
            sent.add(&client.post_patiently("/events", "application/x-ndjson", &body)?);
            progress.show(sent.read);
            body.clear();
            in_batch = 0;
        }
        if !more {
            return Ok(sent);
        }
    }
}

/// Appends a record as a line; one that names no source is an import's.
fn push(record: &[u8], body: &mut Vec<u8>) {
    const SOURCE: &[u8] = b"\"source\"";
    let named = record.windows(SOURCE.len()).any(|window| window == SOURCE);
    match record.strip_prefix(b"{") {
        Some(rest) if !named && rest.starts_with(b"\"") => {
            body.extend_from_slice(b"{\"source\":\"import\",");
            body.extend_from_slice(rest);
        }
        _ => body.extend_from_slice(record),
    }
    body.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_without_a_source_is_an_imports() {
        let mut body = Vec::new();
        push(br#"{"event_id":"e"}"#, &mut body);
        push(br#"{"source":"crm"}"#, &mut body);
        push(b"not json", &mut body);
        assert_eq!(
            String::from_utf8(body).unwrap(),
            "{\"source\":\"import\",\"event_id\":\"e\"}\n{\"source\":\"crm\"}\nnot json\n"
        );
    }

    #[test]
    fn the_closing_line_adds_up() {
        let mut sent = Sent {
            read: 4,
            ..Sent::default()
        };
        sent.add(
            &serde_json::json!({"accepted": 2, "duplicates": 1, "rejected": 1, "results": []}),
        );
        assert_eq!(
            sent.line("http://x"),
            "4 read, 2 stored, 1 duplicate, 1 dead letter (linkfunnel dead-letters --url http://x)"
        );
    }
}
