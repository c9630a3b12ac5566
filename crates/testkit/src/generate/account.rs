//! Counts messages, rows and subjects while they are made, tenant by tenant.

use std::collections::BTreeMap;

use super::book::{FunnelBook, by_named_ids};
use super::company::Company;
use super::config::{GenerateConfig, Ids};
use super::dice::DAY;
use super::encode;
use super::fact::{Fact, ids};
use super::journey::Journey;
use super::naive::Row;
use super::stream::{Delivery, DeliveryKind};
use super::truth::{Delivered, EventsAndRows, Stored, TenantTruth, Truth};
use super::what::What;

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
    linking: FunnelBook,
    by_named_ids: FunnelBook,
    first_link: FunnelBook,
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
            linking: FunnelBook::linking(),
            by_named_ids: FunnelBook::linking(),
            first_link: FunnelBook::first_link(),
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
        journey: Option<&Journey>,
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
        match left_out(company, journey, fact) {
            Some(why) => add(tenant.filtered.entry(why).or_default()),
            None => tenant.count_visible(fact, journey.is_some()),
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

    /// The facts of one journey, or of an arrival, as a subject.
    pub(crate) fn add_facts(
        &mut self,
        company: &Company,
        journey: Option<&Journey>,
        facts: &[Fact],
    ) {
        let (Some(journey), false) = (journey, company.denied) else {
            return;
        };
        let seen: Vec<&Fact> = facts
            .iter()
            .filter(|fact| left_out(company, Some(journey), fact).is_none())
            .filter(|fact| belongs(fact))
            .collect();
        let tenant = &mut self.tenants[usize::from(company.tenant)];
        tenant.linking.add_journey(company, journey, &seen);
        if self.sparse {
            for named in by_named_ids(&seen) {
                tenant.by_named_ids.add_journey(company, journey, &named);
            }
        }
    }

    /// A company whose arrival was seen, by the rows that count by default.
    pub(crate) fn add_company(&mut self, tenant: u16, rows: &[Row]) {
        self.tenants[usize::from(tenant)]
            .first_link
            .add_company(rows);
    }

    /// Closes what is long over.
    pub(crate) fn forget(&mut self, now_us: i64) {
        for tenant in &mut self.tenants {
            tenant.linking.forget(now_us);
            tenant.by_named_ids.forget(now_us);
            tenant.first_link.forget(now_us);
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
            let first_link = match self.sparse {
                true => None,
                false => Some(tenant.first_link.at(watermark_us)?),
            };
            let truth = TenantTruth {
                stored: tenant.stored(),
                linking: tenant.linking.at(watermark_us)?,
                linking_by_named_ids: by_named_ids,
                first_link,
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
    fn count_visible(&mut self, fact: &Fact, in_journey: bool) {
        if fact.what == What::ConnectionLinked {
            *self
                .linked_per_day
                .entry(fact.at_us.div_euclid(DAY))
                .or_default() += 1;
        }
        if !in_journey || fact.ids & ids::JOURNEY == 0 {
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
                .map(|(day, count)| (encode::date(*day), *count))
                .collect(),
            without_journey_id: self.without_journey,
            without_journey_id_in_linking: self.without_journey_in_linking,
        }
    }
}

/// Why the default filters leave an event out.
fn left_out(company: &Company, journey: Option<&Journey>, fact: &Fact) -> Option<&'static str> {
    if journey.is_some_and(|journey| journey.sandbox) {
        Some("sandbox")
    } else if fact.scanner {
        Some("bot")
    } else {
        company.traffic
    }
}

/// Whether an event is part of its journey: it names it or, in a sparse stream, an attempt of it.
/// Invitations and data events take no part; no step or outcome of `linking` is among them.
fn belongs(fact: &Fact) -> bool {
    fact.ids & (ids::JOURNEY | ids::ATTEMPT) != 0
}
