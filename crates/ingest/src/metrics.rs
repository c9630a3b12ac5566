//! What ingest counts, for Prometheus. Label values that messages can invent are bounded.

use std::collections::HashSet;

use parking_lot::Mutex;
use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
    Opts, Registry,
};

use crate::error::Result;

/// Distinct names of dropped fields that get a series of their own; later ones count as `other`.
pub const MAX_DROPPED_FIELD_LABELS: usize = 200;
/// Distinct (tenant, source) pairs with a last-arrival series of their own; later ones have none.
pub const MAX_ARRIVAL_LABELS: usize = 2_000;

/// The metrics of every stream a process reads; one set per process.
#[derive(Debug)]
pub struct IngestMetrics {
    /// Rows taken in, by `kind` (event, dead_letter, suppressed).
    pub rows: IntCounterVec,
    /// Bytes of message payload taken in.
    pub bytes: IntCounter,
    /// Rejects by `code`.
    pub rejects: IntCounterVec,
    /// Sensitive fields dropped, by `field`.
    pub dropped_fields: IntCounterVec,
    /// Messages between a partition's end and what is queryable, by `stream` and `partition`.
    pub lag: IntGaugeVec,
    /// Bytes in memory that no commit holds yet.
    pub uncommitted_bytes: IntGauge,
    /// Seconds a commit took.
    pub commit_seconds: Histogram,
    /// Commits by `result` (ok, failed, skipped).
    pub commits: IntCounterVec,
    /// 1 while partitions are paused because memory is full.
    pub paused: IntGauge,
    /// Rebalances by `kind` (assign, revoke, lost).
    pub rebalances: IntCounterVec,
    /// Ranges of offsets that retention took before they were read.
    pub lost_ranges: IntCounter,
    /// Offsets in those ranges.
    pub lost_offsets: IntCounter,
    /// New generations begun because a topic was deleted and made again.
    pub generations: IntCounter,
    /// Seconds between now and a partition's watermark, by `stream` and `partition`.
    pub watermark_age: GaugeVec,
    /// When the last event arrived (seconds since the epoch), by `tenant` and `source`.
    pub last_arrival: GaugeVec,
    /// Events offered over HTTP, by `verdict` (accepted, duplicate, rejected).
    pub intake: IntCounterVec,
    dropped_names: Mutex<HashSet<String>>,
    arrivals: Mutex<HashSet<(String, &'static str)>>,
}

impl IngestMetrics {
    /// Makes the metrics and registers them.
    pub fn new(registry: &Registry) -> Result<IngestMetrics> {
        let counter = |name: &str, help: &str| -> Result<IntCounter> {
            let metric = IntCounter::new(full(name), help)?;
            registry.register(Box::new(metric.clone()))?;
            Ok(metric)
        };
        let counters = |name: &str, help: &str, labels: &[&str]| -> Result<IntCounterVec> {
            let metric = IntCounterVec::new(Opts::new(full(name), help), labels)?;
            registry.register(Box::new(metric.clone()))?;
            Ok(metric)
        };
        let gauge = |name: &str, help: &str| -> Result<IntGauge> {
            let metric = IntGauge::new(full(name), help)?;
            registry.register(Box::new(metric.clone()))?;
            Ok(metric)
        };
        let gauges = |name: &str, help: &str, labels: &[&str]| -> Result<GaugeVec> {
            let metric = GaugeVec::new(Opts::new(full(name), help), labels)?;
            registry.register(Box::new(metric.clone()))?;
            Ok(metric)
        };
        let lag = IntGaugeVec::new(
            Opts::new(
                full("lag_messages"),
                "Messages between the end of a partition and what is queryable",
            ),
            &["stream", "partition"],
        )?;
        registry.register(Box::new(lag.clone()))?;
        let buckets = vec![
            0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
        ];
        let options =
            HistogramOpts::new(full("commit_seconds"), "Duration of a commit to the table");
        let commit_seconds = Histogram::with_opts(options.buckets(buckets))?;
        registry.register(Box::new(commit_seconds.clone()))?;
        Ok(IngestMetrics {
            rows: counters("rows_total", "Rows taken in", &["kind"])?,
            bytes: counter("bytes_total", "Bytes of message payload taken in")?,
            rejects: counters(
                "rejects_total",
                "Messages that did not become events",
                &["code"],
            )?,
            dropped_fields: counters(
                "dropped_fields_total",
                "Sensitive fields dropped",
                &["field"],
            )?,
            lag,
            uncommitted_bytes: gauge(
                "uncommitted_bytes",
                "Bytes in memory that no commit holds yet",
            )?,
            commit_seconds,
            commits: counters("commits_total", "Commits to the table", &["result"])?,
            paused: gauge("paused", "1 while reading is paused because memory is full")?,
            rebalances: counters(
                "rebalances_total",
                "Changes of partition assignment",
                &["kind"],
            )?,
            lost_ranges: counter(
                "lost_ranges_total",
                "Offset ranges that retention took before they were read",
            )?,
            lost_offsets: counter("lost_offsets_total", "Offsets in lost ranges")?,
            generations: counter("generations_total", "Topics found deleted and made again")?,
            watermark_age: gauges(
                "watermark_age_seconds",
                "Age of a partition's watermark",
                &["stream", "partition"],
            )?,
            last_arrival: gauges(
                "last_arrival_timestamp_seconds",
                "When the last event arrived",
                &["tenant", "source"],
            )?,
            intake: counters(
                "intake_events_total",
                "Events offered over HTTP",
                &["verdict"],
            )?,
            dropped_names: Mutex::default(),
            arrivals: Mutex::default(),
        })
    }

