//! The work of one partition: rows in table order in, tallies (or a list) out.
//!
//! Rows of one root are gathered, split into subjects, ordered by (time, seq, event key) and given
//! to [`crate::judge`]. Only one root's useful rows are held at a time.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::error::{DataFusionError, Result};
use linkfunnel_model::Subject as SubjectKind;

use crate::columns::Interner;
use crate::experiment::Experimenter;
use crate::first_values::FirstValues;
use crate::judge::{Hit, Judge, Labels, Subject};
use crate::list::Listed;
use crate::loose::{Loose, may_matter};
use crate::membership::{Journeys, Member, Membership, NO_HIT, NeedsMembership, derived_id};
use crate::numbers::{Counts, Outcome};
use crate::plan::Plan;
use crate::rows::Rows;

/// More roots than this are put off only if they are fewer than one in [`ONE_ROOT_IN`] (few in tests,
/// so that both happen there).
const FEW_ROOTS: usize = if cfg!(test) { 4 } else { 1_000 };
const ONE_ROOT_IN: usize = 4;

/// State while a partition is read.
pub(crate) struct Shard {
    plan: Arc<Plan>,
    membership: Membership,
    interner: Interner,
    root: Option<Root>,
    hits: Vec<Hit>,
    values: Vec<u32>,
    numbers: Vec<Option<i64>>,
    ids: Vec<(String, Option<String>)>,
    /// Where journeys have to be found: the root's events, and what the journeys it names are called.
    members: Vec<Member>,
    names: HashMap<i64, String>,
    journeys: Journeys,
    /// Where none is hoped to have to be found: the events that would need it only if they matter,
    /// and whether one that matters was among the root's.
    loose: Vec<Loose>,
    is_put_off: bool,
    /// The roots put off, how many roots there were, and what was counted before this one.
    unresolved: Vec<i64>,
    roots_seen: usize,
    counted: Counts,
    first_values: FirstValues,
    judge: Judge,
    experimenter: Experimenter,
    counts: Counts,
    /// The subjects counted that a company's root holds, with every root that they stand under.
    of_companies: Vec<i64>,
    /// The company of the root, once an event names it; for lists.
    company: Option<String>,
}

/// Whose rows are being gathered.
#[derive(Debug, Clone, Copy)]
struct Root {
    key: i64,
    is_company: bool,
}

impl Shard {
    pub(crate) fn new(plan: Arc<Plan>, membership: Membership) -> Shard {
        Shard {
            judge: Judge::new(&plan),
            first_values: FirstValues::new(&plan),
            experimenter: Experimenter::default(),
            plan,
            membership,
            interner: Interner::default(),
            root: None,
            hits: Vec::new(),
            values: Vec::new(),
            numbers: Vec::new(),
            ids: Vec::new(),
            members: Vec::new(),
            names: HashMap::new(),
            journeys: Journeys::default(),
            loose: Vec::new(),
            is_put_off: false,
            unresolved: Vec::new(),
            roots_seen: 0,
            counted: Counts::default(),
            counts: Counts::default(),
            of_companies: Vec::new(),
            company: None,
        }
    }

    /// Takes the next rows, in table order.
    pub(crate) fn update(&mut self, batch: &RecordBatch) -> Result<()> {
        let (plan, membership) = (Arc::clone(&self.plan), self.membership.clone());
        let rows = Rows::read(&plan, &membership, batch, &mut self.interner)?;
        let is_counted = |at_us: &&i64| **at_us >= plan.span.from_us;
        self.counts.events_scanned += rows.times.iter().filter(is_counted).count() as u64;
        // What no rule can use may still expose a unit, be shown, or lead to a journey.
        let is_only_matched = plan.experiment.is_none()
            && plan.wanted.is_none()
            && !matches!(membership, Membership::Found(_));
        for row in 0..batch.num_rows() {
            if self.root.is_none_or(|root| root.key != rows.roots[row]) {
                self.end_root()?;
                self.root = Some(Root {
                    key: rows.roots[row],
                    is_company: rows.is_of_company(row),
                });
                self.roots_seen += 1;
                self.counted = self.counts;
            }
            if self.is_put_off {
                continue;
            }
            if plan.list.is_some() && self.company.is_none() && rows.is_of_company(row) {
                self.company = rows.company(row).map(str::to_owned);
            }
            if is_only_matched && !rows.is_useful(row) {
                continue;
            }
            let hit = self.take(&plan, &rows, row)?;
            if let Membership::Found(ways) = &membership
                && rows.times[row] <= plan.last_us()
                && rows.is_in_population(row)
                && let Some(member) = rows.member(row, ways, hit)
            {
                self.members.push(member);
                self.learn_name(&rows, row, &member);
            }
        }
        Ok(())
    }

    /// The subjects listed since this was asked before.
    pub(crate) fn take_listed(&mut self) -> Vec<Listed> {
        std::mem::take(&mut self.judge.listing.page)
    }

