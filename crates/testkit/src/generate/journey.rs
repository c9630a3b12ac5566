//! One journey, from what leads up to it to what follows it. Its course (what is chosen, whether it works) is drawn first, so
//! that configured rates are met; then it is told event by event.

mod application;
mod attempt;
mod call;
mod data;
mod invite;

use super::catalog::{
    APPLICATION_FORM, ASSISTED, CAMPAIGN_LINK, CAMPAIGNS, EMAIL, EMBEDDED, ENTRY_POINTS, HOSTED,
    INCENTIVES, MESSAGES, OWN_UI, PORTAL, REMINDER, SIGNUP_CONFIRMATION, SURFACES, TARGET_GROUPS,
    USE_CASES, WELCOME_EMAIL, draw, hardship,
};
use super::company::{Aim, Company, Intention, Origin, Requirement, small};
use super::config::Ids;
use super::course::Course;
use super::dice::{DAY, Dice, HOUR, MINUTE, SECOND};
use super::fact::{Detail, Effort, Fact, Pen, Sender, World, ids};
use super::what::What;

const SALT_JOURNEY: u64 = 3;

/// What all events of a journey share.
pub(crate) struct Journey {
    pub(crate) number: u64,
    pub(crate) category: u8,
    pub(crate) journey_type: u8,
    pub(crate) surface: u8,
    /// Index into ENTRY_POINTS; none: not said.
    pub(crate) entry_point: Option<u8>,
    /// Index into MEDIUMS; none: not said.
    pub(crate) medium: Option<u8>,
    pub(crate) use_case: Option<u8>,
    pub(crate) campaign: Option<u8>,
    pub(crate) target_group: Option<u8>,
    /// Elements of the message shown before, as bits; none: not said.
    pub(crate) messages: Option<u8>,
    /// Index into INCENTIVES; none: not said.
    pub(crate) incentive: Option<u8>,
    /// Country and locale are named.
    pub(crate) country: bool,
    pub(crate) sandbox: bool,
    /// Begun by the prompt after the sign-up, in the session of the arrival.
    pub(crate) prompted: bool,
    /// A step of an application, and whether it is mandatory there.
    pub(crate) application: Option<Requirement>,
}

impl Journey {
    /// Medium as that event says it.
    pub(crate) fn medium_at(&self, fact: &Fact) -> Option<u8> {
        if fact.resumed {
            Some(EMAIL)
        } else {
            self.medium
        }
    }

    /// Entry point as that event says it.
    pub(crate) fn entry_point_at(&self, fact: &Fact) -> Option<u8> {
        if fact.resumed {
            Some(REMINDER)
        } else {
            self.entry_point
        }
    }

    /// What failures of every kind are multiplied by, on the side of the journey.
    pub(crate) fn hardship(&self) -> f64 {
        let surface = SURFACES[usize::from(self.surface)].hardship;
        let entry_point = self
            .entry_point
            .map_or(1.0, |at| ENTRY_POINTS[usize::from(at)].hardship);
        let medium = self
            .medium
            .map_or(1.0, |at| super::catalog::MEDIUMS[usize::from(at)].1);
        let messages = self.messages.map_or(1.0, |shown| {
            let of = |(at, element): (usize, &super::catalog::Element)| {
                let (with, without) = element.hardship;
                if shown >> at & 1 == 1 { with } else { without }
            };
            MESSAGES.iter().enumerate().map(of).product()
        });
        surface
            * entry_point
            * medium
            * messages
            * hardship(USE_CASES, self.use_case)
            * hardship(CAMPAIGNS, self.campaign)
            * hardship(TARGET_GROUPS, self.target_group)
            * hardship(INCENTIVES, self.incentive)
    }
}

/// Writes the events of one journey to `facts`.
pub(crate) fn tell(
    world: &World,
    company: &Company,
    intention: &Intention,
    facts: &mut Vec<Fact>,
) -> Journey {
    let number = company.number * 8 + u64::from(intention.no);
    let seed = company.key.wrapping_mul(8) + u64::from(intention.no);
    let mut dice = Dice::new(world.config.seed, SALT_JOURNEY, seed);
    let (journey, origin) = frame(world, company, intention, number, &mut dice);
    let course = Course::draw(world, company, &journey, intention.start_us, &mut dice);
    let pen = Pen::new(world, company, dice, intention.start_us, facts);
    Teller {
        pen,
        journey: &journey,
        origin,
        sdk_ids: 0,
        opened_us: intention.start_us,
        idle_us: 0,
        picked_up_us: 0,
        hung_up_us: 0,
        clicks: 0,
        typed: 0,
    }
    .tell(&course);
    journey
}

