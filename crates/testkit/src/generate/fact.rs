//! A fact is one logical event as its sender tells it: what, when by the sender's clock, which ids, when it first arrives.
//! The pen writes facts in true time and applies what the world does to them: clocks, lateness, the cut at the end.

use super::catalog::{INTEGRATIONS, PROVIDERS};
use super::company::Company;
use super::config::{GenerateConfig, Ids};
use super::dice::{Dice, HOUR, MINUTE, SECOND};
use super::what::What;

/// Who tells an event. Web and sdk share the clock of the company's device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sender {
    Web,
    Sdk,
    Server,
    Webhook,
    Mail,
    /// A person with a form, by the minute.
    Agent,
}

/// Ids an event names, as bits.
pub(crate) mod ids {
    pub(crate) const COMPANY: u16 = 1;
    pub(crate) const USER: u16 = 2;
    pub(crate) const ANONYMOUS: u16 = 4;
    pub(crate) const SESSION: u16 = 8;
    pub(crate) const JOURNEY: u16 = 16;
    pub(crate) const ATTEMPT: u16 = 32;
    pub(crate) const CONNECTION: u16 = 64;
    pub(crate) const INVITE: u16 = 128;
    pub(crate) const PAYMENT_LINK: u16 = 256;
    pub(crate) const PAYMENT: u16 = 512;
    pub(crate) const APPLICATION: u16 = 1_024;
    pub(crate) const CALL: u16 = 2_048;
}

/// What an invitation is for, as its events say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Link,
    Welcome,
    Reminder,
    Payment,
}

impl Kind {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Kind::Link => "link",
            Kind::Welcome => "welcome",
            Kind::Reminder => "reminder",
            Kind::Payment => "payment",
        }
    }
}

