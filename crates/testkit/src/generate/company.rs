//! A company: what it is, how it arrived, and when it means to link what. Made again from its number whenever needed.

use super::catalog::{CATEGORIES, COUNTRIES, DEVICES};
use super::config::GenerateConfig;
use super::dice::{DAY, Dice, HOUR, MINUTE, SECOND, mix, whole};
use super::fact::{Fact, Pen, Sender, World, ids};
use super::what::What;

const SALT_COMPANY: u64 = 1;
const SALT_ARRIVAL: u64 = 2;

/// Most journeys one company begins.
const MAX_JOURNEYS: u8 = 7;

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
    born_us: i64,
}

/// One journey that a company means to make. Ordered by its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Intention {
    pub(crate) start_us: i64,
    pub(crate) no: u8,
    pub(crate) category: u8,
    /// Index into JOURNEY_TYPES.
    pub(crate) journey_type: u8,
    /// Begun by the click of the arrival: by the welcome mail or in the application.
    pub(crate) from_arrival: bool,
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
        let country = dice.weighted(&COUNTRIES.iter().map(|c| c.2).collect::<Vec<_>>());
        let device = dice.weighted(&DEVICES.iter().map(|d| d.1).collect::<Vec<_>>());
        let variant = match &world.config.experiment {
            Some(experiment) if dice.chance(experiment.share) => Some(u8::from(dice.chance(0.5))),
            _ => None,
        };
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
            device: small(device),
            variant,
            skew_us,
            grain_us,
            traffic,
            denied: dice.chance(dirt.denied),
            arrival_seen: dice.chance(0.32),
            born_us,
        }
    }

    /// Whether its events count unless a question says otherwise (their environment and robots apart).
    pub(crate) fn counts(&self) -> bool {
        self.traffic.is_none()
    }

    /// Its arrival, written to `facts`, and everything it means to link, in order of time.
    pub(crate) fn arrive(&self, world: &World, facts: &mut Vec<Fact>) -> Vec<Intention> {
        let dice = Dice::new(world.config.seed, SALT_ARRIVAL, self.key);
        let mut pen = Pen::new(world, self, dice, self.born_us, facts);
        let first_start_us = if self.arrival_seen {
            match arrive_and_sign_up(&mut pen) {
                Some(click_us) => click_us,
                None => return Vec::new(),
            }
        } else {
            self.born_us
        };
        let end_us = world.config.span_end_us().unwrap_or(i64::MAX);
        let mut intentions = Vec::new();
        let mut start_us = first_start_us;
        let dice = &mut pen.dice;
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
            intentions.push(Intention {
                no,
                start_us,
                category,
                journey_type,
                from_arrival: no == 0 && self.arrival_seen,
            });
            if !dice.chance(0.52) {
                break;
            }
            start_us += pause_between_journeys(dice, start_us, &world.config);
            for _ in 0..2 {
                let next = draw_category(dice);
                if next != category {
                    category = next;
                    break;
                }
            }
        }
        intentions
    }
}

/// From the first visit to the click that begins the first journey; `None`: it never comes to that.
fn arrive_and_sign_up(pen: &mut Pen<'_>) -> Option<i64> {
    let visitor = ids::COMPANY | ids::ANONYMOUS | ids::SESSION;
    let member = visitor | ids::USER;
    pen.tell(What::VisitLanded, Sender::Web, visitor);
    if !pen.dice.chance(0.72) {
        return None;
    }
    pen.wait(90 * SECOND, 0.7);
    pen.tell(What::SignupCompleted, Sender::Server, member);
    if pen.dice.chance(0.7) {
        pen.wait(12 * SECOND, 0.9);
        pen.tell(What::CtaShown, Sender::Web, member);
        if pen.dice.chance(0.74) {
            pen.wait(9 * SECOND, 0.8);
            pen.tell(What::CtaClicked, Sender::Web, member);
            pen.wait(2 * SECOND, 0.4);
            return Some(pen.now_us);
        }
        if pen.dice.chance(0.3) {
            pen.wait(15 * SECOND, 0.8);
            pen.tell(What::CtaDismissed, Sender::Web, member);
        }
    }
    let mail = ids::COMPANY | ids::INVITE;
    pen.wait(3 * MINUTE, 0.6);
    pen.tell_with(What::InviteSent, Sender::Mail, mail, |fact| {
        fact.welcome = true;
    });
    if !pen.dice.chance(0.45) {
        return None;
    }
    pen.wait(5 * HOUR, 1.4);
    pen.tell_with(What::InviteClicked, Sender::Web, mail, |fact| {
        fact.welcome = true;
    });
    pen.wait(3 * SECOND, 0.4);
    Some(pen.now_us)
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
