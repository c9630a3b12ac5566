//! Counts messages, rows and subjects while they are made, tenant by tenant.

use std::collections::BTreeMap;

use super::book::FunnelBook;
use super::company::Company;
use super::config::{GenerateConfig, Ids};
use super::dice::DAY;
use super::effort::EffortTruth;
use super::fact::{Fact, ids};
use super::found::company_found;
use super::funnels::{FUNNELS, Spec, Unit, subjects};
use super::json;
use super::naive::Told;
use super::story::Story;
use super::stream::{Delivery, DeliveryKind};
use super::telling::Telling;
use super::truth::{Delivered, EventsAndRows, Stored, TenantTruth, Truth};
use super::what::What;

const LINKING: &str = "linking";
const FIRST_LINK: &str = "first_link";
const FIRST_LINK_SESSION: &str = "first_link_session";

/// The running truth.
pub(crate) struct Account {
    sparse: bool,
    delivered: Delivered,
    tenants: Vec<TenantAccount>,
}

struct TenantAccount {
    name: String,
    events: u64,
    rows: u64,
    by_name: BTreeMap<&'static str, u64>,
    filtered: BTreeMap<&'static str, EventsAndRows>,
    dropped: BTreeMap<&'static str, EventsAndRows>,
    linked_per_day: BTreeMap<i64, u64>,
    without_journey: u64,
    without_journey_in_linking: u64,
    /// In the order of FUNNELS.
    books: Vec<FunnelBook>,
    by_named_ids: FunnelBook,
    effort: EffortTruth,
}

impl Account {
    pub(crate) fn new(config: &GenerateConfig) -> Self {
        let tenant = |name: &String| TenantAccount {
            name: name.clone(),
            events: 0,
            rows: 0,
            by_name: BTreeMap::new(),
            filtered: BTreeMap::new(),
            dropped: BTreeMap::new(),
            linked_per_day: BTreeMap::new(),
            without_journey: 0,
            without_journey_in_linking: 0,
            books: FUNNELS.iter().map(FunnelBook::new).collect(),
            by_named_ids: FunnelBook::new(spec(LINKING)),
            effort: EffortTruth::default(),
        };
        Account {
            sparse: config.ids == Ids::Sparse,
            delivered: Delivered::default(),
            tenants: config.tenants.iter().map(tenant).collect(),
        }
    }

    /// One logical event and the messages that carry it.
    pub(crate) fn add_rows(
        &mut self,
        company: &Company,
        story: &Story,
        fact: &Fact,
        messages: u64,
        dropped: Option<&'static str>,
    ) {
        let delivered = &mut self.delivered;
        delivered.messages += messages;
        if company.tenant > 0 {
            delivered.of_other_tenants += messages;
        }
        if company.denied {
            *delivered
                .suppressed
                .entry("consent_denied".to_owned())
                .or_default() += messages;
            return;
        }
        delivered.rows += messages;
        delivered.events += 1;
        let (low, high) = delivered.occurred_us.unwrap_or((fact.at_us, fact.at_us));
        delivered.occurred_us = Some((low.min(fact.at_us), high.max(fact.at_us)));
        let tenant = &mut self.tenants[usize::from(company.tenant)];
        tenant.events += 1;
        tenant.rows += messages;
        *tenant.by_name.entry(fact.what.as_str()).or_default() += 1;
        let add = |counts: &mut EventsAndRows| {
            counts.events += 1;
            counts.rows += messages;
        };
        if let Some(name) = dropped {
            add(tenant.dropped.entry(name).or_default());
        }
        match left_out(company, story, fact) {
            Some(why) => add(tenant.filtered.entry(why).or_default()),
            None => tenant.count_visible(fact),
        }
    }

    /// A message that is no event.
    pub(crate) fn refused(&mut self, code: &'static str) {
        self.delivered.messages += 1;
        *self
            .delivered
            .dead_letters
            .entry(code.to_owned())
            .or_default() += 1;
    }

    /// A copy, already counted among the messages.
    pub(crate) fn copies(&mut self, what: DeliveryKind, denied: bool) {
        match what {
            _ if denied => {}
            DeliveryKind::Duplicate => self.delivered.duplicates += 1,
            DeliveryKind::Resend => self.delivered.resends += 1,
            _ => {}
        }
    }

    pub(crate) fn delivered(&mut self, delivery: &Delivery) {
        self.delivered.last_delivery_us = Some(delivery.deliver_at_us);
    }

    /// The facts of one story, as the subjects that it alone makes up.
    pub(crate) fn add_story(&mut self, company: &Company, story: &Story, facts: &[Fact]) {
        if company.denied {
            return;
        }
        let (found, lost) = seen(company, story, facts);
        let tenant = &mut self.tenants[usize::from(company.tenant)];
        for seen in [&found, &lost] {
            tenant.effort.add_events(seen);
            for (spec, book) in FUNNELS.iter().zip(&mut tenant.books) {
                for subject in subjects(spec.unit, seen) {
                    let told = book.add(&subject);
                    if let Some(told) = told.filter(|_| spec.id == LINKING) {
                        tenant.effort.add_journey(&subject, &told);
                    }
                }
            }
        }
        if self.sparse {
            let seen = [found, lost].concat();
            for journey in subjects(Unit::Journey, &seen) {
                for named in by_named_ids(&journey) {
                    tenant.by_named_ids.add(&named);
                }
            }
        }
    }

