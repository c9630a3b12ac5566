//! Every count the API gives beside the truth of what was generated. Differences are gathered, so that one run shows them all.

mod api;
mod experiments;
mod funnels;

use std::collections::BTreeMap;
use std::fmt::Debug;

use chrono::{DateTime, SecondsFormat};
use linkfunnel_testkit::generate::{EventsAndRows, Generator, TenantTruth, Truth};
use serde_json::Value as Json;

pub(crate) use api::{Api, number, wait};

const DAY_US: i64 = 86_400_000_000;

/// Why the default population leaves an event out, in the words of the truth.
const WHY: &str = "CASE WHEN environment = 'sandbox' THEN 'sandbox' WHEN traffic <> 'human' THEN traffic ELSE 'counts' END";

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
        self.funnels();
        self.success_rates();
        self.experiment();
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
