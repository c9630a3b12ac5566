//! A company: what it is, how it arrived, and when it means to link what. Made again from its number whenever needed.

use super::bill;
use super::catalog::{
    ASSISTED, CATEGORIES, COUNTRIES, DEVICES, EMBEDDED, HOSTED, PROMPTS, SURFACES, draw,
};
use super::config::GenerateConfig;
use super::dice::{DAY, Dice, HOUR, MINUTE, SECOND, mix, whole};
use super::fact::{Detail, Fact, Kind, Pen, Sender, World, ids};
use super::journey;
use super::story::Story;
use super::what::What;

const SALT_COMPANY: u64 = 1;
const SALT_ARRIVAL: u64 = 2;

/// Most journeys one company begins.
const MAX_JOURNEYS: u8 = 7;
/// Share of companies that get invoices with a payment link.
const BILLED: f64 = 0.06;

/// Whether an application demands that data is linked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Requirement {
    Optional,
    Required,
}

impl Requirement {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Requirement::Optional => "optional",
            Requirement::Required => "required",
        }
    }
}

/// What is known of a company.
pub(crate) struct Company {
    pub(crate) tenant: u16,
    pub(crate) number: u64,
    /// Its own number among the companies of all tenants.
    pub(crate) key: u64,
    pub(crate) country: u8,
    pub(crate) device: u8,
    /// 0 control, 1 treatment, none: not in the experiment.
    pub(crate) variant: Option<u8>,
    /// Its arm of the experiment on applications, none: not in it.
    pub(crate) mandatory_step: Option<Requirement>,
    /// Index into PROMPTS: what it is shown after the sign-up.
    pub(crate) prompt: u8,
    /// Error of its device's clock, µs.
    pub(crate) skew_us: i64,
    /// Granularity of its device's clock, µs.
    pub(crate) grain_us: i64,
    /// What its events say under `traffic`, unless human.
    pub(crate) traffic: Option<&'static str>,
    /// Analytics consent denied: nothing of it may be stored.
    pub(crate) denied: bool,
    /// Its arrival (visit, sign-up) was seen.
    pub(crate) arrival_seen: bool,
    /// It gets invoices with a payment link.
    pub(crate) billed: bool,
    born_us: i64,
}

/// How a journey came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Origin {
    /// By itself.
    Own,
    /// By a click on the prompt after the sign-up, so in the same session.
    Prompt,
    /// By a click in the welcome mail.
    Welcome,
}

/// What an intention is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Aim {
    /// To link a category.
    Link {
        category: u8,
        /// Index into JOURNEY_TYPES.
        journey_type: u8,
        /// Index into SURFACES.
        surface: u8,
        origin: Origin,
    },
    /// To pay an invoice.
    Pay,
}

/// One thing that a company means to do, or that is expected of it. Ordered by its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Intention {
    pub(crate) start_us: i64,
    pub(crate) no: u8,
    pub(crate) aim: Aim,
}

impl Intention {
    /// Its story, written to `facts`.
    pub(crate) fn tell(&self, world: &World, company: &Company, facts: &mut Vec<Fact>) -> Story {
        match self.aim {
            Aim::Link { .. } => Story::Journey(journey::tell(world, company, self, facts)),
            Aim::Pay => Story::Bill(bill::tell(world, company, self, facts)),
        }
    }

    /// Begins with a call.
    pub(crate) fn is_assisted(&self) -> bool {
        matches!(self.aim, Aim::Link { surface, .. } if surface == ASSISTED)
    }
}

/// One intention of one company; enough to make both again when its time comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Appointment {
    pub(crate) intention: Intention,
    pub(crate) tenant: u16,
    pub(crate) number: u64,
    pub(crate) born_us: i64,
}