/// What an event tells beyond what all of its kind do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Detail {
    None,
    /// The person's clicks in this journey so far.
    Clicks(u16),
    /// What the client counted in this journey until its end.
    Effort(Effort),
    /// The person's actions since the sign-up, or since the landing.
    Actions(u16),
    /// Place of a screen in the ladder of domain.md 3.6, and its name.
    Screen(u8, &'static str),
    /// The screen that asks an applicant to link.
    LinkingScreen,
    /// Form fields, and how many of them were filled in.
    Prefilled(u16, u16),
    /// A type of data and its records.
    Dataset(&'static str, u32),
    /// How a sync ended.
    Synced(&'static str),
    /// Length of a call, ms.
    Call(u32),
    /// Reminders sent so far.
    Reminded(u16),
    /// Index into METHODS.
    Method(u8),
    /// How an application was decided.
    Decision(&'static str),
}

/// What a client counts in a journey.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Effort {
    pub(crate) clicks: u16,
    /// Clicks and fields typed into.
    pub(crate) actions: u16,
    /// Since the opening.
    pub(crate) duration_ms: u32,
    /// Since the opening, without pauses.
    pub(crate) active_ms: u32,
}

/// One logical event.
#[derive(Debug, Clone)]
pub(crate) struct Fact {
    /// `occurred_at`, by the sender's clock, µs.
    pub(crate) at_us: i64,
    /// When its first copy arrives, µs.
    pub(crate) deliver_us: i64,
    pub(crate) what: What,
    pub(crate) sender: Sender,
    pub(crate) ids: u16,
    /// Number of the vendor session inside the journey; 0 before the first.
    pub(crate) attempt: u8,
    pub(crate) integration: Option<u8>,
    /// Index into REASONS.
    pub(crate) reason: Option<u8>,
    /// Names the category of the journey.
    pub(crate) category: bool,
    /// Comes from a robot, whoever the company is.
    pub(crate) scanner: bool,
    /// Of events about an invitation.
    pub(crate) kind: Option<Kind>,
    /// Which payment link of an invoice, or which call of a journey, from 0.
    pub(crate) part: u8,
    pub(crate) detail: Detail,
    /// After a pause: medium and entry point are those of the reminder.
    pub(crate) resumed: bool,
    /// Position among the events of its story.
    pub(crate) ordinal: u16,
}

/// Whether nobody tells it: it is the provider's to tell, which never does.
fn hidden(fact: &Fact) -> bool {
    let is_providers = matches!(fact.sender, Sender::Sdk | Sender::Webhook);
    let integration = fact.integration.filter(|_| is_providers);
    integration.is_some_and(|at| {
        let provider = INTEGRATIONS[usize::from(at)].provider;
        PROVIDERS[usize::from(provider)].hides.contains(&fact.what)
    })
}

/// What all facts of one generator depend on.
pub(crate) struct World {
    pub(crate) config: GenerateConfig,
    /// Index of the integration and its rates, when an incident is asked for.
    pub(crate) incident: Option<IncidentWindow>,
    /// Probability that the treatment turns a failing journey into a linked one.
    pub(crate) rescue: f64,
    /// Probability that an applicant who would skip the linking step links when it is mandatory.
    pub(crate) persuasion: f64,
}

/// An incident in absolute time.
pub(crate) struct IncidentWindow {
    pub(crate) integration: u8,
    pub(crate) before: f64,
    pub(crate) during: f64,
    pub(crate) from_us: i64,
    pub(crate) to_us: i64,
}

impl World {
    /// Linked with it ÷ journeys that chose it, for a choice at this time.
    pub(crate) fn success(&self, integration: u8, at_us: i64) -> f64 {
        match &self.incident {
            Some(incident) if incident.integration == integration => {
                if (incident.from_us..incident.to_us).contains(&at_us) {
                    incident.during
                } else {
                    incident.before
                }
            }
            _ => INTEGRATIONS[usize::from(integration)].success,
        }
    }

    pub(crate) fn troubled(&self, integration: u8, at_us: i64) -> bool {
        self.incident.as_ref().is_some_and(|incident| {
            incident.integration == integration
                && (incident.from_us..incident.to_us).contains(&at_us)
        })
    }
}

/// Writes facts in true time.
pub(crate) struct Pen<'a> {
    pub(crate) world: &'a World,
    pub(crate) company: &'a Company,
    pub(crate) dice: Dice,
    /// The true time, µs.
    pub(crate) now_us: i64,
    pub(crate) attempt: u8,
    pub(crate) integration: Option<u8>,
    pub(crate) category: bool,
    pub(crate) resumed: bool,
    pub(crate) part: u8,
    pub(crate) facts: &'a mut Vec<Fact>,
    ordinal: u16,
    /// When the last choice of an integration arrives, and the last link, µs.
    choice_us: i64,
    link_us: i64,
}

impl<'a> Pen<'a> {
    pub(crate) fn new(
        world: &'a World,
        company: &'a Company,
        dice: Dice,
        now_us: i64,
        facts: &'a mut Vec<Fact>,
    ) -> Self {
        Pen {
            world,
            company,
            dice,
            now_us,
            attempt: 0,
            integration: None,
            category: false,
            resumed: false,
            part: 0,
            facts,
            ordinal: 0,
            choice_us: i64::MIN,
            link_us: i64::MIN,
        }
    }

    /// Time passes: log-normal around a median.
    pub(crate) fn wait(&mut self, median_us: i64, sigma: f64) {
        self.now_us += self.dice.lognormal(median_us, sigma);
    }

    /// Hours or days pass. In an endless stream minutes: its rate would grow for days otherwise.
    pub(crate) fn wait_long(&mut self, median_us: i64, sigma: f64) {
        let median_us = if self.world.config.days.is_none() {
            median_us.min(4 * MINUTE)
        } else {
            median_us
        };
        self.wait(median_us, sigma);
    }

    pub(crate) fn tell(&mut self, what: What, sender: Sender, ids: u16) {
        self.tell_with(what, sender, ids, |_| {});
    }

    pub(crate) fn tell_detail(&mut self, what: What, sender: Sender, ids: u16, detail: Detail) {
        self.tell_with(what, sender, ids, |fact| fact.detail = detail);
    }

    /// Adds one fact, unless it arrives after the end of the stream or its provider never tells it.
    pub(crate) fn tell_with(
        &mut self,
        what: What,
        sender: Sender,
        ids: u16,
        more: impl FnOnce(&mut Fact),
    ) {
        self.tell_past(self.now_us, what, sender, ids, more);
    }

    /// Adds a fact that is told only now.
    pub(crate) fn tell_past(
        &mut self,
        happened_us: i64,
        what: What,
        sender: Sender,
        ids: u16,
        more: impl FnOnce(&mut Fact),
    ) {
        let mut fact = Fact {
            at_us: self.by_clock_of(sender, happened_us),
            deliver_us: self.now_us + self.travel(what, sender),
            what,
            sender,
            ids,
            attempt: self.attempt,
            integration: self.integration,
            reason: None,
            category: self.category,
            scanner: false,
            kind: None,
            part: self.part,
            detail: Detail::None,
            resumed: self.resumed,
            ordinal: self.ordinal,
        };
        more(&mut fact);
        self.ordinal = self.ordinal.saturating_add(1);
        let cut_us = self.world.config.end_us.unwrap_or(i64::MAX);
        match what {
            What::ProviderSelected => self.choice_us = fact.deliver_us,
            What::ConnectionLinked => self.link_us = fact.deliver_us,
            _ if cut_us < i64::MAX => fact.deliver_us = fact.deliver_us.max(self.first_us(&fact)),
            _ => {}
        }
        if fact.deliver_us <= cut_us && !hidden(&fact) {
            self.facts.push(fact);
        }
    }

    /// Before when a fact may not arrive, so that a cut never leaves what nobody can place: an integration named by an exit
    /// alone (whether it was chosen then were unclear), a connection without the link that says whose it is.
    fn first_us(&self, fact: &Fact) -> i64 {
        let mut first_us = i64::MIN;
        if fact.integration.is_some() && fact.what.linking_step().is_none() {
            first_us = self.choice_us;
        }
        if fact.ids & (ids::CONNECTION | ids::JOURNEY) == ids::CONNECTION {
            first_us = first_us.max(self.link_us);
        }
        first_us
    }

    fn by_clock_of(&self, sender: Sender, happened_us: i64) -> i64 {
        let (skew_us, grain_us) = match sender {
            Sender::Web | Sender::Sdk => (self.company.skew_us, self.company.grain_us),
            Sender::Server => (0, 1),
            Sender::Mail => (0, SECOND),
            Sender::Agent => (0, MINUTE),
            Sender::Webhook => {
                let provider = self
                    .integration
                    .map_or(0, |i| INTEGRATIONS[usize::from(i)].provider);
                (0, PROVIDERS[usize::from(provider)].webhook_grain_us)
            }
        };
        (happened_us + skew_us).div_euclid(grain_us) * grain_us
    }

    /// The way from the sender to us. In sparse streams the first event of a journey never dawdles: it carries the ids.
    fn travel(&mut self, what: What, sender: Sender) -> i64 {
        let dirt = &self.world.config.dirt;
        let usual = match sender {
            Sender::Webhook | Sender::Mail | Sender::Agent => self.dice.lognormal(1_500_000, 0.9),
            _ => self.dice.lognormal(150_000, 0.8),
        };
        let carries_ids = matches!(what, What::JourneyStarted | What::AttemptOpened)
            && self.world.config.ids == Ids::Sparse;
        let throw = self.dice.unit();
        let extra = if carries_ids {
            0
        } else if throw < dirt.late {
            self.dice.between(15 * MINUTE, 28 * HOUR)
        } else if throw < dirt.late + dirt.out_of_order {
            self.dice.between(2 * SECOND, 120 * SECOND)
        } else {
            0
        };
        usual.min(30 * SECOND) + extra
    }
}
