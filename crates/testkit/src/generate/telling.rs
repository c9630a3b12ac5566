//! What an event says under the dimensions that subjects are told apart by. Messages are written from it and the truth is
//! counted by it, so both know the same of when a value is named at all.

use super::bill::BillLink;
use super::catalog::{
    AMOUNTS, CAMPAIGNS, CATEGORIES, COUNTRIES, DEVICES, ENTRY_POINTS, INCENTIVES, INTEGRATIONS,
    INVOICE, MEDIUMS, PAYMENT_COLLECTION, PAYMENT_PAGE, PAYMENT_REMINDER, PHONE_CALL, PROMPTS,
    PROVIDERS, Provider, SURFACES, TARGET_GROUPS, USE_CASES, WELCOME_EMAIL,
};
use super::catalog::{EMAIL, Value};
use super::company::{Company, Requirement};
use super::encode;
use super::fact::{Detail, Fact, Kind, Sender, ids};
use super::journey::Journey;
use super::story::Story;
use super::what::What;

/// What subjects are told apart by, apart from the day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum By {
    Category,
    Surface,
    Medium,
    EntryPoint,
    CampaignId,
    TargetGroup,
    UseCase,
    Country,
    Locale,
    Device,
    Placement,
    /// Index into MESSAGES.
    Message(u8),
    Incentive,
    /// The variant of the experiment on journeys.
    Experiment,
    /// The variant of the experiment on applications.
    MandatoryStep,
    Requirement,
    AmountBucket,
    ReminderNo,
    DaysOverdue,
    Integration,
    Provider,
    IntegrationKind,
    AuthMethod,
}

/// When a subject gets its value of a dimension (semantics rule 17).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// The value at the clock's first event.
    Entry,
    /// The first value inside the window.
    FirstInWindow,
    /// Each value inside the window.
    Chosen,
}

/// A value as it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Label {
    Word(&'static str),
    Number(i64),
}

impl std::fmt::Display for Label {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Label::Word(word) => f.write_str(word),
            Label::Number(number) => write!(f, "{number}"),
        }
    }
}

impl By {
    /// The field as named in the event; both experiments are `experiment`.
    pub(crate) fn field(self) -> &'static str {
        match self {
            By::Category => "category",
            By::Surface => "surface",
            By::Medium => "medium",
            By::EntryPoint => "entry_point",
            By::CampaignId => "campaign_id",
            By::TargetGroup => "target_group",
            By::UseCase => "use_case",
            By::Country => "country",
            By::Locale => "locale",
            By::Device => "device.class",
            By::Placement => "cta.placement",
            By::Message(0) => "messaging.value_prop",
            By::Message(1) => "messaging.purpose",
            By::Message(2) => "messaging.security",
            By::Message(3) => "messaging.revocation",
            By::Message(4) => "messaging.time_estimate",
            By::Message(5) => "messaging.faq",
            By::Message(6) => "messaging.social_proof",
            By::Message(_) => "messaging.mandatory_label",
            By::Incentive => "incentive.type",
            By::Experiment | By::MandatoryStep => "experiment",
            By::Requirement => "step.requirement",
            By::AmountBucket => "payment.amount_bucket",
            By::ReminderNo => "payment.reminder_no",
            By::DaysOverdue => "payment.days_overdue",
            By::Integration => "integration",
            By::Provider => "provider",
            By::IntegrationKind => "integration.kind",
            By::AuthMethod => "auth.method",
        }
    }

    pub(crate) fn moment(self) -> Moment {
        match self {
            By::Category => Moment::FirstInWindow,
            By::Integration | By::Provider | By::IntegrationKind | By::AuthMethod => Moment::Chosen,
            _ => Moment::Entry,
        }
    }

    /// Shown for subjects without a value.
    pub(crate) fn absent(self) -> &'static str {
        match self.moment() {
            Moment::Chosen => "(before choice)",
            Moment::Entry | Moment::FirstInWindow => "(none)",
        }
    }
}

/// An app visit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Session {
    /// Of the company's arrival.
    Arrival,
    /// Of a journey, and whether after a pause.
    Journey(u64, bool),
    /// Of a payment link: the invoice and which link of it.
    Link(u64, u8),
}

/// A fact in its story.
#[derive(Clone, Copy)]
pub(crate) struct Telling<'a> {
    pub(crate) company: &'a Company,
    pub(crate) story: &'a Story,
    pub(crate) fact: &'a Fact,
}