fn frame(
    world: &World,
    company: &Company,
    intention: &Intention,
    number: u64,
    dice: &mut Dice,
) -> (Journey, Origin) {
    let Aim::Link {
        category,
        journey_type,
        surface,
        origin,
    } = intention.aim
    else {
        unreachable!("only links are journeys");
    };
    let at = &SURFACES[usize::from(surface)];
    let (entry_point, medium) = match origin {
        Origin::Own => (
            at.entry_points[dice.below(at.entry_points.len())],
            at.mediums[dice.below(at.mediums.len())],
        ),
        Origin::Prompt => (SIGNUP_CONFIRMATION, 0),
        Origin::Welcome => (WELCOME_EMAIL, EMAIL),
    };
    let grouped = surface == PORTAL || surface == HOSTED && dice.chance(0.4);
    let in_application = entry_point == APPLICATION_FORM && surface != PORTAL && dice.chance(0.75);
    let requirement = company.mandatory_step.unwrap_or(Requirement::Optional);
    let journey = Journey {
        number,
        category,
        journey_type,
        surface,
        entry_point: (!dice.chance(0.03)).then_some(entry_point),
        medium: (!dice.chance(0.04)).then_some(medium),
        use_case: dice.chance(0.45).then(|| draw(USE_CASES, dice)),
        campaign: (entry_point == CAMPAIGN_LINK).then(|| draw(CAMPAIGNS, dice)),
        target_group: grouped.then(|| draw(TARGET_GROUPS, dice)),
        messages: dice.chance(0.85).then(|| {
            (0..MESSAGES.len()).fold(0, |shown, at| {
                shown | u8::from(dice.chance(MESSAGES[at].shown)) << at
            })
        }),
        incentive: dice.chance(0.6).then(|| draw(INCENTIVES, dice)),
        country: !dice.chance(0.03),
        sandbox: dice.chance(world.config.dirt.sandbox),
        prompted: origin == Origin::Prompt,
        application: in_application.then_some(requirement),
    };
    (journey, origin)
}

/// How a journey ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Linked,
    Uploaded,
    Typed,
    Skipped,
    /// Left, or paused for good.
    Left,
}

struct Teller<'a, 'b> {
    pen: Pen<'a>,
    journey: &'b Journey,
    origin: Origin,
    /// Ids that the events of the current attempt name.
    sdk_ids: u16,
    /// When the flow was opened.
    opened_us: i64,
    /// Since then, how long nobody was there.
    idle_us: i64,
    /// When the last call began and ended.
    picked_up_us: i64,
    hung_up_us: i64,
    /// The person's clicks so far, and the fields typed into.
    clicks: u16,
    typed: u16,
}

impl Teller<'_, '_> {
    fn tell(mut self, course: &Course) {
        // Some flows ask for the category on the way: their first events do not name it. A payment nearby would be taken for a
        // part of such a journey (semantics rule 2), and its category for the journey's.
        self.pen.category = self.pen.company.billed || !self.pen.dice.chance(0.06);
        let comes_to_it = match self.journey.surface {
            PORTAL => self.invite(),
            ASSISTED => self.book_and_call(),
            _ => true,
        };
        if !comes_to_it {
            return;
        }
        match self.journey.application {
            None => {
                self.link(course);
            }
            Some(requirement) => self.apply(requirement, course),
        }
        if self.journey.surface == PORTAL {
            self.reuse();
        }
    }

    /// From opening the flow to its end.
    fn link(&mut self, course: &Course) -> End {
        self.open();
        if self.pen.dice.chance(0.05) {
            self.pen.wait(6 * SECOND, 0.8);
            let ids = self.web_ids();
            self.clicks += 1;
            self.pen.tell(What::HelpOpened, Sender::Web, ids);
        }
        let end = self.walk(course);
        if self.journey.surface == ASSISTED {
            self.hang_up(end);
        }
        end
    }