    /// A company with all its stories, each told as if it were alone.
    pub(crate) fn add_company(&mut self, company: &Company, stories: &[(Story, Vec<Fact>)]) {
        if company.denied || !company.counts() {
            return;
        }
        let mut tellings: Vec<Telling<'_>> = Vec::new();
        for (story, facts) in stories {
            tellings.extend(seen(company, story, facts).0);
        }
        let tenant = &mut self.tenants[usize::from(company.tenant)];
        let (mut first_link, mut in_one_session): (Option<Told>, Option<Told>) = (None, None);
        for (spec, book) in FUNNELS.iter().zip(&mut tenant.books) {
            if spec.unit == Unit::Company {
                let told = book.add(&tellings);
                match spec.id {
                    FIRST_LINK => first_link = told,
                    FIRST_LINK_SESSION => in_one_session = told,
                    _ => {}
                }
            }
        }
        if company.arrival_seen {
            let (first_link, in_one_session) = (first_link.as_ref(), in_one_session.as_ref());
            tenant
                .effort
                .add_company(&tellings, first_link, in_one_session);
        }
    }

    /// Closes what is long over.
    pub(crate) fn forget(&mut self, now_us: i64) {
        for tenant in &mut self.tenants {
            for book in &mut tenant.books {
                book.forget(now_us);
            }
            tenant.by_named_ids.forget(now_us);
        }
    }

    pub(crate) fn truth(
        &self,
        config: &GenerateConfig,
        watermark_us: Option<i64>,
    ) -> Option<Truth> {
        let mut tenants = BTreeMap::new();
        for tenant in &self.tenants {
            let by_named_ids = match self.sparse {
                true => Some(tenant.by_named_ids.at(watermark_us)?),
                false => None,
            };
            let mut funnels = BTreeMap::new();
            for (spec, book) in FUNNELS.iter().zip(&tenant.books) {
                funnels.insert(spec.id.to_owned(), book.at(watermark_us)?);
            }
            let truth = TenantTruth {
                stored: tenant.stored(),
                linking: funnels.remove(LINKING)?,
                linking_by_named_ids: by_named_ids,
                first_link: funnels.remove(FIRST_LINK)?,
                funnels,
                effort: tenant.effort.clone(),
            };
            tenants.insert(tenant.name.clone(), truth);
        }
        Some(Truth {
            config: config.clone(),
            watermark_us,
            delivered: self.delivered.clone(),
            tenants,
        })
    }
}

impl TenantAccount {
    fn count_visible(&mut self, fact: &Fact) {
        if fact.what == What::ConnectionLinked {
            *self
                .linked_per_day
                .entry(fact.at_us.div_euclid(DAY))
                .or_default() += 1;
        }
        if fact.ids & ids::JOURNEY == 0 {
            self.without_journey += 1;
            let matches =
                fact.what.linking_step().is_some() || fact.what.linking_outcome().is_some();
            self.without_journey_in_linking += u64::from(matches);
        }
    }

    fn stored(&self) -> Stored {
        let owned = |counts: &BTreeMap<&'static str, EventsAndRows>| {
            counts
                .iter()
                .map(|(name, counts)| ((*name).to_owned(), *counts))
                .collect()
        };
        Stored {
            events: self.events,
            rows: self.rows,
            events_by_name: self
                .by_name
                .iter()
                .map(|(name, count)| ((*name).to_owned(), *count))
                .collect(),
            filtered_by_default: owned(&self.filtered),
            dropped_fields: owned(&self.dropped),
            linked_per_day: self
                .linked_per_day
                .iter()
                .map(|(day, count)| (json::date(*day), *count))
                .collect(),
            without_journey_id: self.without_journey,
            without_journey_id_in_linking: self.without_journey_in_linking,
        }
    }
}

/// The built-in funnel with this id.
fn spec(id: &str) -> &'static Spec {
    FUNNELS
        .iter()
        .find(|spec| spec.id == id)
        .expect("a funnel of the list")
}

/// The facts that count by default, in their story: those that lead to the company, and those that do not.
fn seen<'a>(
    company: &'a Company,
    story: &'a Story,
    facts: &'a [Fact],
) -> (Vec<Telling<'a>>, Vec<Telling<'a>>) {
    let (mut found, mut lost) = (Vec::new(), Vec::new());
    for (fact, is_found) in facts.iter().zip(company_found(story, facts)) {
        let telling = Telling {
            company,
            story,
            fact,
        };
        match left_out(company, story, fact) {
            Some(_) => {}
            None if is_found => found.push(telling),
            None => lost.push(telling),
        }
    }
    (found, lost)
}

/// Why the default filters leave an event out.
fn left_out(company: &Company, story: &Story, fact: &Fact) -> Option<&'static str> {
    if story.sandbox() {
        Some("sandbox")
    } else if fact.scanner {
        Some("bot")
    } else {
        company.traffic
    }
}

/// The subjects that a sparse journey falls into when only named ids count: by the coarsest id that each event names, its
/// company, its user, its application or only the journey.
fn by_named_ids<'a>(journey: &[Telling<'a>]) -> Vec<Vec<Telling<'a>>> {
    let roots = [ids::COMPANY, ids::USER, ids::APPLICATION, ids::JOURNEY];
    let root = |telling: &Telling<'_>| roots.iter().position(|id| telling.fact.ids & id != 0);
    (0..roots.len())
        .map(|at| {
            let named = journey
                .iter()
                .filter(|telling| telling.fact.ids & ids::JOURNEY != 0);
            named
                .filter(|telling| root(telling) == Some(at))
                .copied()
                .collect::<Vec<_>>()
        })
        .filter(|tellings| !tellings.is_empty())
        .collect()
}
