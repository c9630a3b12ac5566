//! Integers to answers: the only place where floats appear, besides the differences of `compare` (promise 10).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use chrono_tz::Tz;
use linkfunnel_funnel::{Entries, Histogram, StepTally, Tally};
use linkfunnel_model::FunnelDefinition;
use linkfunnel_stats::{NotObserved, Survival, wilson};

use crate::answer::{
    Group, Matured, OutcomeCount, Rate, ReasonCount, StepAnswer, TimeBin, TimeToConvert, Times,
    TrendBucket, null,
};
use crate::numbers::{BucketCounts, Numbers, Reason};
use crate::plan::{OTHER, Plan};
use crate::trend;

/// What a report needs to know beside the counts.
pub(crate) struct Reporter<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) definition: &'a FunnelDefinition,
    pub(crate) zone: Tz,
    /// Whether times to convert were asked for.
    pub(crate) times: bool,
}

/// Segments that are shown, and those that go into `(other)`.
pub(crate) struct Ranked {
    /// Largest first; those with an absent value last.
    pub(crate) shown: Vec<(Vec<Arc<str>>, Numbers)>,
    /// How many of those have a value; the limit is on them.
    pub(crate) ranked: usize,
    /// The rest together.
    pub(crate) other: Option<Numbers>,
}

/// Ranks segments by size, then by name. Segments of absent values stand apart and are not ranked.
pub(crate) fn rank(plan: &Plan, groups: HashMap<Vec<Arc<str>>, Numbers>, limit: usize) -> Ranked {
    let absent: Vec<Arc<str>> = (0..plan.breakdown).map(|d| plan.absent(d)).collect();
    let is_apart = |key: &[Arc<str>]| key.iter().zip(&absent).any(|(label, none)| label == none);
    let mut all: Vec<(Vec<Arc<str>>, Numbers)> = groups.into_iter().collect();
    all.sort_by(|(a, x), (b, y)| {
        let by_size = y.tally.entered.cmp(&x.tally.entered);
        is_apart(a)
            .cmp(&is_apart(b))
            .then(by_size)
            .then_with(|| a.cmp(b))
    });
    let ranked = all.iter().take_while(|(key, _)| !is_apart(key)).count();
    let mut other: Option<Numbers> = None;
    for (_, numbers) in all.drain(limit.min(ranked)..ranked) {
        match other.as_mut() {
            Some(rest) => rest.merge(&numbers),
            None => other = Some(numbers),
        }
    }
    Ranked {
        shown: all,
        ranked: limit.min(ranked),
        other,
    }
}

