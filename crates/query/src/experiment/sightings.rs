//! Who of one root was exposed or assigned, when and to which variant, and which units count because of that.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::plan::{Evidence, ExperimentPlan, UnitOf};
use super::tally::{Odd, earlier};
use crate::columns::told_of;
use crate::judge::{Labels, Subject};
use crate::rows::Rows;

/// That a unit was exposed or assigned to a variant.
#[derive(Debug, Clone, Copy)]
struct Sighting {
    unit: i64,
    at_us: i64,
    seq: i64,
    event_key: i64,
    /// Code of the variant.
    variant: u32,
    evidence: Evidence,
    /// Where the values of its segment fields begin.
    segments: usize,
}

/// A unit that counts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Unit {
    pub(super) key: i64,
    pub(super) at_us: i64,
    pub(super) variant: usize,
    segments: usize,
}

/// What was seen of the units of one root.
#[derive(Default)]
pub(super) struct Sightings {
    all: Vec<Sighting>,
    segments: Vec<u32>,
    /// When a unit, variant and evidence were first seen in this root, µs.
    seen: HashMap<(i64, u32, Evidence), i64, RandomState>,
    /// What was seen newest.
    last_seen: Option<((i64, u32, Evidence), i64)>,
    /// The units that count, in order of their keys.
    pub(super) units: Vec<Unit>,
    /// By code of a variant, its index.
    variants: Vec<Option<Option<usize>>>,
}

impl Sightings {
    /// Looks whether an event exposes or assigns its unit; whether the event has to be kept because of that.
    pub(super) fn sight(
        &mut self,
        plan: &ExperimentPlan,
        rows: &Rows<'_>,
        row: usize,
        odd: &mut Odd,
    ) -> bool {
        let at_us = rows.times[row];
        let Some((variant, evidence)) = evidence_of(plan, |source| rows.values[source].get(row))
        else {
            return false;
        };
        if !(plan.start_us..plan.end_us).contains(&at_us) {
            if plan
                .watermark_us
                .is_none_or(|watermark_us| at_us > watermark_us)
            {
                odd.ahead_us = earlier(odd.ahead_us, Some(at_us));
            }
            return false;
        }
        let unit = match plan.unit {
            UnitOf::Subject => rows.subject(row),
            UnitOf::Root => rows.is_of_company(row).then(|| rows.roots[row]),
            UnitOf::Number(place) => rows.numbers(row).nth(place).flatten(),
        };
        let Some(unit) = unit else {
            // It may still be found whose it is, where that is looked for at all.
            return plan.starts_at_exposure();
        };
        if self.is_seen((unit, variant, evidence), at_us) {
            return false;
        }
        if plan.starts_at_exposure() {
            return true;
        }
        let values = plan
            .segments
            .iter()
            .map(|source| rows.values[*source].get(row));
        self.keep(values, |segments| Sighting {
            unit,
            at_us,
            seq: rows.seq(row),
            event_key: rows.event_keys[row],
            variant,
            evidence,
            segments,
        });
        false
    }

    fn keep(
        &mut self,
        segments: impl Iterator<Item = u32>,
        sighting: impl FnOnce(usize) -> Sighting,
    ) {
        self.all.push(sighting(self.segments.len()));
        self.segments.extend(segments);
    }

    /// Whether the same was seen at an earlier instant; of one instant its order decides which of several comes first.
    fn is_seen(&mut self, what: (i64, u32, Evidence), at_us: i64) -> bool {
        let first_us = match self.last_seen {
            Some((last, first_us)) if last == what => first_us,
            _ => *self.seen.entry(what).or_insert(at_us),
        };
        self.last_seen = Some((what, first_us));
        first_us < at_us
    }

    /// Forgets the root.
    pub(super) fn clear(&mut self) {
        self.all.clear();
        self.segments.clear();
        if self.last_seen.take().is_some() {
            self.seen.clear();
        }
        self.units.clear();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The codes of a unit's segments.
    pub(super) fn segments(&self, unit: Unit, fields: usize) -> &[u32] {
        &self.segments[unit.segments..][..fields]
    }

    /// The same of events that were kept, whose subjects are known.
    pub(super) fn sight_hits(&mut self, plan: &ExperimentPlan, whole: &Subject<'_>) {
        for (at, hit) in whole.hits.iter().enumerate() {
            let Some((variant, evidence)) = evidence_of(plan, |source| whole.value(at, source))
            else {
                continue;
            };
            if !(plan.start_us..plan.end_us).contains(&hit.at_us) {
                continue;
            }
            let values = plan.segments.iter().map(|source| whole.value(at, *source));
            self.keep(values, |segments| Sighting {
                unit: hit.subject,
                at_us: hit.at_us,
                seq: hit.seq,
                event_key: hit.event_key,
                variant,
                evidence,
                segments,
            });
        }
    }

    /// Decides which units count, in which variant.
    pub(super) fn find_units(&mut self, plan: &ExperimentPlan, labels: &Labels<'_>, odd: &mut Odd) {
        self.all
            .sort_unstable_by_key(|s| (s.unit, s.at_us, s.seq, s.event_key));
        for unit in self.all.chunk_by(|a, b| a.unit == b.unit) {
            let is_assigned = unit.iter().any(|s| s.evidence == Evidence::Assigned);
            odd.assigned += u64::from(is_assigned);
            // an exposure is evidence of both
            let counts = |s: &&Sighting| {
                s.evidence == Evidence::Exposed || plan.evidence == Evidence::Assigned
            };
            let Some(first) = unit.iter().find(counts) else {
                continue;
            };
            odd.seen += 1;
            odd.without_assignment += u64::from(!is_assigned);
            let is_elsewhere =
                |s: &Sighting| s.evidence == Evidence::Assigned && s.variant != first.variant;
            let is_exposed = first.evidence == Evidence::Exposed;
            odd.elsewhere += u64::from(is_exposed && unit.iter().any(is_elsewhere));
            let is_in_two = unit
                .iter()
                .filter(counts)
                .any(|s| s.variant != first.variant);
            odd.in_two += u64::from(is_in_two);
            if is_in_two && !plan.first_seen {
                continue;
            }
            match variant(&mut self.variants, plan, labels, first.variant) {
                None => odd.unknown_variant += 1,
                Some(variant) => self.units.push(Unit {
                    key: first.unit,
                    at_us: first.at_us,
                    variant,
                    segments: first.segments,
                }),
            }
        }
    }

    /// The unit with this key, if it counts; they are in order of their keys.
    pub(super) fn unit(&self, key: i64) -> Option<usize> {
        self.units.binary_search_by_key(&key, |unit| unit.key).ok()
    }
}

fn evidence_of(plan: &ExperimentPlan, value: impl Fn(usize) -> u32) -> Option<(u32, Evidence)> {
    let (variant, is_exposure) = told_of(value(plan.told))?;
    let evidence = match is_exposure {
        true => Evidence::Exposed,
        false => Evidence::Assigned,
    };
    Some((variant, evidence))
}

/// The index of a variant, by its code.
fn variant(
    known: &mut Vec<Option<Option<usize>>>,
    plan: &ExperimentPlan,
    labels: &Labels<'_>,
    code: u32,
) -> Option<usize> {
    let place = code as usize;
    if known.len() <= place {
        known.resize(place + 1, None);
    }
    *known[place].get_or_insert_with(|| {
        let name = labels.text(code)?;
        plan.variants.iter().position(|variant| variant == name)
    })
}
