//! The first primary metric apart by fields, their values frozen at first exposure.

use std::collections::BTreeSet;
use std::sync::Arc;

use linkfunnel_stats::{Correction, Effect, Segment, heterogeneity, stratified};

use super::answer::{Between, HeterogeneityTold, SegmentTold, SegmentsTold, StratifiedTold};
use super::compare::correct;
use super::lanes::Place;
use super::report::{Measurement, Report};
use super::tally::Group;

impl Report<'_> {
    pub(crate) fn segments(&self) -> Vec<SegmentsTold> {
        let place = self.lanes.places[0];
        let fields = self.definition.segments.iter().enumerate();
        fields
            .map(|(i, field)| {
                let values = self.values(place.lane, i);
                let measured: Vec<Measurement> = values
                    .iter()
                    .map(|value| self.measured(place, &Group::Segment(i, Arc::clone(value))))
                    .collect();
                let (heterogeneity, stratified) = self.over_segments(place, &measured);
                let told = values
                    .iter()
                    .zip(measured)
                    .map(|(value, measurement)| SegmentTold {
                        value: value.to_string(),
                        arms: self.told(place, &measurement.arms),
                        comparisons: measurement.compared.into_iter().map(|c| c.told).collect(),
                    });
                let mut told: Vec<SegmentTold> = told.collect();
                let all = told.iter_mut().flat_map(|segment| &mut segment.comparisons);
                correct(all, Correction::BenjaminiHochberg);
                SegmentsTold {
                    field: field.clone(),
                    values: told,
                    heterogeneity,
                    stratified,
                }
            })
            .collect()
    }

    /// The values of a segment field, the largest first.
    pub(crate) fn values(&self, lane: usize, field: usize) -> Vec<Arc<str>> {
        let cells = &self.found[lane].tally.cells;
        let names: BTreeSet<&Arc<str>> = cells
            .keys()
            .filter_map(|(_, group)| match group {
                Group::Segment(of, value) if *of == field => Some(value),
                _ => None,
            })
            .collect();
        let units = |value: &Arc<str>| {
            let which = Group::Segment(field, Arc::clone(value));
            self.total(lane, &which, |cell| cell.units)
        };
        let mut values: Vec<Arc<str>> = names.into_iter().cloned().collect();
        values.sort_by_cached_key(|value| std::cmp::Reverse(units(value)));
        values
    }

    /// Whether the effect differs between the values, and the effect of each compared with itself.
    fn over_segments(
        &self,
        place: Place,
        measured: &[Measurement],
    ) -> (Vec<HeterogeneityTold>, Vec<StratifiedTold>) {
        let mut differ = Vec::new();
        let mut strata = Vec::new();
        let is_finer = !self.lanes.lanes[place.lane].from_exposure;
        for (at, variant) in self.others().enumerate() {
            let effects: Vec<Effect> = measured
                .iter()
                .filter_map(|m| m.compared[at].effect)
                .collect();
            let found = heterogeneity(&effects);
            differ.push(HeterogeneityTold {
                variant: self.name(variant).to_owned(),
                q: found.ok().map(|h| h.q),
                p: found.ok().map(|h| h.p),
                code: found.err().map(|null| null.code().to_owned()),
            });
            // of subjects finer than the unit the counts make the weights, and what they say of spread is left out
            let counts = |m: &Measurement| {
                let of = |variant: usize| m.arms[variant].counts();
                let (treatment, control) = (of(variant)?, of(self.control)?);
                Some(Segment { treatment, control })
            };
            let segments: Option<Vec<Segment>> = measured.iter().map(counts).collect();
            let found = segments.map(|segments| stratified(&segments, self.level));
            let Some(found) = found else { continue };
            strata.push(match found {
                Ok(found) => StratifiedTold {
                    variant: self.name(variant).to_owned(),
                    crude: Some(found.crude),
                    stratified: Between {
                        value: Some(found.value),
                        low: found.interval.ok().filter(|_| !is_finer).map(|i| i.low),
                        high: found.interval.ok().filter(|_| !is_finer).map(|i| i.high),
                        code: None,
                    },
                    p: found.p.ok().filter(|_| !is_finer),
                    simpson: found.simpson,
                },
                Err(null) => StratifiedTold {
                    variant: self.name(variant).to_owned(),
                    crude: None,
                    stratified: Between {
                        code: Some(null.code().to_owned()),
                        ..Between::default()
                    },
                    p: None,
                    simpson: false,
                },
            });
        }
        (differ, strata)
    }
}
