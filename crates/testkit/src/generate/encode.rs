//! Facts as canonical JSON (domain.md, 3.2), written straight into one buffer.

use super::catalog::{
    CURRENCY, INCENTIVES, INTEGRATIONS, JOURNEY_TYPES, MESSAGES, METHODS, PROVIDERS, REASONS,
};
use super::company::{Company, Requirement};
use super::dice::mix;
use super::fact::{Detail, Fact, Sender, World, ids};
use super::json::{Group, digits, hex, id, instant, number, text, uuid};
use super::story::Story;
use super::telling::{By, Label, Session, Telling};
use super::what::What;

/// Seconds that a flow says it takes, where it says so.
const PROMISED_S: i64 = 60;

/// Everything one message is written from.
pub(crate) struct Message<'a> {
    pub(crate) world: &'a World,
    pub(crate) tenant: &'a str,
    pub(crate) telling: Telling<'a>,
    /// 0 for the first copy; another event_id for webhooks redelivered under the same source_event_id.
    pub(crate) redelivery: u64,
}

impl Message<'_> {
    /// The message as one JSON object, appended to `out`, with `extra` (`"name":value` pairs, each with a leading comma) at the end.
    pub(crate) fn write(&self, out: &mut Vec<u8>, extra: &str) {
        let fact = self.fact();
        let bits = self.event_bits(0);
        out.extend_from_slice(b"{\"event_id\":\"");
        uuid(
            out,
            fact.at_us,
            bits ^ self.redelivery,
            self.event_bits(self.redelivery + 1),
        );
        out.extend_from_slice(b"\",\"event\":\"");
        out.extend_from_slice(fact.what.as_str().as_bytes());
        out.extend_from_slice(b"\",\"occurred_at\":\"");
        instant(out, fact.at_us);
        out.push(b'"');
        self.write_source(out, bits);
        self.write_ids(out);
        self.write_context(out);
        self.write_dimensions(out);
        self.write_pitch(out);
        self.write_experiments(out);
        self.write_integration(out);
        self.write_reason(out);
        self.write_counters(out);
        self.write_results(out);
        self.write_payment(out);
        self.write_attrs(out);
        self.write_privacy(out);
        out.extend_from_slice(extra.as_bytes());
        out.push(b'}');
    }

    fn fact(&self) -> &Fact {
        self.telling.fact
    }

    fn company(&self) -> &Company {
        self.telling.company
    }

    /// Key of the message: tenant and coarsest id.
    pub(crate) fn key(&self) -> Vec<u8> {
        let mut key = Vec::with_capacity(32);
        key.extend_from_slice(self.tenant.as_bytes());
        let (prefix, number) = match self.telling.story {
            _ if self.fact().ids & ids::COMPANY != 0 => ("/c-", self.company().number),
            Story::Arrival => ("/c-", self.company().number),
            Story::Journey(journey) => ("/J-", journey.number),
            Story::Bill(bill) => ("/pl-", bill.number),
        };
        key.extend_from_slice(prefix.as_bytes());
        digits(&mut key, number);
        key
    }

    fn event_bits(&self, salt: u64) -> u64 {
        let story = self.telling.story.number();
        let place = mix(story ^ mix(self.company().key)) ^ u64::from(self.fact().ordinal);
        mix(place
            .wrapping_add(mix(self.world.config.seed))
            .wrapping_add(mix(salt)))
    }

    fn write_source(&self, out: &mut Vec<u8>, bits: u64) {
        let fact = self.fact();
        let provider = fact
            .integration
            .map(|i| &PROVIDERS[usize::from(INTEGRATIONS[usize::from(i)].provider)]);
        let source = match (fact.sender, provider) {
            (Sender::Sdk, Some(provider)) => provider.sdk,
            (Sender::Webhook, Some(provider)) => provider.webhook,
            (Sender::Web | Sender::Sdk, _) => "first_party_web",
            (Sender::Server | Sender::Webhook, _) => "first_party_server",
            (Sender::Mail, _) => "email_provider",
            (Sender::Agent, _) => "agent_form",
        };
        text(out, "source", source);
        if self.has_source_id() {
            out.extend_from_slice(b",\"source_event_id\":\"");
            hex(out, bits);
            out.push(b'"');
        } else if self.telling.on_device() {
            number(out, "seq", u64::from(fact.ordinal));
        }
        if fact.sender == Sender::Server {
            text(out, "schema_version", "1.0");
        }
    }

    /// Webhooks name the vendor's own event id, which stays the same when the vendor delivers again.
    pub(crate) fn has_source_id(&self) -> bool {
        self.fact().sender == Sender::Webhook
    }

    fn write_ids(&self, out: &mut Vec<u8>) {
        let fact = self.fact();
        let has = |bit| fact.ids & bit != 0;
        if self.tenant != "default" {
            text(out, "tenant_id", self.tenant);
        }
        let company = self.company().number;
        if has(ids::COMPANY) {
            id(out, "company_id", "c-", company, None);
        }
        if has(ids::USER) {
            id(out, "user_id", "u-", company, None);
        }
        if has(ids::ANONYMOUS) {
            id(out, "anonymous_id", "v-", company, None);
        }
        match self.telling.session() {
            None => {}
            Some(Session::Arrival) => id(out, "session_id", "sv-", company, None),
            Some(Session::Journey(journey, resumed)) => {
                id(out, "session_id", "s-", journey, Some(resumed.into()));
            }
            Some(Session::Link(bill, part)) => {
                id(out, "session_id", "sp-", bill, Some(part.into()));
            }
        }
        match self.telling.story {
            Story::Arrival => {
                if has(ids::INVITE) {
                    id(out, "invite_id", "iw-", company, None);
                }
            }
            Story::Journey(journey) => self.write_journey_ids(out, journey.number),
            Story::Bill(bill) => self.write_bill_ids(out, bill.number),
        }
    }

    fn write_journey_ids(&self, out: &mut Vec<u8>, journey: u64) {
        let fact = self.fact();
        let attempt = Some(u64::from(fact.attempt));
        for (bit, name, prefix, part) in [
            (ids::JOURNEY, "journey_id", "J-", None),
            (ids::ATTEMPT, "attempt_id", "a-", attempt),
            (ids::CONNECTION, "connection_id", "cn-", attempt),
            (ids::INVITE, "invite_id", "i-", None),
            (ids::APPLICATION, "application_id", "ap-", None),
            (ids::CALL, "call_id", "call-", Some(u64::from(fact.part))),
        ] {
            if fact.ids & bit != 0 {
                id(out, name, prefix, journey, part);
            }
        }
    }

    /// Of an invoice's links, and the attempts to pay each.
    fn write_bill_ids(&self, out: &mut Vec<u8>, bill: u64) {
        let fact = self.fact();
        let part = u64::from(fact.part);
        let attempt = part * 16 + u64::from(fact.attempt);
        for (bit, name, prefix, part) in [
            (ids::PAYMENT_LINK, "payment_link_id", "pl-", part),
            (ids::INVITE, "invite_id", "ip-", part),
            (ids::ATTEMPT, "attempt_id", "pa-", attempt),
            (ids::PAYMENT, "payment_id", "pay-", attempt),
        ] {
            if fact.ids & bit != 0 {
                id(out, name, prefix, bill, Some(part));
            }
        }
        if matches!(fact.what, What::PaymentLinkCreated | What::InvoicePaid) {
            id(out, "invoice_ref", "in-", bill, None);
        }
    }

    fn write_context(&self, out: &mut Vec<u8>) {
        let sender = self.fact().sender;
        if self.telling.story.sandbox() {
            text(out, "environment", "sandbox");
        } else if sender != Sender::Web {
            text(out, "environment", "live");
        }
        match (self.fact().scanner, self.company().traffic) {
            (true, _) => text(out, "traffic", "bot"),
            (false, Some(traffic)) => text(out, "traffic", traffic),
            (false, None) if sender == Sender::Server => text(out, "traffic", "human"),
            _ => {}
        }
        if sender == Sender::Agent {
            text(out, "actor_role", "agent");
        }
        if let Some(kind) = self.fact().kind {
            text(out, "kind", kind.as_str());
        }
    }

    fn write_dimensions(&self, out: &mut Vec<u8>) {
        match self.telling.story {
            Story::Arrival => {}
            Story::Journey(journey) => {
                if self.telling.flow().is_some() {
                    let journey_type = JOURNEY_TYPES[usize::from(journey.journey_type)];
                    text(out, "journey_type", journey_type);
                }
            }
            Story::Bill(_) => text(out, "journey_type", "payment"),
        }
        for by in [
            By::Category,
            By::Surface,
            By::Medium,
            By::EntryPoint,
            By::CampaignId,
            By::TargetGroup,
            By::UseCase,
            By::Country,
            By::Locale,
        ] {
            if let Some(word) = self.telling.word(by) {
                text(out, by.field(), word);
            }
        }
        let device = self.telling.word(By::Device);
        Group::new(out, "device").text("class", device).end();
        let placement = self.telling.word(By::Placement);
        Group::new(out, "cta").text("placement", placement).end();
    }

    /// What the person was told and offered.
    fn write_pitch(&self, out: &mut Vec<u8>) {
        let mut messaging = Group::new(out, "messaging");
        for (at, element) in (0..).zip(MESSAGES) {
            let shown = self.telling.word(By::Message(at));
            messaging.raw(element.name, shown);
        }
        messaging.end();
        if let Some(incentive) = self.telling.word(By::Incentive) {
            let offered = INCENTIVES.iter().position(|value| value.name == incentive);
            let value = offered.and_then(|at| OFFERED_MINOR[at]);
            Group::new(out, "incentive")
                .text("type", Some(incentive))
                .number("value_minor", value)
                .text("currency", value.map(|_| CURRENCY))
                .end();
        }
    }

    fn write_experiments(&self, out: &mut Vec<u8>) {
        let config = &self.world.config;
        let on_journeys = config.experiment.as_ref().map(|it| it.id.as_str());
        let on_applications = config.mandatory_step.as_ref().map(|it| it.id.as_str());
        let assigned = [
            (on_journeys, self.telling.word(By::Experiment)),
            (on_applications, self.telling.word(By::MandatoryStep)),
        ];
        let mut begun = false;
        for (id, variant) in assigned {
            let (Some(id), Some(variant)) = (id, variant) else {
                continue;
            };
            let before: &[u8] = if begun {
                b",{\"id\":\""
            } else {
                b",\"experiments\":[{\"id\":\""
            };
            begun = true;
            out.extend_from_slice(before);
            out.extend_from_slice(id.as_bytes());
            out.extend_from_slice(b"\",\"variant\":\"");
            out.extend_from_slice(variant.as_bytes());
            out.extend_from_slice(b"\",\"unit\":\"company\",\"exposed\":true}");
        }
        if begun {
            out.push(b']');
        }
    }

    fn write_integration(&self, out: &mut Vec<u8>) {
        let Some(provider) = self.telling.word(By::Provider) else {
            return;
        };
        text(out, "provider", provider);
        let fact = self.fact();
        let name = fact
            .integration
            .filter(|_| fact.what == What::ProviderSelected)
            .map(|at| INTEGRATIONS[usize::from(at)].name);
        Group::new(out, "integration")
            .text("key", self.telling.word(By::Integration))
            .text("name", name)
            .text("kind", self.telling.word(By::IntegrationKind))
            .end();
        let method = self.telling.word(By::AuthMethod);
        Group::new(out, "auth").text("method", method).end();
        let sca = [
            What::ScaChallenged,
            What::ScaPassed,
            What::PaymentAuthorizing,
        ];
        let method = sca.contains(&fact.what).then_some("push");
        Group::new(out, "sca").text("method", method).end();
    }

    fn write_reason(&self, out: &mut Vec<u8>) {
        let fact = self.fact();
        let reason = fact.reason.map(|at| &REASONS[usize::from(at)]);
        if let Some(reason) = reason {
            let recoverable = if reason.recoverable { "true" } else { "false" };
            let heard = fact.sender == Sender::Agent;
            Group::new(out, "reason")
                .text("class", Some(reason.class))
                .text("code", Some(reason.code))
                .text("vendor_code", reason.vendor_code)
                .text("attribution", Some(reason.attribution))
                .text("stage", reason.stage)
                .text("evidence", heard.then_some("agent_recorded"))
                .raw("recoverable", Some(recoverable))
                .end();
        }
        let screen = self.telling.screen();
        let stage = reason.and_then(|reason| reason.stage);
        let requirement = self.telling.requirement().map(Requirement::as_str);
        Group::new(out, "step")
            .text("name", screen.map(|(_, name)| name).or(stage))
            .number("index", screen.map(|(index, _)| i64::from(index)))
            .text("requirement", requirement)
            .end();
    }

    fn write_counters(&self, out: &mut Vec<u8>) {
        let mut counts: [(&str, Option<u32>); 4] = [("", None); 4];
        match self.fact().detail {
            Detail::Clicks(clicks) => counts[0] = ("clicks", Some(clicks.into())),
            Detail::Effort(effort) => {
                counts = [
                    ("clicks", Some(effort.clicks.into())),
                    ("actions", Some(effort.actions.into())),
                    ("duration_ms", Some(effort.duration_ms)),
                    ("active_ms", Some(effort.active_ms)),
                ];
            }
            Detail::Actions(actions) => counts[0] = ("actions", Some(actions.into())),
            Detail::Prefilled(fields, prefilled) => {
                counts[0] = ("fields_total", Some(fields.into()));
                counts[1] = ("fields_prefilled", Some(prefilled.into()));
            }
            Detail::Call(length_ms) => counts[0] = ("duration_ms", Some(length_ms)),
            Detail::Reminded(reminders) => counts[0] = ("reminders", Some(reminders.into())),
            _ => {}
        }
        let mut counters = Group::new(out, "counters");
        for (name, count) in counts {
            counters.number(name, count.map(i64::from));
        }
        counters.end();
    }

    fn write_results(&self, out: &mut Vec<u8>) {
        let fact = self.fact();
        let mut sync = Group::new(out, "sync");
        match (fact.what, fact.detail) {
            (What::SyncStarted, _) => {
                sync.text("scope", Some("initial"));
            }
            (_, Detail::Dataset(data_type, records)) => {
                sync.text("data_type", Some(data_type))
                    .text("status", Some("complete"))
                    .number("records", Some(records.into()));
            }
            (_, Detail::Synced(status)) => {
                sync.text("scope", Some("initial"))
                    .text("status", Some(status));
            }
            _ => {}
        }
        sync.end();
        match (fact.what, fact.detail) {
            (What::ConnectionLinked, _) => text(out, "outcome", "success"),
            (_, Detail::Decision(decision)) => text(out, "outcome", decision),
            _ => {}
        }
    }

    fn write_payment(&self, out: &mut Vec<u8>) {
        if self.telling.story.bill().is_none() {
            return;
        }
        let amount = self.telling.word(By::AmountBucket);
        let number = |by| match self.telling.says(by) {
            Some(Label::Number(number)) => Some(number),
            _ => None,
        };
        let method = match self.fact().detail {
            Detail::Method(method) => Some(METHODS[usize::from(method)]),
            _ => None,
        };
        Group::new(out, "payment")
            .text("amount_bucket", amount)
            .text("currency", amount.map(|_| CURRENCY))
            .number("reminder_no", number(By::ReminderNo))
            .number("days_overdue", number(By::DaysOverdue))
            .text("method", method)
            .end();
    }

    fn write_attrs(&self, out: &mut Vec<u8>) {
        if !writes_attrs(self.fact().what) {
            return;
        }
        let promises = self.telling.word(By::Message(4)) == Some("true");
        let load_ms = i64::try_from(120 + self.event_bits(7) % 900).unwrap_or(0);
        Group::new(out, "attrs")
            .text("platform", Some("web été"))
            .number("page_load_ms", Some(load_ms))
            .number("promised_s", promises.then_some(PROMISED_S))
            .end();
    }

    fn write_privacy(&self, out: &mut Vec<u8>) {
        let consent = if self.company().denied {
            Some("denied")
        } else if self.fact().sender == Sender::Server {
            Some("not_required")
        } else {
            None
        };
        Group::new(out, "privacy")
            .text("analytics_consent", consent)
            .end();
    }
}

/// Whether such events have attributes of their own.
pub(crate) fn writes_attrs(what: What) -> bool {
    what == What::JourneyStarted
}

/// What an incentive is worth, in minor units, in the order of INCENTIVES.
const OFFERED_MINOR: [Option<i64>; 5] = [None, Some(5_000), Some(3_000), Some(10_000), None];

/// Name of a variant.
pub(crate) fn variant_name(variant: u8) -> &'static str {
    if variant == 0 { "control" } else { "treatment" }
}
