//! The first primary metric apart by fields, their values frozen at first exposure.

use std::collections::BTreeSet;
use std::sync::Arc;

use linkfunnel_stats::{
    Clusters, Correction, Counts, Effect, Null, Segment, Stratified, heterogeneity, stratified,
    stratified_clusters,
};

use super::answer::{Between, HeterogeneityTold, SegmentTold, SegmentsTold, StratifiedTold};
use super::compare::{correct, nothing};
use super::report::{Measurement, Report};
use super::tally::{Group, Stat};

impl Report<'_> {
    pub(crate) fn segments(&self) -> Vec<SegmentsTold> {
        let place = self.lanes.places[0];
        let fields = self.definition.segments.iter().enumerate();
        fields
            .map(|(i, field)| {
                let values = self.values(place.lane, i);
                let stats: Vec<Vec<Option<&Stat>>> = values
                    .iter()
                    .map(|value| self.stats(place, &Group::Segment(i, Arc::clone(value))))
                    .collect();
                let measured: Vec<Measurement> = stats
                    .iter()
                    .map(|stats| self.measure(place, stats, self.level))
                    .collect();
                let heterogeneity = self.heterogeneity(&measured);
                let stratified = self.stratified(&stats);
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

    /// Whether the effect differs between the values.
    fn heterogeneity(&self, measured: &[Measurement]) -> Vec<HeterogeneityTold> {
        let of = |(at, variant): (usize, usize)| {
            let effects: Vec<Effect> = measured
                .iter()
                .filter_map(|m| m.compared[at].effect)
                .collect();
            let found = heterogeneity(&effects);
            HeterogeneityTold {
                variant: self.name(variant).to_owned(),
                q: found.ok().map(|h| h.q),
                p: found.ok().map(|h| h.p),
                code: found.err().map(|null| null.code().to_owned()),
            }
        };
        self.others().enumerate().map(of).collect()
    }

    /// The effect where each value is compared with itself; of a rate alone. `stats`: by value and variant.
    fn stratified(&self, stats: &[Vec<Option<&Stat>>]) -> Vec<StratifiedTold> {
        let of = |variant: usize| {
            let found = match stats.iter().flatten().flatten().next()? {
                Stat::Rate { .. } => {
                    let segment = |of: &Vec<Option<&Stat>>| {
                        let [treatment, control] = [of[variant], of[self.control]].map(counts);
                        Some(Segment {
                            treatment: treatment?,
                            control: control?,
                        })
                    };
                    let segments: Option<Vec<Segment>> = stats.iter().map(segment).collect();
                    stratified(&segments?, self.level)
                }
                Stat::Clusters(_) => {
                    let nobody = Clusters::default();
                    let segments: Vec<[&Clusters; 2]> = stats
                        .iter()
                        .map(|of| [of[variant], of[self.control]].map(|s| clusters(s, &nobody)))
                        .collect();
                    stratified_clusters(&segments, self.level)
                }
                Stat::Pairs(_) | Stat::Times(_) => return None,
            };
            Some(stratified_told(self.name(variant), found))
        };
        self.others().filter_map(of).collect()
    }
}

fn counts(stat: Option<&Stat>) -> Option<Counts> {
    match stat {
        Some(Stat::Rate { reached, units }) => Counts::new(*reached, *units).ok(),
        _ => Some(Counts::default()),
    }
}

fn clusters<'s>(stat: Option<&'s Stat>, nobody: &'s Clusters) -> &'s Clusters {
    match stat {
        Some(Stat::Clusters(clusters)) => clusters,
        _ => nobody,
    }
}

fn stratified_told(variant: &str, found: Result<Stratified, Null>) -> StratifiedTold {
    match found {
        Ok(found) => StratifiedTold {
            variant: variant.to_owned(),
            crude: Some(found.crude),
            stratified: Between {
                value: Some(found.value),
                low: found.interval.ok().map(|i| i.low),
                high: found.interval.ok().map(|i| i.high),
                code: None,
            },
            p: found.p.ok(),
            simpson: found.simpson,
        },
        Err(null) => StratifiedTold {
            variant: variant.to_owned(),
            crude: None,
            stratified: nothing(null.code()),
            p: None,
            simpson: false,
        },
    }
}