    fn walk(&mut self, course: &Course) -> End {
        if !course.chooses {
            return self.leave_early();
        }
        let assisted = self.journey.surface == ASSISTED;
        if self.pen.dice.chance(0.045) && !assisted {
            self.pause_and_resume();
        }
        if self.pen.dice.chance(0.012) {
            self.idle();
        }
        let mut linked = self.try_out(course.first, course.first_works);
        if let Some((second, works)) = course.second.filter(|_| !linked) {
            match (assisted, self.pen.dice.chance(0.15)) {
                (true, true) => self.call_again(),
                (false, true) => self.pause_and_resume(),
                (_, false) => self.again(),
            }
            linked = self.try_out(second, works);
        }
        if linked { End::Linked } else { self.give_up() }
    }

    fn sparse(&self) -> bool {
        self.pen.world.config.ids == Ids::Sparse
    }

    /// Ids of events of the page around the vendor's session.
    fn web_ids(&self) -> u16 {
        let application = self.journey.application.map_or(0, |_| ids::APPLICATION);
        let ids = if self.sparse() {
            ids::JOURNEY | ids::SESSION
        } else {
            ids::COMPANY | ids::USER | ids::SESSION | ids::JOURNEY
        };
        ids | application
    }

    /// `journey.started`, `attempt.opened` or both, often in the same instant.
    fn open(&mut self) {
        let from_arrival = self.origin != Origin::Own;
        let (started, opened) = match self.journey.surface {
            EMBEDDED => {
                let lost = self.pen.dice.unit();
                (from_arrival || lost > 0.4, lost < 0.97)
            }
            _ => (from_arrival || self.pen.dice.chance(0.2), true),
        };
        self.opened_us = self.pen.now_us;
        if started {
            let ids = self.web_ids() | ids::COMPANY;
            self.pen.tell(What::JourneyStarted, Sender::Web, ids);
            if self.pen.dice.chance(0.5) {
                self.pen.wait(140_000, 0.6);
            }
        }
        self.open_attempt(opened, started);
    }

    fn pause_and_resume(&mut self) {
        self.pen.wait(25 * SECOND, 0.8);
        self.pen.integration = None;
        let ids = self.web_ids();
        let what = if self.pen.dice.chance(0.2) {
            What::JourneyDelegated
        } else {
            What::JourneyPaused
        };
        self.clicks += 1;
        self.pen.tell(what, Sender::Web, ids);
        let pause_us = self.pen.dice.lognormal(2 * HOUR, 1.6);
        let pause_us = pause_us.clamp(20 * MINUTE, 4 * DAY);
        self.pen.now_us += pause_us;
        self.idle_us += pause_us;
        self.pen.resumed = true;
        self.pen.tell(What::JourneyResumed, Sender::Web, ids);
        self.pen.wait(400_000, 0.5);
        self.open_attempt(true, true);
    }

    /// Something else comes first; the page stays open.
    fn idle(&mut self) {
        let idle_us = self.pen.dice.between(31 * MINUTE, 3 * HOUR);
        self.pen.now_us += idle_us;
        self.idle_us += idle_us;
    }

    /// What the client has counted so far.
    fn effort(&self) -> Detail {
        let ms = |us: i64| u32::try_from(us / 1_000).unwrap_or(u32::MAX);
        let duration_us = self.pen.now_us - self.opened_us;
        Detail::Effort(Effort {
            clicks: self.clicks,
            actions: self.clicks + self.typed,
            duration_ms: ms(duration_us),
            active_ms: ms(duration_us - self.idle_us),
        })
    }

    /// A screen of one's own flow is shown; only there screens are told one by one.
    fn screen(&mut self, index: u8, name: &'static str) {
        if self.journey.surface == OWN_UI {
            let ids = self.web_ids();
            self.pen
                .tell_with(What::StepViewed, Sender::Web, ids, |fact| {
                    fact.integration = None;
                    fact.detail = Detail::Screen(index, name);
                });
        }
    }

    fn one_of(&mut self, reasons: std::ops::Range<u8>) -> u8 {
        reasons.start + small(self.pen.dice.below(reasons.len()))
    }
}