impl<'a> Telling<'a> {
    /// The story's journey, if the event is part of its flow: before, on and after the way, not around an application or call.
    pub(crate) fn flow(&self) -> Option<&'a Journey> {
        let of_flow = ids::JOURNEY | ids::ATTEMPT | ids::CONNECTION | ids::INVITE;
        self.story
            .journey()
            .filter(|_| self.fact.ids & of_flow != 0)
    }

    /// The payment link the event is about.
    pub(crate) fn link(&self) -> Option<&'a BillLink> {
        let part = usize::from(self.fact.part);
        self.story.bill().map(|bill| &bill.links[part])
    }

    /// The visit the event names.
    pub(crate) fn session(&self) -> Option<Session> {
        if self.fact.ids & ids::SESSION == 0 {
            return None;
        }
        let resumed = self.fact.resumed;
        Some(match self.story {
            Story::Arrival => Session::Arrival,
            Story::Journey(journey) if journey.prompted && !resumed => Session::Arrival,
            Story::Journey(journey) => Session::Journey(journey.number, resumed),
            Story::Bill(bill) => Session::Link(bill.number, self.fact.part),
        })
    }

    /// Told by the page or widget in the person's hands.
    pub(crate) fn on_device(&self) -> bool {
        matches!(self.fact.sender, Sender::Web | Sender::Sdk)
    }

    /// The event shows what a journey was begun by.
    fn pitched(&self) -> Option<&'a Journey> {
        self.flow().filter(|_| self.fact.what.opens())
    }

    /// The event says how the subject was reached.
    fn reached(&self) -> bool {
        self.on_device() || self.fact.what.is_of_invite()
    }

    /// The event says what its payment is about.
    pub(crate) fn bills(&self) -> bool {
        matches!(
            self.fact.what,
            What::PaymentLinkCreated
                | What::PaymentLinkOpened
                | What::PaymentExecuted
                | What::InvoicePaid
        )
    }

    fn is_welcome(&self) -> bool {
        self.fact.kind == Some(Kind::Welcome)
    }

    /// What the event says under a dimension.
    pub(crate) fn says(&self, by: By) -> Option<Label> {
        match by {
            By::DaysOverdue => {
                let link = self.link().filter(|_| self.bills())?;
                Some(Label::Number(i64::from(link.days_overdue)))
            }
            By::ReminderNo => {
                self.link().filter(|_| self.bills())?;
                Some(Label::Number(i64::from(self.fact.part)))
            }
            _ => self.word(by).map(Label::Word),
        }
    }

    /// What the event says under a dimension of words.
    pub(crate) fn word(&self, by: By) -> Option<&'static str> {
        let fact = self.fact;
        match by {
            By::Category => self.category(),
            By::Surface => match self.story.bill() {
                Some(_) => self.on_device().then_some(PAYMENT_PAGE),
                None => {
                    let journey = self.flow().filter(|_| self.on_device())?;
                    Some(SURFACES[usize::from(journey.surface)].name)
                }
            },
            By::Medium => self.medium().map(|at| MEDIUMS[usize::from(at)].0),
            By::EntryPoint => self
                .entry_point()
                .map(|at| ENTRY_POINTS[usize::from(at)].name),
            By::CampaignId => name(CAMPAIGNS, self.invited()?.campaign),
            By::TargetGroup => name(TARGET_GROUPS, self.invited()?.target_group),
            By::UseCase => name(USE_CASES, self.use_case()),
            By::Country => self.country().map(|at| COUNTRIES[at].code),
            By::Locale => self.country().map(|at| COUNTRIES[at].locale),
            By::Device => {
                let device = self.on_device().then_some(self.company.device);
                name(DEVICES, device)
            }
            By::Placement => self.placement(),
            By::Message(element) => {
                let shown = self.pitched()?.messages? >> element & 1 == 1;
                Some(if shown { "true" } else { "false" })
            }
            By::Incentive => name(INCENTIVES, self.pitched()?.incentive),
            By::Experiment => {
                self.flow().filter(|_| self.on_device())?;
                self.company.variant.map(encode::variant_name)
            }
            By::MandatoryStep => {
                self.requirement()?;
                self.company.mandatory_step.map(Requirement::as_str)
            }
            By::Requirement => self.requirement().map(Requirement::as_str),
            By::AmountBucket => {
                let bill = self.story.bill().filter(|_| self.bills())?;
                name(AMOUNTS, Some(bill.amount))
            }
            By::Integration => self.integration().map(|at| INTEGRATIONS[at].key),
            By::Provider => self.provider().map(|provider| provider.name),
            By::IntegrationKind => self.integration().map(|at| INTEGRATIONS[at].kind),
            By::AuthMethod => {
                let tells = matches!(
                    fact.what,
                    What::ProviderSelected
                        | What::HandoffStarted
                        | What::CredentialsSubmitted
                        | What::ConnectionLinked
                );
                let integration = self.integration().filter(|_| tells)?;
                Some(INTEGRATIONS[integration].auth.as_str())
            }
            By::ReminderNo | By::DaysOverdue => None,
        }
    }

    fn category(&self) -> Option<&'static str> {
        if self.story.bill().is_some() {
            return Some("payment");
        }
        // An intro link is for whatever the company wants to link.
        let says = self.fact.category && !self.fact.what.is_of_invite();
        let journey = self.flow().filter(|_| says)?;
        Some(CATEGORIES[usize::from(journey.category)].name)
    }

    fn medium(&self) -> Option<u8> {
        if let Some(link) = self.link() {
            let says = self.reached() || self.fact.what == What::PaymentLinkCreated;
            return says.then_some(link.medium);
        }
        match (self.flow(), self.fact.what) {
            (Some(journey), _) if self.reached() => journey.medium_at(self.fact),
            (None, What::CallBooked) => Some(PHONE_CALL),
            (None, _) if self.is_welcome() => Some(EMAIL),
            _ => None,
        }
    }

    fn entry_point(&self) -> Option<u8> {
        if self.story.bill().is_some() {
            let says = self.reached() || self.fact.what == What::PaymentLinkCreated;
            let entry_point = if self.fact.part == 0 {
                INVOICE
            } else {
                PAYMENT_REMINDER
            };
            return says.then_some(entry_point);
        }
        match self.flow() {
            Some(journey) if self.reached() => journey.entry_point_at(self.fact),
            None if self.is_welcome() => Some(WELCOME_EMAIL),
            _ => None,
        }
    }

    /// The journey, where the event says which campaign and group it belongs to.
    fn invited(&self) -> Option<&'a Journey> {
        let what = self.fact.what;
        self.flow().filter(|_| what.opens() || what.is_of_invite())
    }

    fn use_case(&self) -> Option<u8> {
        let fact = self.fact;
        match self.story {
            Story::Arrival => None,
            Story::Bill(_) => (fact.what == What::PaymentLinkCreated).then_some(PAYMENT_COLLECTION),
            Story::Journey(journey) => {
                let says = self.on_device() || fact.what == What::CallBooked;
                journey.use_case.filter(|_| says)
            }
        }
    }

    fn country(&self) -> Option<usize> {
        let named = self.story.journey().is_none_or(|journey| journey.country);
        (named && self.on_device()).then_some(usize::from(self.company.country))
    }

    fn placement(&self) -> Option<&'static str> {
        let prompt = PROMPTS[usize::from(self.company.prompt)].name;
        match self.fact.what {
            What::CtaShown | What::CtaClicked | What::CtaDismissed => Some(prompt),
            _ => {
                let journey = self.pitched()?;
                let entry_point = journey.entry_point_at(self.fact)?;
                if journey.prompted && !self.fact.resumed {
                    Some(prompt)
                } else {
                    ENTRY_POINTS[usize::from(entry_point)].placement
                }
            }
        }
    }

    /// Place and name of the screen that the event shows.
    pub(crate) fn screen(&self) -> Option<(u8, &'static str)> {
        match self.fact.detail {
            Detail::Screen(index, name) => Some((index, name)),
            Detail::LinkingScreen => Some((1, "prompt")),
            _ => None,
        }
    }

    /// The person's clicks in the journey so far.
    pub(crate) fn clicks(&self) -> Option<u16> {
        match self.fact.detail {
            Detail::Clicks(clicks) => Some(clicks),
            Detail::Effort(effort) => Some(effort.clicks),
            _ => None,
        }
    }

    /// Whether the linking step of an application is mandatory, where the event says so.
    pub(crate) fn requirement(&self) -> Option<Requirement> {
        let fact = self.fact;
        let says = fact.what == What::ApplicationStarted || fact.detail == Detail::LinkingScreen;
        self.story
            .journey()
            .filter(|_| says)
            .and_then(|journey| journey.application)
    }

    /// The aggregator that the event names.
    pub(crate) fn provider(&self) -> Option<&'static Provider> {
        self.integration()
            .map(|at| &PROVIDERS[usize::from(INTEGRATIONS[at].provider)])
    }

    fn integration(&self) -> Option<usize> {
        self.fact.integration.map(usize::from)
    }
}

fn name(values: &[Value], at: Option<u8>) -> Option<&'static str> {
    at.map(|at| values[usize::from(at)].name)
}
