//! The generator: companies appear, stories begin when their time has come, messages wait in a heap until they are delivered.
//! Memory holds only what is under way: late copies and stories still to come.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use super::account::Account;
use super::catalog;
use super::company::{Appointment, Company, Intention};
use super::config::GenerateConfig;
use super::course::{BASE_CONVERSION, SKIPS};
use super::damage::{self, Secret};
use super::dice::{DAY, Dice, SECOND, whole};
use super::encode::{self, Message};
use super::error::Error;
use super::fact::{Fact, IncidentWindow, World};
use super::pending::Pending;
use super::plan::plan;
use super::season::Season;
use super::story::Story;
use super::telling::Telling;
use super::truth::Truth;

const SALT_BIRTHS: u64 = 4;
const SALT_DIRT: u64 = 5;

/// One message on its way to a topic or a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Tenant of the event; damaged messages belong to the first tenant.
    pub tenant: Arc<str>,
    /// Key of the message: tenant and coarsest id, so that a company's events share a partition. Some copies come without.
    pub key: Option<Vec<u8>>,
    /// The message, without newline; none: a tombstone.
    pub payload: Option<Vec<u8>>,
    /// When it arrives, µs since the epoch; deliveries come in this order.
    pub deliver_at_us: i64,
    /// What it is.
    pub what: DeliveryKind,
}

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeliveryKind {
    /// The first copy of an event.
    Event,
    /// Another copy within seconds.
    Duplicate,
    /// Another copy days later.
    Resend,
    /// No event; the code of its refusal.
    Malformed(&'static str),
    /// Of a company that denied consent (copies too): nothing may be kept.
    Denied,
}

/// Makes deliveries in their order; the truth about all of them is complete when the iterator has ended.
pub struct Generator {
    world: World,
    tenants: Vec<Arc<str>>,
    tenant_weights: Vec<f64>,
    season: Season,
    births: Dice,
    dirt: Dice,
    next_birth_us: i64,
    born: Vec<u64>,
    appointments: BinaryHeap<Reverse<Appointment>>,
    pending: Pending,
    account: Account,
    secrets: Vec<String>,
    /// Reused for the facts of one story after the other.
    facts: Vec<Fact>,
    expected_events: Option<f64>,
}

impl Generator {
    /// A generator for this configuration.
    pub fn new(config: GenerateConfig) -> Result<Self, Error> {
        config.check()?;
        let incident = config.incident.as_ref().map(|incident| {
            let from_us = config.start_us.saturating_add(incident.after_us);
            IncidentWindow {
                integration: catalog::integration(&incident.integration)
                    .expect("an incident names an integration of the catalogue"),
                before: incident.before,
                during: incident.during,
                from_us,
                to_us: incident
                    .length_us
                    .map_or(i64::MAX, |length_us| from_us.saturating_add(length_us)),
            }
        });
        let rescue = config
            .experiment
            .as_ref()
            .map_or(0.0, |experiment| experiment.lift / (1.0 - BASE_CONVERSION));
        let persuasion = config
            .mandatory_step
            .as_ref()
            .map_or(0.0, |test| test.link_lift / SKIPS);
        let world = World {
            incident,
            rescue,
            persuasion,
            config,
        };
        let config = &world.config;
        let (season, expected_events) = plan(&world);
        let tenants: Vec<Arc<str>> = config
            .tenants
            .iter()
            .map(|name| Arc::from(name.as_str()))
            .collect();
        let mut births = Dice::new(config.seed, SALT_BIRTHS, 0);
        let mut generator = Generator {
            tenant_weights: (0..tenants.len())
                .map(|place| 1.0 / (place + 1) as f64)
                .collect(),
            next_birth_us: season.next_after(config.start_us, &mut births),
            dirt: Dice::new(config.seed, SALT_DIRT, 0),
            born: vec![0; tenants.len()],
            appointments: BinaryHeap::new(),
            pending: Pending::default(),
            account: Account::new(config),
            secrets: Vec::new(),
            facts: Vec::new(),
            season,
            births,
            tenants,
            expected_events,
            world,
        };
        generator.end_births();
        Ok(generator)
    }

    /// About how many deliveries there will be, for a progress bar; none when endless.
    pub fn expected_deliveries(&self) -> Option<u64> {
        let dirt = &self.world.config.dirt;
        let extra = 1.0 + dirt.duplicates + dirt.resends + dirt.malformed;
        self.expected_events
            .map(|events| whole(events * extra).unsigned_abs())
    }

    /// What is true of everything made so far, at a watermark (none: all windows over); complete when the iterator has
    /// ended. None when the watermark lies further back than records are kept (two hours before the last window that is over).
    pub fn truth(&self, watermark_us: Option<i64>) -> Option<Truth> {
        self.account.truth(&self.world.config, watermark_us)
    }

    /// Every secret and personal datum put where none belongs, to be searched for in files.
    pub fn planted_secrets(&self) -> &[String] {
        &self.secrets
    }

    /// Makes the next company or story; false when there is none.
    fn advance(&mut self) -> bool {
        let next_story_us = self
            .appointments
            .peek()
            .map(|Reverse(next)| next.intention.start_us);
        match next_story_us {
            Some(start_us) if start_us <= self.next_birth_us => {
                if let Some(Reverse(appointment)) = self.appointments.pop() {
                    self.hold(&appointment);
                }
                true
            }
            _ if self.next_birth_us == i64::MAX => false,
            _ => {
                self.birth();
                true
            }
        }
    }

    fn birth(&mut self) {
        let born_us = self.next_birth_us;
        let place = self.births.weighted(&self.tenant_weights);
        let number = self.world.config.first_company + self.born[place];
        self.born[place] += 1;
        let tenant = u16::try_from(place).expect("tenants are few");
        let company = Company::new(&self.world, tenant, number, born_us);
        let mut facts = std::mem::take(&mut self.facts);
        facts.clear();
        let intentions = company.arrive(&self.world, &mut facts);
        self.deliver(&company, &Story::Arrival, &facts);
        self.account.add_story(&company, &Story::Arrival, &facts);
        if company.arrival_seen || intentions.iter().any(Intention::is_assisted) {
            self.account_company(&company, &intentions, &facts);
        }
        self.facts = facts;
        for intention in intentions {
            self.appointments.push(Reverse(Appointment {
                intention,
                tenant,
                number,
                born_us,
            }));
        }
        self.next_birth_us = self.season.next_after(born_us, &mut self.births);
        self.end_births();
        self.account.forget(born_us);
    }

    fn end_births(&mut self) {
        if self
            .world
            .config
            .span_end_us()
            .is_some_and(|end_us| self.next_birth_us >= end_us)
        {
            self.next_birth_us = i64::MAX;
        }
    }

    /// What is counted by company needs all its stories at once: they are told here and again in their time.
    fn account_company(&mut self, company: &Company, intentions: &[Intention], arrival: &[Fact]) {
        if company.denied || !company.counts() {
            return;
        }
        let mut stories = vec![(Story::Arrival, arrival.to_vec())];
        for intention in intentions {
            let mut facts = Vec::new();
            let story = intention.tell(&self.world, company, &mut facts);
            stories.push((story, facts));
        }
        self.account.add_company(company, &stories);
    }

    fn hold(&mut self, appointment: &Appointment) {
        let company = Company::new(
            &self.world,
            appointment.tenant,
            appointment.number,
            appointment.born_us,
        );
        let mut facts = std::mem::take(&mut self.facts);
        facts.clear();
        let story = appointment
            .intention
            .tell(&self.world, &company, &mut facts);
        self.deliver(&company, &story, &facts);
        self.account.add_story(&company, &story, &facts);
        self.facts = facts;
    }

    fn deliver(&mut self, company: &Company, story: &Story, facts: &[Fact]) {
        let cut_us = self.world.config.end_us.unwrap_or(i64::MAX);
        let dirt = self.world.config.dirt;
        for fact in facts {
            let secret = self.dirt.chance(dirt.secrets).then(|| {
                let attrs_free = !encode::writes_attrs(fact.what);
                Secret::draw_anywhere(&mut self.dirt, attrs_free)
            });
            let telling = Telling {
                company,
                story,
                fact,
            };
            let rows = self.deliver_copies(telling, secret.as_ref(), cut_us);
            self.account
                .add_rows(company, story, fact, rows, secret.as_ref().map(|s| s.name));
            if let Some(secret) = secret {
                self.secrets.push(secret.value);
            }
            if self.dirt.chance(dirt.malformed) && fact.deliver_us <= cut_us {
                self.deliver_damage(company, fact);
            }
        }
    }

    /// Delivers a fact and its copies; how many messages that are.
    fn deliver_copies(
        &mut self,
        telling: Telling<'_>,
        secret: Option<&Secret>,
        cut_us: i64,
    ) -> u64 {
        let dirt = self.world.config.dirt;
        let Telling { company, fact, .. } = telling;
        let tenant = Arc::clone(&self.tenants[usize::from(company.tenant)]);
        let extra = secret.map_or_else(String::new, Secret::field);
        let mut message = Message {
            world: &self.world,
            tenant: &tenant,
            telling,
            redelivery: 0,
        };
        let mut payload = Vec::with_capacity(640);
        message.write(&mut payload, &extra);
        let key = message.key();
        let throw = self.dirt.unit();
        let copy = if throw < dirt.duplicates {
            let deliver_at_us = fact.deliver_us + self.dirt.between(0, 5 * SECOND);
            Some((deliver_at_us, DeliveryKind::Duplicate, true))
        } else if throw < dirt.duplicates + dirt.resends {
            let deliver_at_us = fact.deliver_us + self.dirt.between(DAY, 14 * DAY);
            Some((deliver_at_us, DeliveryKind::Resend, self.dirt.chance(0.5)))
        } else {
            None
        };
        let mut messages = 1;
        if let Some((deliver_at_us, what, keyed)) = copy.filter(|copy| copy.0 <= cut_us) {
            let mut payload = payload.clone();
            if message.has_source_id() && self.dirt.chance(0.5) {
                message.redelivery = 1 + self.dirt.bits() % 1_000;
                payload.clear();
                message.write(&mut payload, &extra);
            }
            messages += 1;
            self.account.copies(what, company.denied);
            self.pending.push(Delivery {
                tenant: Arc::clone(&tenant),
                key: keyed.then(|| key.clone()),
                payload: Some(payload),
                deliver_at_us,
                what: if company.denied {
                    DeliveryKind::Denied
                } else {
                    what
                },
            });
        }
        self.pending.push(Delivery {
            tenant,
            key: Some(key),
            payload: Some(payload),
            deliver_at_us: fact.deliver_us,
            what: if company.denied {
                DeliveryKind::Denied
            } else {
                DeliveryKind::Event
            },
        });
        messages
    }

    fn deliver_damage(&mut self, company: &Company, fact: &Fact) {
        let config = &self.world.config;
        let damage = damage::draw(&config.dirt, config.carrier, &mut self.dirt);
        let with_secret = config.dirt.secrets > 0.0 && self.dirt.chance(0.5);
        let bad = damage::make(
            damage,
            company.number,
            fact.at_us,
            with_secret,
            &mut self.dirt,
        );
        self.secrets.extend(bad.secret);
        self.account.refused(bad.code);
        self.pending.push(Delivery {
            tenant: Arc::clone(&self.tenants[0]),
            key: None,
            payload: bad.payload,
            deliver_at_us: fact.deliver_us,
            what: DeliveryKind::Malformed(bad.code),
        });
    }
}

impl Iterator for Generator {
    type Item = Delivery;

    fn next(&mut self) -> Option<Delivery> {
        loop {
            // Whatever is made later arrives later.
            let next_story_us = self
                .appointments
                .peek()
                .map_or(i64::MAX, |Reverse(next)| next.intention.start_us);
            let safe_us = self.next_birth_us.min(next_story_us);
            if let Some(delivery) = self.pending.pop_until(safe_us) {
                self.account.delivered(&delivery);
                return Some(delivery);
            }
            if !self.advance() {
                return self.pending.pop_until(i64::MAX).inspect(|delivery| {
                    self.account.delivered(delivery);
                });
            }
        }
    }
}
