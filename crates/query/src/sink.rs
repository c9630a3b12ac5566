//! Where judged entries go: into the numbers of all and of their segment, or into the list behind a number.

use std::collections::HashMap;

use datafusion::error::{DataFusionError, Result};
use linkfunnel_funnel::{Entries, Entry, Rules};

use crate::judge::{Labels, Subject, reason};
use crate::list::{Listed, Listing, Place};
use crate::numbers::{Numbers, Reason};
use crate::operator::{MAX_SEGMENTS, SegmentLimit};
use crate::plan::Plan;
use crate::study::{Findings, Looked};

/// Where judged entries go.
pub(crate) struct Sink<'a> {
    pub(crate) plan: &'a Plan,
    /// The rules the entries were found by.
    pub(crate) rules: &'a Rules,
    pub(crate) labels: &'a Labels<'a>,
    pub(crate) subject: &'a Subject<'a>,
    /// The value of each of the plan's dimensions that the subject stands under.
    pub(crate) known: &'a [u32],
    pub(crate) total: &'a mut Numbers,
    pub(crate) groups: &'a mut HashMap<Box<[u32]>, Numbers>,
    pub(crate) listing: &'a mut Listing,
    pub(crate) findings: &'a mut Findings,
    pub(crate) pass: &'a mut Pass,
}

/// What the entries of a subject are counted for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Pass {
    /// The answer itself; so many places of the subject were offered to the list already.
    Whole {
        /// How many.
        listed: u32,
    },
    /// One interval of the trend alone.
    Bucket(usize),
}

impl<'a> Sink<'a> {
    /// The same for entries found by these rules.
    pub(crate) fn by<'b>(&'b mut self, rules: &'b Rules) -> Sink<'b>
    where
        'a: 'b,
    {
        Sink {
            plan: self.plan,
            rules,
            labels: self.labels,
            subject: self.subject,
            known: self.known,
            total: self.total,
            groups: self.groups,
            listing: self.listing,
            findings: self.findings,
            pass: self.pass,
        }
    }

    pub(crate) fn total(&mut self, entry: &Entry<'_>) -> Result<()> {
        match &self.plan.list {
            None => {
                let reason = self.reason(entry);
                let effort = self.findings.effort(self.labels, self.subject, entry);
                self.total.update_effort(effort.as_ref());
                count(self.plan, self.rules, *self.pass, self.total, entry, reason);
            }
            Some(_) if self.plan.breakdown == 0 => self.list(&[], entry),
            Some(_) => {}
        }
        match (&self.plan.study, *self.pass) {
            (Some(study), Pass::Whole { .. }) => {
                let of = Looked {
                    rules: self.rules,
                    subject: self.subject,
                    known: self.known,
                    entry,
                };
                self.findings.update(study, &of)
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn group(&mut self, key: &[u32], entry: &Entry<'_>) -> Result<()> {
        if self.plan.list.is_some() {
            self.list(key, entry);
            return Ok(());
        }
        let reason = self.reason(entry);
        if !self.groups.contains_key(key) {
            if self.groups.len() == MAX_SEGMENTS {
                return Err(DataFusionError::External(Box::new(SegmentLimit)));
            }
            self.groups.insert(key.into(), Numbers::new(self.plan));
        }
        let effort = self.findings.effort(self.labels, self.subject, entry);
        if let Some(numbers) = self.groups.get_mut(key) {
            numbers.update_effort(effort.as_ref());
            count(self.plan, self.rules, *self.pass, numbers, entry, reason);
        }
        Ok(())
    }

    fn reason(&self, entry: &Entry<'_>) -> Option<Reason> {
        reason(self.plan, self.subject, self.labels, entry)
    }

    fn list(&mut self, key: &[u32], entry: &Entry<'_>) {
        let Pass::Whole { listed } = self.pass else {
            return;
        };
        let index = *listed;
        *listed += 1;
        let Some(list) = &self.plan.list else {
            return;
        };
        let bypassed = self.rules.bypassed() & ((1 << entry.furthest) - 1);
        if !list.counts(entry, bypassed) {
            return;
        }
        let labels = self.labels.of(key);
        if !list.is_listed(&labels) {
            return;
        }
        self.listing.count += 1;
        let hit = &self.subject.hits[entry.clock.row];
        let place = Place {
            root: self.subject.root,
            subject: hit.subject,
            index,
        };
        if !list.is_on_page(place, self.listing.page.len()) {
            return;
        }
        let ids = self.subject.ids.get(hit.ids as usize).cloned();
        let (id, company) = ids.unwrap_or_default();
        let steps = self.plan.rules.steps().len();
        self.listing.page.push(Listed {
            place,
            id,
            company,
            clock_us: entry.clock.us,
            state: entry.state,
            furthest: entry.furthest,
            times_us: (0..steps).map(|step| entry.time_us(step)).collect(),
            outcome: entry.outcome,
            labels,
            matured: entry.matured,
            bypassed,
            reason: self.reason(entry),
        });
    }
}

fn count(
    plan: &Plan,
    rules: &Rules,
    pass: Pass,
    numbers: &mut Numbers,
    entry: &Entry<'_>,
    reason: Option<Reason>,
) {
    match pass {
        Pass::Bucket(bucket) => numbers.update_trend(plan, entry, Some(bucket)),
        Pass::Whole { .. } => {
            numbers.update(plan, rules, entry, reason);
            if rules.entries() != Entries::Best {
                numbers.update_trend(plan, entry, None);
            }
        }
    }
}