impl Reporter<'_> {
    /// The segments in words.
    pub(crate) fn groups(&self, ranked: &Ranked) -> Vec<Group> {
        let other = vec![Arc::<str>::from(OTHER); self.plan.breakdown];
        let shown = ranked.shown.iter().map(|(key, numbers)| (key, numbers));
        let shown = shown.chain(ranked.other.as_ref().map(|numbers| (&other, numbers)));
        shown
            .map(|(key, numbers)| self.group(self.key(key), numbers))
            .collect()
    }

    /// The segments with their keys, `(other)` last.
    pub(crate) fn keyed(&self, ranked: Ranked) -> Vec<(BTreeMap<String, String>, Numbers)> {
        let other = vec![Arc::<str>::from(OTHER); self.plan.breakdown];
        let other = ranked.other.map(|numbers| (other, numbers));
        let all = ranked.shown.into_iter().chain(other);
        all.map(|(labels, numbers)| (self.key(&labels), numbers))
            .collect()
    }

    /// Dimension → label.
    pub(crate) fn key(&self, labels: &[Arc<str>]) -> BTreeMap<String, String> {
        let names = self.plan.dimensions.iter().map(|d| d.name.clone());
        names
            .zip(labels.iter().map(|label| label.to_string()))
            .collect()
    }

    /// All, without their own trend (it stands beside).
    pub(crate) fn total(&self, numbers: &Numbers) -> Group {
        Group {
            trend: Vec::new(),
            ..self.group(BTreeMap::new(), numbers)
        }
    }

    fn group(&self, key: BTreeMap<String, String>, numbers: &Numbers) -> Group {
        let tally = &numbers.tally;
        let survival = survival(tally);
        Group {
            key,
            entered: tally.entered,
            converted: tally.converted,
            dropped: tally.dropped,
            open: tally.open,
            discarded: tally.discarded,
            outcomes: self.outcomes(tally),
            matured: Matured {
                entered: tally.matured_entered,
                converted: tally.matured_converted,
            },
            rate: rate(
                tally.matured_converted,
                tally.matured_entered,
                null::NOT_MATURED,
            ),
            rate_so_far: so_far(tally.converted, tally.entered),
            rate_expected: match self.plan.rules.entries() {
                Entries::Best => Rate::none(null::NOT_WITH_BEST),
                Entries::Cohort | Entries::All => expected(tally, &survival),
            },
            steps: self.steps(numbers),
            time_to_convert: self.times.then(|| self.time_to_convert(numbers, &survival)),
            trend: self.trend(&numbers.trend),
        }
    }

    fn times(&self, histogram: &Histogram) -> Times {
        if self.times {
            return times(histogram);
        }
        let code = Some(null::NOT_ASKED_FOR.to_owned());
        Times {
            p50: None,
            p75: None,
            p90: None,
            p95: None,
            code,
        }
    }

    fn outcomes(&self, tally: &Tally) -> Vec<OutcomeCount> {
        let names = self.definition.outcomes.iter().map(|o| o.name.clone());
        names
            .zip(&tally.outcomes)
            .map(|(name, count)| OutcomeCount {
                name,
                count: *count,
            })
            .collect()
    }

    fn steps(&self, numbers: &Numbers) -> Vec<StepAnswer> {
        let tally = &numbers.tally;
        let steps = self.definition.steps.iter().zip(&tally.steps).enumerate();
        steps
            .map(|(i, (definition, step))| {
                let previous = self
                    .plan
                    .rules
                    .previous_required(i)
                    .map(|p| &tally.steps[p]);
                StepAnswer {
                    name: definition.name.clone(),
                    optional: definition.optional,
                    reached: step.reached,
                    bypassed: step.bypassed,
                    dropped: step.dropped,
                    open: step.open,
                    matured_reached: step.matured_reached,
                    rate_from_entry: rate(
                        got_this_far(step),
                        tally.matured_entered,
                        null::NOT_MATURED,
                    ),
                    rate_from_previous: rate_from_previous(tally, previous, step),
                    time_from_entry_ms: self.times(&step.from_entry_us),
                    time_from_previous_ms: self.times(&step.from_previous_us),
                    reasons: reasons(i, &numbers.reasons),
                }
            })
            .collect()
    }

    fn time_to_convert(&self, numbers: &Numbers, survival: &Survival) -> TimeToConvert {
        let empty = Histogram::default();
        let histogram = numbers
            .tally
            .steps
            .last()
            .map_or(&empty, |last| &last.from_entry_us);
        let is_followed = self.plan.rules.entries() != Entries::Best;
        let median = survival.median().filter(|_| is_followed);
        let bin = |(from, to, count): (u64, u64, u64)| TimeBin {
            from_ms: ms(from),
            to_ms: ms(to),
            count,
        };
        TimeToConvert {
            converted_ms: times(histogram),
            median_with_open_ms: median.map(ms),
            code: match (median, is_followed) {
                (Some(_), _) => None,
                (None, true) => Some(null::BELOW_HALF.to_owned()),
                (None, false) => Some(null::NOT_WITH_BEST.to_owned()),
            },
            bins: match &self.plan.edges_us {
                Some(edges_us) => self.given_bins(edges_us, &numbers.bins),
                None => bins(&histogram.buckets()).into_iter().map(bin).collect(),
            },
        }
    }

    /// Exact counts between the edges given, from 0 to the window's end.
    fn given_bins(&self, edges_us: &[u64], counts: &[u64]) -> Vec<TimeBin> {
        let window_us = self.plan.rules.window_us().unsigned_abs();
        let starts = std::iter::once(0).chain(edges_us.iter().copied());
        let ends = edges_us.iter().copied().chain([window_us]);
        let bin = |((from, to), count): ((u64, u64), &u64)| TimeBin {
            from_ms: ms(from),
            to_ms: ms(to),
            count: *count,
        };
        starts.zip(ends).zip(counts).map(bin).collect()
    }

    /// The trend in words.
    pub(crate) fn trend(&self, counts: &[BucketCounts]) -> Vec<TrendBucket> {
        let span = &self.plan.span;
        let one = |(bucket, counts): (&trend::Bucket, &BucketCounts)| TrendBucket {
            start: trend::text(bucket.start_us, self.zone),
            end: trend::text(bucket.end_us, self.zone),
            partial: bucket.start_us < span.from_us || bucket.end_us > span.to_us,
            is_matured: self.plan.is_over(bucket),
            entered: counts.entered,
            converted: counts.converted,
            dropped: counts.dropped,
            open: counts.open,
            matured: Matured {
                entered: counts.matured_entered,
                converted: counts.matured_converted,
            },
            rate: rate(
                counts.matured_converted,
                counts.matured_entered,
                if counts.entered == 0 {
                    null::NOBODY_ENTERED
                } else {
                    null::NOT_MATURED
                },
            ),
            rate_so_far: so_far(counts.converted, counts.entered),
        };
        self.plan.buckets.iter().zip(counts).map(one).collect()
    }
}