    /// Counts a field that was dropped because its name says that it holds a secret.
    pub(crate) fn dropped(&self, field: &str) {
        let mut names = self.dropped_names.lock();
        let known = names.contains(field);
        if known || names.len() < MAX_DROPPED_FIELD_LABELS {
            if !known {
                names.insert(field.to_owned());
            }
            self.dropped_fields.with_label_values(&[field]).inc();
        } else {
            self.dropped_fields.with_label_values(&["other"]).inc();
        }
    }

    /// Notes when an event of `tenant` and `source` arrived last (µs since the epoch).
    pub(crate) fn arrived(&self, tenant: &str, source: &'static str, at_us: i64) {
        let mut known = self.arrivals.lock();
        let key = (tenant.to_owned(), source);
        if known.contains(&key) || known.len() < MAX_ARRIVAL_LABELS {
            known.insert(key);
            self.last_arrival
                .with_label_values(&[tenant, source])
                .set(seconds(at_us));
        }
    }

    /// Forgets the series of a partition that this process no longer reads.
    pub(crate) fn detach(&self, stream: &str, partition: i32) {
        let partition = partition.to_string();
        let labels = [stream, partition.as_str()];
        // A series that was never set is not there to remove.
        let _ = self.lag.remove_label_values(&labels);
        let _ = self.watermark_age.remove_label_values(&labels);
    }

    pub(crate) fn watermark(&self, stream: &str, partition: i32, age_us: i64) {
        let age: &Gauge = &self
            .watermark_age
            .with_label_values(&[stream, partition.to_string().as_str()]);
        age.set(seconds(age_us.max(0)));
    }
}

fn full(name: &str) -> String {
    format!("linkfunnel_ingest_{name}")
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a metric in seconds; ms matter, not bits"
)]
fn seconds(us: i64) -> f64 {
    us as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_dropped_fields_are_bounded() {
        let metrics = IngestMetrics::new(&Registry::new()).unwrap();
        for i in 0..MAX_DROPPED_FIELD_LABELS + 5 {
            metrics.dropped(&format!("token_{i}"));
        }
        metrics.dropped("token_0");
        assert_eq!(
            metrics.dropped_fields.with_label_values(&["token_0"]).get(),
            2
        );
        assert_eq!(
            metrics.dropped_fields.with_label_values(&["other"]).get(),
            5
        );
    }
}