impl Company {
    /// The company of that number, born at that time.
    pub(crate) fn new(world: &World, tenant: u16, number: u64, born_us: i64) -> Self {
        let dirt = &world.config.dirt;
        let key = mix(u64::from(tenant)).wrapping_add(number);
        let mut dice = Dice::new(world.config.seed, SALT_COMPANY, key);
        let country = dice.weighted(&COUNTRIES.iter().map(|c| c.weight).collect::<Vec<_>>());
        let device = draw(DEVICES, &mut dice);
        let variant = match &world.config.experiment {
            Some(experiment) if dice.chance(experiment.share) => Some(u8::from(dice.chance(0.5))),
            _ => None,
        };
        let mandatory_step = match &world.config.mandatory_step {
            Some(test) if dice.chance(test.share) => Some(if dice.chance(0.5) {
                Requirement::Required
            } else {
                Requirement::Optional
            }),
            _ => None,
        };
        let prompt = dice.weighted(&PROMPTS.iter().map(|p| p.weight).collect::<Vec<_>>());
        let skew_us = if dice.chance(dirt.skewed) {
            let size = if dice.chance(0.8) {
                dice.between(10 * SECOND, 5 * MINUTE)
            } else {
                dice.between(30 * MINUTE, 2 * HOUR)
            };
            if dice.chance(0.5) { size } else { -size }
        } else {
            0
        };
        let grain_us = if dice.chance(dirt.coarse_clocks) {
            if dice.chance(0.25) {
                10 * SECOND
            } else {
                SECOND
            }
        } else if dice.chance(0.6) {
            1_000
        } else {
            1
        };
        let traffic = dice
            .chance(dirt.not_human)
            .then(|| ["internal", "bot", "test"][dice.below(3)]);
        Company {
            tenant,
            number,
            key,
            country: small(country),
            device,
            variant,
            mandatory_step,
            prompt: small(prompt),
            skew_us,
            grain_us,
            traffic,
            denied: dice.chance(dirt.denied),
            arrival_seen: dice.chance(0.32),
            billed: dice.chance(BILLED),
            born_us,
        }
    }

    /// Whether its events count unless a question says otherwise (their environment and robots apart).
    pub(crate) fn counts(&self) -> bool {
        self.traffic.is_none()
    }

    /// Its arrival, written to `facts`, and everything it means to do: links in order of time, then invoices.
    pub(crate) fn arrive(&self, world: &World, facts: &mut Vec<Fact>) -> Vec<Intention> {
        let dice = Dice::new(world.config.seed, SALT_ARRIVAL, self.key);
        let mut pen = Pen::new(world, self, dice, self.born_us, facts);
        let mut intentions = Vec::new();
        let begun = if self.arrival_seen {
            arrive_and_sign_up(&mut pen)
        } else {
            Some((self.born_us, Origin::Own))
        };
        let dice = &mut pen.dice;
        if let Some((start_us, origin)) = begun {
            self.links(&world.config, start_us, origin, dice, &mut intentions);
        }
        if self.billed {
            self.bills(&world.config, dice, &mut intentions);
        }
        intentions
    }

    fn links(
        &self,
        config: &GenerateConfig,
        mut start_us: i64,
        first_origin: Origin,
        dice: &mut Dice,
        intentions: &mut Vec<Intention>,
    ) {
        let end_us = config.span_end_us().unwrap_or(i64::MAX);
        let mut category = draw_category(dice);
        for no in 0..MAX_JOURNEYS {
            if start_us >= end_us {
                break;
            }
            let journey_type = match no {
                0 if self.arrival_seen || dice.chance(0.4) => 0,
                _ if dice.chance(0.15) => 2,
                _ => 1,
            };
            let origin = if no == 0 { first_origin } else { Origin::Own };
            let surface = draw_surface(origin, dice);
            let aim = Aim::Link {
                category,
                journey_type,
                surface,
                origin,
            };
            intentions.push(Intention { start_us, no, aim });
            if !dice.chance(0.52) {
                break;
            }
            start_us += pause_between_journeys(dice, start_us, config);
            for _ in 0..2 {
                let next = draw_category(dice);
                if next != category {
                    category = next;
                    break;
                }
            }
        }
    }

    fn bills(&self, config: &GenerateConfig, dice: &mut Dice, intentions: &mut Vec<Intention>) {
        let end_us = config.span_end_us().unwrap_or(i64::MAX);
        let count = if dice.chance(0.3) { 2 } else { 1 };
        let mut start_us = self.born_us;
        for no in 0..count {
            start_us += pause_between_journeys(dice, start_us, config);
            if start_us < end_us {
                let aim = Aim::Pay;
                intentions.push(Intention { start_us, no, aim });
            }
        }
    }
}