/// Labels of the shown segments, for the list behind `(other)`.
pub(crate) fn shown_labels(ranked: &Ranked) -> Vec<Vec<Arc<str>>> {
    let labels: BTreeSet<&Vec<Arc<str>>> = ranked.shown.iter().map(|(key, _)| key).collect();
    labels.into_iter().cloned().collect()
}

/// Matured subjects that reached the step or, their provider not showing it, one beyond.
fn got_this_far(step: &StepTally) -> u64 {
    step.matured_reached + step.matured_bypassed
}

/// Why those whose furthest step this is dropped, most frequent first.
fn reasons(step: usize, all: &HashMap<Reason, u64>) -> Vec<ReasonCount> {
    let mut here: Vec<(&Reason, u64)> = all
        .iter()
        .filter(|(reason, _)| reason.step == step)
        .map(|(reason, count)| (reason, *count))
        .collect();
    here.sort_by(|(a, x), (b, y)| y.cmp(x).then_with(|| a.cmp(b)));
    let text = |word: &Option<Arc<str>>| word.as_deref().unwrap_or("unknown").to_owned();
    let in_words = |(reason, count): (&Reason, u64)| ReasonCount {
        class: text(&reason.class),
        code: text(&reason.code),
        attribution: reason.attribution.as_deref().map(str::to_owned),
        recoverable: reason.recoverable,
        count,
    };
    here.into_iter().map(in_words).collect()
}

fn rate_from_previous(tally: &Tally, previous: Option<&StepTally>, step: &StepTally) -> Rate {
    match previous {
        None => rate(got_this_far(step), tally.matured_entered, null::NOT_MATURED),
        Some(previous) => {
            let nothing = tally.matured_entered == 0;
            let code = if nothing {
                null::NOT_MATURED
            } else {
                null::NOBODY_REACHED
            };
            rate(got_this_far(step), got_this_far(previous), code)
        }
    }
}

/// `part` of `whole` with Wilson's interval; null with `code` when `whole` is 0.
pub(crate) fn rate(part: u64, whole: u64, code: &str) -> Rate {
    match wilson(part, whole) {
        None => Rate::none(code),
        Some(interval) => Rate {
            value: Some(share(part, whole)),
            low: Some(interval.low),
            high: Some(interval.high),
            code: None,
        },
    }
}

fn so_far(converted: u64, entered: u64) -> Rate {
    if entered == 0 {
        Rate::none(null::NOBODY_ENTERED)
    } else {
        Rate::plain(share(converted, entered))
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts of subjects are far below 2^53"
)]
fn share(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64
}

#[expect(clippy::cast_precision_loss, reason = "times are far below 2^53 µs")]
fn ms(us: u64) -> f64 {
    us as f64 / 1000.0
}

fn survival(tally: &Tally) -> Survival {
    let moments: Vec<linkfunnel_stats::Moment> = tally
        .follow
        .moments()
        .into_iter()
        .map(|m| linkfunnel_stats::Moment {
            time: m.at_us,
            converted: m.converted,
            censored: m.censored,
        })
        .collect();
    Survival::new(
        &moments,
        tally.follow.followed_to_end(),
        tally.matured_entered,
    )
}

fn expected(tally: &Tally, survival: &Survival) -> Rate {
    if tally.entered == 0 {
        return Rate::none(null::NOBODY_ENTERED);
    }
    match survival.converted_by_end() {
        Ok(estimate) => Rate {
            value: Some(estimate.value),
            low: Some(estimate.interval.low),
            high: Some(estimate.interval.high),
            code: None,
        },
        Err(NotObserved) => Rate::none(NotObserved::CODE),
    }
}

pub(crate) fn times(histogram: &Histogram) -> Times {
    let at = |percent| histogram.percentile_us(percent).map(ms);
    let code = (histogram.count() == 0).then(|| null::NOBODY_REACHED.to_owned());
    Times {
        p50: at(50),
        p75: at(75),
        p90: at(90),
        p95: at(95),
        code,
    }
}

/// Most bars of a histogram of times.
const MAX_BINS: usize = 40;

/// Joins neighbouring buckets until few enough are left to be drawn.
fn bins(buckets: &[(u64, u64, u64)]) -> Vec<(u64, u64, u64)> {
    let together = buckets.len().div_ceil(MAX_BINS).max(1);
    let join = |run: &[(u64, u64, u64)]| {
        (
            run[0].0,
            run[run.len() - 1].1,
            run.iter().map(|b| b.2).sum(),
        )
    };
    buckets.chunks(together).map(join).collect()
}