    /// Judges what is left and gives everything out.
    pub(crate) fn finish(mut self) -> Result<Outcome> {
        self.end_root()?;
        let labels = Labels {
            plan: &self.plan,
            interner: &self.interner,
        };
        let groups = self
            .judge
            .groups
            .into_iter()
            .map(|(k, n)| (labels.of(&k), n))
            .collect();
        let (total, listing) = (self.judge.total, self.judge.listing);
        let gathered = self.judge.gathered;
        let found = self.judge.findings.in_words(&labels)?;
        let experiment = match self.plan.experiment {
            Some(_) => Some(self.experimenter.tally.in_words(&labels)?),
            None => None,
        };
        self.counts.without_entry = self.judge.without_entry;
        Ok(Outcome {
            total,
            groups,
            counts: self.counts,
            of_companies: self.of_companies,
            listing,
            gathered,
            found,
            experiment,
            unresolved: self.unresolved,
        })
    }

    /// Memory held, in bytes, roughly.
    pub(crate) fn bytes(&self) -> usize {
        let listed = self.judge.listing.page.len() * 256 + self.ids.capacity() * 96;
        self.hits.capacity() * size_of::<Hit>()
            + self.values.capacity() * size_of::<u32>()
            + self.members.capacity() * size_of::<Member>()
            + self.loose.capacity() * size_of::<Loose>()
            + (self.of_companies.capacity() + self.unresolved.capacity()) * size_of::<i64>()
            + self.numbers.capacity() * size_of::<Option<i64>>()
            + self.interner.bytes()
            + self.judge.bytes()
            + self.experimenter.tally.bytes()
            + listed
    }

    /// Keeps an event that some rule can use; which of the hits it is.
    fn take(&mut self, plan: &Plan, rows: &Rows<'_>, row: usize) -> Result<Option<u32>> {
        let at_us = rows.times[row];
        let (steps, outcomes) = (rows.steps[row], rows.outcomes[row]);
        let mut matches = steps != 0 || outcomes != 0;
        if at_us < plan.span.from_us || at_us > plan.last_us() {
            return Ok(None);
        }
        // A subject that is shown is shown whole.
        let is_shown = plan.wanted.is_some();
        let is_counted = rows.is_in_population(row);
        let is_sighting = plan
            .experiment
            .as_ref()
            .is_some_and(|experiment| is_counted && self.experimenter.sight(experiment, rows, row));
        if !is_shown && !is_sighting && !rows.is_useful(row) {
            return Ok(None);
        }
        let is_named = !matches!(self.membership, Membership::Found(_));
        let named = rows.subject(row).filter(|_| is_named);
        if self.first_values.can_do_without(rows, row, named) {
            return Ok(None);
        }
        // What is not counted belongs to the subject that it names, and finds no other.
        if !(is_counted || is_shown && rows.subject(row).is_some()) {
            self.counts.filtered_by_default += u64::from(matches);
            return Ok(None);
        }
        // After an exposure anything of use may matter, and where that is, is not known yet.
        matches |= plan.starts_at_exposure();
        let values = index(self.values.len())?;
        let subject = match (&self.membership, rows.subject(row)) {
            (_, Some(subject)) if !is_counted => subject,
            // decided when all events of the root are there
            (Membership::Found(_), _) => 0,
            (_, Some(subject)) => subject,
            (Membership::Named, None) => {
                self.counts.without_subject += u64::from(matches);
                return Ok(None);
            }
            (Membership::Hoped, None) if matches || is_shown => {
                self.is_put_off = true;
                return Ok(None);
            }
            (Membership::Hoped, None) => {
                self.values
                    .extend(rows.values.iter().map(|codes| codes.get(row)));
                self.loose.push(Loose {
                    at_us,
                    values,
                    for_first_values: rows.is_for_first_values(row),
                });
                return Ok(None);
            }
        };
        self.values
            .extend(rows.values.iter().map(|codes| codes.get(row)));
        let numbers = index(self.numbers.len())?;
        self.numbers.extend(rows.numbers(row));
        let ids = match rows.ids(row).filter(|_| steps != 0) {
            Some(ids) => {
                self.ids.push(ids);
                index(self.ids.len() - 1)?
            }
            None => u32::MAX,
        };
        let hit = Hit {
            subject,
            at_us,
            seq: rows.seq(row),
            event_key: rows.event_keys[row],
            steps,
            outcomes,
            exclusions: rows.exclusions[row],
            in_scope: rows.is_in_scope(row),
            is_reason: rows.is_reason(row),
            is_choice: steps != 0 || rows.is_activity(row),
            is_counted,
            values,
            numbers,
            ids,
        };
        self.first_values.see(&hit, &self.values);
        self.hits.push(hit);
        index(self.hits.len() - 1).map(Some)
    }

