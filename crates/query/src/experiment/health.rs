//! Whether an experiment can be trusted.

use linkfunnel_stats::{SampleRatio, SampleRatioSequence, Share, sample_ratio};

use super::answer::{Health, SampleRatioTold, SegmentRatio};
use super::report::{Report, Which};
use super::tally::Group;
use crate::answer::Warning;

/// From this share of units in two variants on, a warning; from the next on, no result.
const TWO_WARNS: f64 = 0.01;
pub(crate) const TWO_FAILS: f64 = 0.1;

/// Weights are told to the test of the split in millionths.
const MILLION: f64 = 1e6;

impl Report<'_> {
    pub(crate) fn health(&self) -> Health {
        let odd = self.found[0].tally.odd;
        let lane = &self.lanes.lanes[0];
        let mut health = Health {
            status: "ok".to_owned(),
            sample_ratio: self.sample_ratio(),
            sample_ratio_alarms: self.segment_ratios(),
            units_seen: odd.seen,
            in_two_variants: odd.in_two,
            unknown_variant: odd.unknown_variant,
            without_assignment: (odd.assigned > 0).then_some(odd.without_assignment),
            exposed_elsewhere: (odd.assigned > 0).then_some(odd.elsewhere),
            outcome_before_exposure: lane.from_exposure.then_some(odd.outcome_before),
            discarded: odd.discarded,
            findings: Vec::new(),
        };
        health.findings = self.findings(&health);
        let fails = health.sample_ratio.alarm || share(odd.in_two, odd.seen) >= TWO_FAILS;
        if fails {
            health.status = "fail".to_owned();
        } else if !health.findings.is_empty() {
            health.status = "warn".to_owned();
        }
        health
    }

    fn findings(&self, health: &Health) -> Vec<Warning> {
        let mut findings = Vec::new();
        let mut find = |found: bool, code: &str, detail: String| {
            if found {
                let code = code.to_owned();
                findings.push(Warning { code, detail });
            }
        };
        let unit = self.definition.unit.as_str();
        let ratio = &health.sample_ratio;
        find(
            ratio.alarm,
            "sample_ratio",
            format!(
                "the variants do not have the units that their weights make expected (p {:.2e}, off by up to {:.2} points): something loses or adds units of one variant, so no number here means anything",
                ratio.p.unwrap_or_default(),
                100.0 * ratio.deviation.unwrap_or_default()
            ),
        );
        for alarm in &health.sample_ratio_alarms {
            let SegmentRatio {
                field,
                value,
                corrected_p,
                ..
            } = alarm;
            find(
                true,
                "segment_sample_ratio",
                format!(
                    "the split is off where {field} is {value} (corrected p {corrected_p:.2e})"
                ),
            );
        }
        let (two, seen) = (health.in_two_variants, health.units_seen);
        find(
            share(two, seen) >= TWO_WARNS,
            "two_variants",
            format!(
                "{two} of {seen} units ({:.1} %) were seen in two variants",
                100.0 * share(two, seen)
            ),
        );
        let unknown = health.unknown_variant;
        find(
            unknown > 0,
            "unknown_variant",
            format!(
                "{unknown} units are in a variant that the definition does not have; they count nowhere"
            ),
        );
        let without = health.without_assignment.unwrap_or(0);
        find(
            without > 0,
            "without_assignment",
            format!("{without} units were exposed without an assignment since the start"),
        );
        let elsewhere = health.exposed_elsewhere.unwrap_or(0);
        find(
            elsewhere > 0,
            "exposed_elsewhere",
            format!(
                "{elsewhere} units were exposed to another variant than one they were assigned to; they count where they were exposed"
            ),
        );
        let before = health.outcome_before_exposure.unwrap_or(0);
        find(
            before > 0,
            "outcome_before_exposure",
            format!(
                "{before} units had taken the last step before their exposure; only what follows it counts"
            ),
        );
        let taken = health.discarded;
        let lane = &self.lanes.lanes[0];
        let what = match lane.from_exposure {
            true => "units".to_owned(),
            false => format!("{}s", lane.funnel.subject.as_str()),
        };
        find(
            taken > 0,
            "discarded",
            format!(
                "an excluded event, which a variant may bring about, took out {taken} of the {what}: the numbers are without them"
            ),
        );
        let changed = unit == "journey" || unit == "session";
        find(
            changed && seen > 0 && two > 0,
            "fine_unit",
            format!(
                "the same company may see several variants, because each {unit} is assigned by itself"
            ),
        );
        findings
    }

    fn sample_ratio(&self) -> SampleRatioTold {
        let units = |which: &Which| self.units(which);
        let mut days = SampleRatioSequence::new(&self.weights());
        let mut anytime_p = None;
        for day in 0..self.experiment(0).days.len() {
            if days.observe(&units(&Group::Day(day))).is_ok() {
                anytime_p = Some(days.p());
            }
        }
        match self.ratio(&units(&Group::Total), 1) {
            Ok(ratio) => SampleRatioTold {
                test: Some(ratio.test.name().to_owned()),
                p: Some(ratio.p),
                anytime_p,
                deviation: Some(ratio.deviation),
                alarm: ratio.alarm,
                code: None,
            },
            Err(null) => SampleRatioTold {
                test: None,
                p: None,
                anytime_p: None,
                deviation: None,
                alarm: false,
                code: Some(null.code().to_owned()),
            },
        }
    }

    fn segment_ratios(&self) -> Vec<SegmentRatio> {
        let mut all = Vec::new();
        for (i, field) in self.definition.segments.iter().enumerate() {
            for value in self.values(0, i) {
                let units = self.units(&Group::Segment(i, value.clone()));
                all.push((field.clone(), value.to_string(), units));
            }
        }
        let tests = all.len() as u64;
        let alarms = all.into_iter().filter_map(|(field, value, units)| {
            let ratio = self.ratio(&units, tests).ok().filter(|ratio| ratio.alarm)?;
            Some(SegmentRatio {
                field,
                value,
                units,
                corrected_p: ratio.corrected_p,
            })
        });
        alarms.collect()
    }

    fn ratio(&self, units: &[u64], tests: u64) -> Result<SampleRatio, linkfunnel_stats::Null> {
        let arms = units.iter().zip(self.weights());
        let arms: Vec<Share> = arms
            .map(|(units, weight)| Share {
                units: *units,
                weight,
            })
            .collect();
        sample_ratio(&arms, tests)
    }

    /// Units exposed, by variant.
    pub(crate) fn units(&self, which: &Which) -> Vec<u64> {
        let of = |variant| self.cell(0, variant, which).map_or(0, |cell| cell.units);
        (0..self.definition.variants.len()).map(of).collect()
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "weights are 0..=1"
    )]
    fn weights(&self) -> Vec<u32> {
        let variants = self.definition.variants.iter();
        variants
            .map(|variant| (variant.weight * MILLION).round() as u32)
            .collect()
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
pub(crate) fn share(of: u64, all: u64) -> f64 {
    match all {
        0 => 0.0,
        _ => of as f64 / all as f64,
    }
}
