//! Every built-in funnel, by every dimension that its truth knows, and success rates.

use linkfunnel_testkit::generate::{Counts, FunnelTruth, TenantTruth};
use serde_json::{Value as Json, json};

use super::{Comparison, WHY, number};

/// Dimensions of the truth that the API cannot break down by yet.
const NOT_YET: [&str; 1] = ["experiment"];
/// More segments than there are.
const ALL: usize = 1_000;

/// Events that are a step or an outcome of `linking`.
const IN_LINKING: &str = "'journey.started','attempt.opened','provider.selected','consent.granted','credentials.submitted',\
'handoff.started','sca.passed','connection.linked','file.uploaded','manual.entered','step.skipped','journey.paused','journey.delegated'";

/// The truth of a funnel by its id.
fn of<'t>(tenant: &'t TenantTruth, id: &str) -> &'t FunnelTruth {
    match id {
        "linking" => &tenant.linking,
        "first_link" => &tenant.first_link,
        other => &tenant.funnels[other],
    }
}

impl Comparison<'_> {
    pub(super) fn funnels(&mut self) {
        let truth = self.generator.truth(None);
        let truth = truth.expect("all windows over is always told");
        let tenant = &truth.tenants[self.tenant];
        let others = tenant.funnels.keys().map(String::as_str);
        for id in ["linking", "first_link"].into_iter().chain(others) {
            self.built_in(id);
            for dimension in of(tenant, id).by.keys() {
                if !NOT_YET.contains(&dimension.as_str()) {
                    self.by(id, dimension);
                }
            }
        }
    }

    fn built_in(&mut self, id: &str) {
        let answer = self.ask(id, None, Some("day"));
        let meta = &answer["meta"];
        let (_, tenant) = self.truth(&meta["watermark"]);
        let truth = of(&tenant, id);
        self.funnel(&answer, truth, id);
        if let Some(without_entry) = truth.without_entry {
            let said = number(&meta["without_entry"]);
            self.differences
                .eq(&format!("{id}: without entry"), said, without_entry);
        }
        if id == "linking" {
            let steps = answer["total"]["steps"].as_array().expect("steps");
            let bypassed: u64 = steps.iter().map(|step| number(&step["bypassed"])).sum();
            let is_large = truth.total.entered > 100;
            self.differences.eq(
                "linking: somebody got past a step unseen",
                bypassed > 0,
                is_large || bypassed > 0,
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
        }
    }

    fn by(&mut self, id: &str, dimension: &str) {
        let answer = self.ask(id, Some(dimension), None);
        let (_, tenant) = self.truth(&answer["meta"]["watermark"]);
        let truth = of(&tenant, id);
        let what = format!("{id} by {dimension}");
        self.funnel(&answer, truth, &what);
        self.segments(&answer, dimension, truth, &what);
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
            self.differences.eq(
                &format!("{what}: bypassed"),
                number(&step["bypassed"]),
                counts.bypassed[at],
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

    pub(super) fn success_rates(&mut self) {
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
}