    /// Keeps what a journey is called, where subjects are listed.
    fn learn_name(&mut self, rows: &Rows<'_>, row: usize, member: &Member) {
        if let Some(journey) = member.named
            && self.plan.list.is_some()
            && !self.names.contains_key(&journey)
            && let Some((name, _)) = rows.ids(row)
        {
            self.names.insert(journey, name);
        }
    }

    fn end_root(&mut self) -> Result<()> {
        let Some(root) = self.root else {
            return Ok(());
        };
        if let Membership::Found(_) = self.membership {
            self.find_journeys(root);
        }
        self.hits
            .sort_unstable_by_key(|h| (h.subject, h.at_us, h.seq, h.event_key));
        let is_put_off = self.is_put_off
            || !self.loose.is_empty()
                && may_matter(&self.plan, &self.hits, &self.loose, &self.values);
        if is_put_off {
            self.put_off(root)?;
            self.experimenter.forget();
        } else {
            self.judge_root(root)?;
        }
        self.is_put_off = false;
        self.company = None;
        self.hits.clear();
        self.values.clear();
        self.numbers.clear();
        self.ids.clear();
        self.members.clear();
        self.names.clear();
        self.loose.clear();
        self.first_values.forget();
        Ok(())
    }

    /// Leaves a root to a second run, in which journeys are found. Where many need it, that run may
    /// as well be the only one.
    fn put_off(&mut self, root: Root) -> Result<()> {
        self.unresolved.push(root.key);
        self.counts = Counts {
            events_scanned: self.counts.events_scanned,
            ..self.counted
        };
        let put_off = self.unresolved.len();
        if put_off > FEW_ROOTS && put_off * ONE_ROOT_IN > self.roots_seen {
            return Err(DataFusionError::External(Box::new(NeedsMembership)));
        }
        Ok(())
    }

    fn judge_root(&mut self, root: Root) -> Result<()> {
        if let Some(company) = self.company.take() {
            let unnamed = self.ids.iter_mut().filter(|(_, named)| named.is_none());
            unnamed.for_each(|(_, named)| *named = Some(company.clone()));
        }
        let labels = Labels {
            plan: &self.plan,
            interner: &self.interner,
        };
        if let Some(experiment) = &self.plan.experiment {
            let whole = Subject {
                root: root.key,
                hits: &self.hits,
                values: &self.values,
                numbers: &self.numbers,
                ids: &self.ids,
            };
            self.experimenter
                .judge(&self.plan, experiment, &whole, &labels)?;
            if root.is_company && self.plan.subject != SubjectKind::Company {
                self.of_companies.extend(self.experimenter.keys());
            }
            self.experimenter.forget();
            return Ok(());
        }
        let may_be_split = root.is_company && self.plan.subject != SubjectKind::Company;
        for hits in self.hits.chunk_by(|a, b| a.subject == b.subject) {
            let subject = Subject {
                root: root.key,
                hits,
                values: &self.values,
                numbers: &self.numbers,
                ids: &self.ids,
            };
            let counted = |judge: &Judge| judge.total.tally.entered + judge.listing.count;
            let before = counted(&self.judge);
            self.judge.judge(&self.plan, &subject, &labels)?;
            if may_be_split && counted(&self.judge) > before {
                self.of_companies.push(hits[0].subject);
            }
        }
        Ok(())
    }

    /// Gives each hit the journey it belongs to, and lets go of those that belong to none.
    fn find_journeys(&mut self, root: Root) {
        let (hits, ids, names) = (&mut self.hits, &mut self.ids, &self.names);
        let mut belongs: Vec<bool> = hits.iter().map(|hit| !hit.is_counted).collect();
        let interner = &self.interner;
        let category = |code| interner.text(code).map(AsRef::as_ref);
        let give = |member: &Member, journey: i64, is_derived: bool| {
            if member.hit == NO_HIT {
                return;
            }
            let hit = &mut hits[member.hit as usize];
            hit.subject = journey;
            belongs[member.hit as usize] = true;
            if let Some((name, _)) = ids.get_mut(hit.ids as usize) {
                if is_derived {
                    *name = derived_id(journey);
                } else if let Some(known) = names.get(&journey) {
                    known.clone_into(name);
                }
            }
        };
        self.journeys
            .assign(root.key, &mut self.members, &category, give);
        let mut without = 0;
        let mut belongs = belongs.into_iter();
        self.hits.retain(|hit| {
            let belongs = belongs.next().unwrap_or(false);
            without += u64::from(!belongs && (hit.steps != 0 || hit.outcomes != 0));
            belongs
        });
        self.counts.without_subject += without;
    }
}

fn index(at: usize) -> Result<u32> {
    let too_many = "one root has more than 2^32 values";
    u32::try_from(at).map_err(|_| DataFusionError::ResourcesExhausted(too_many.to_owned()))
}