/// From the first visit to the click that begins the first journey, and which click that was; `None`: it never comes to that.
fn arrive_and_sign_up(pen: &mut Pen<'_>) -> Option<(i64, Origin)> {
    let visitor = ids::COMPANY | ids::ANONYMOUS | ids::SESSION;
    let member = visitor | ids::USER;
    pen.tell(What::VisitLanded, Sender::Web, visitor);
    if !pen.dice.chance(0.72) {
        return None;
    }
    let acted = act(pen, 2.2);
    pen.wait(80 * SECOND, 0.7);
    let actions = Detail::Actions(acted);
    pen.tell_detail(What::SignupCompleted, Sender::Server, member, actions);
    if pen.dice.chance(0.7) {
        let acted = act(pen, 2.6);
        pen.wait(6 * SECOND, 0.9);
        let actions = Detail::Actions(acted);
        pen.tell_detail(What::CtaShown, Sender::Web, member, actions);
        // Who had to click around before is less patient (seed S2-03).
        let patience = if acted <= 3 { 1.06 } else { 0.84 };
        let clicked = PROMPTS[usize::from(pen.company.prompt)].clicked * patience;
        if pen.dice.chance(clicked) {
            pen.wait(9 * SECOND, 0.8);
            pen.tell(What::CtaClicked, Sender::Web, member);
            pen.wait(2 * SECOND, 0.4);
            return Some((pen.now_us, Origin::Prompt));
        }
        if pen.dice.chance(0.3) {
            pen.wait(15 * SECOND, 0.8);
            pen.tell(What::CtaDismissed, Sender::Web, member);
        }
    }
    let mail = ids::COMPANY | ids::INVITE;
    pen.wait(3 * MINUTE, 0.6);
    let welcome = |fact: &mut Fact| fact.kind = Some(Kind::Welcome);
    pen.tell_with(What::InviteSent, Sender::Mail, mail, welcome);
    if !pen.dice.chance(0.45) {
        return None;
    }
    pen.wait(5 * HOUR, 1.4);
    pen.tell_with(What::InviteClicked, Sender::Web, mail, welcome);
    pen.wait(3 * SECOND, 0.4);
    Some((pen.now_us, Origin::Welcome))
}

/// Some actions of a person, about four seconds each; how many.
fn act(pen: &mut Pen<'_>, mean: f64) -> u16 {
    let mut actions = 0;
    while actions < 30 && pen.dice.chance(mean / (1.0 + mean)) {
        pen.wait(4 * SECOND, 0.7);
        actions += 1;
    }
    actions
}

/// Who comes from the arrival is in the application or follows a link to a page; nobody invites or calls it.
fn draw_surface(origin: Origin, dice: &mut Dice) -> u8 {
    match origin {
        Origin::Own => small(dice.weighted(&SURFACES.map(|surface| surface.weight))),
        Origin::Prompt if dice.chance(0.75) => EMBEDDED,
        Origin::Prompt | Origin::Welcome => HOSTED,
    }
}

fn draw_category(dice: &mut Dice) -> u8 {
    small(dice.weighted(&CATEGORIES.iter().map(|c| c.weight).collect::<Vec<_>>()))
}

/// Until the next journey of the same company: soon, or some days later at an hour of its liking.
/// An endless stream knows only soon: its rate would grow for days otherwise.
fn pause_between_journeys(dice: &mut Dice, from_us: i64, config: &GenerateConfig) -> i64 {
    if dice.chance(0.35) || config.days.is_none() {
        return dice.between(4 * MINUTE, 70 * MINUTE);
    }
    let days = 1 + dice.exponential(3.5 * DAY as f64).min(20 * DAY) / DAY;
    let mut start_us = (from_us.div_euclid(DAY) + days) * DAY;
    start_us += if config.season {
        9 * HOUR + whole(8.0 * HOUR as f64 * 0.5 * (dice.unit() + dice.unit()))
    } else {
        dice.between(0, DAY)
    };
    start_us - from_us
}

/// An index of a short list.
pub(crate) fn small(index: usize) -> u8 {
    u8::try_from(index).expect("the lists of the catalogue are short")
}
