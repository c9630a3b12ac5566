//! The table of an event's fields (domain.md 3.2): one row a field, everything else follows from it.
//!
//! The decoder, the JSON schema, the table's columns, the names that questions may use and the
//! typo guesses all read this table, so a field is added in one place.

use crate::vocab;

/// The thirteen kinds of id an event can carry, coarse to fine: the first one present is the root
/// of an event that names no company (semantics rule 1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
#[allow(missing_docs, reason = "each variant is the id of the thing it names")]
pub enum IdKind {
    Company,
    User,
    Anonymous,
    Application,
    Journey,
    Invite,
    PaymentLink,
    Session,
    Attempt,
    Connection,
    Consent,
    Payment,
    Call,
}

impl IdKind {
    /// Every kind, coarse to fine.
    pub const ALL: &'static [IdKind] = &[
        IdKind::Company,
        IdKind::User,
        IdKind::Anonymous,
        IdKind::Application,
        IdKind::Journey,
        IdKind::Invite,
        IdKind::PaymentLink,
        IdKind::Session,
        IdKind::Attempt,
        IdKind::Connection,
        IdKind::Consent,
        IdKind::Payment,
        IdKind::Call,
    ];

    /// The word used in questions and in `root_kind`.
    pub const fn as_str(self) -> &'static str {
        self.names().0
    }

    /// The field that carries this id as reported.
    pub const fn field(self) -> Field {
        match self {
            IdKind::Company => Field::CompanyId,
            IdKind::User => Field::UserId,
            IdKind::Anonymous => Field::AnonymousId,
            IdKind::Application => Field::ApplicationId,
            IdKind::Journey => Field::JourneyId,
            IdKind::Invite => Field::InviteId,
            IdKind::PaymentLink => Field::PaymentLinkId,
            IdKind::Session => Field::SessionId,
            IdKind::Attempt => Field::AttemptId,
            IdKind::Connection => Field::ConnectionId,
            IdKind::Consent => Field::ConsentId,
            IdKind::Payment => Field::PaymentId,
            IdKind::Call => Field::CallId,
        }
    }

    /// The column with the 64-bit hash of this id, for grouping.
    pub const fn key_column(self) -> &'static str {
        self.names().1
    }

    const fn names(self) -> (&'static str, &'static str) {
        match self {
            IdKind::Company => ("company", "company_key"),
            IdKind::User => ("user", "user_key"),
            IdKind::Anonymous => ("anonymous", "anonymous_key"),
            IdKind::Application => ("application", "application_key"),
            IdKind::Journey => ("journey", "journey_key"),
            IdKind::Invite => ("invite", "invite_key"),
            IdKind::PaymentLink => ("payment_link", "payment_link_key"),
            IdKind::Session => ("session", "session_key"),
            IdKind::Attempt => ("attempt", "attempt_key"),
            IdKind::Connection => ("connection", "connection_key"),
            IdKind::Consent => ("consent", "consent_key"),
            IdKind::Payment => ("payment", "payment_key"),
            IdKind::Call => ("call", "call_key"),
        }
    }
}

/// What a field may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldKind {
    /// An opaque id of one kind, 1–128 characters.
    Id(IdKind),
    /// Free text of at most `max` bytes. `few` values are expected where it is set (stored as a
    /// dictionary).
    Text {
        /// Largest length in bytes.
        max: usize,
        /// Whether few distinct values are expected.
        few: bool,
    },
    /// One word of a closed list.
    Vocab(&'static [&'static str]),
    /// `true` or `false`.
    Bool,
    /// A whole number within bounds, both included.
    Int {
        /// Least value.
        min: i64,
        /// Largest value.
        max: i64,
    },
    /// An RFC 3339 instant, kept in µs since the epoch.
    Instant,
    /// A list of short texts.
    Texts {
        /// Largest number of items.
        max_items: usize,
    },
}

/// When in a journey a field gets its value, which decides how it breaks a funnel down
/// (semantics rule 17).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Known when the clock starts: the value at the clock's first event.
    Entry,
    /// The first defined value inside the window.
    FirstInWindow,
    /// Chosen on the way: each value chosen inside the window is a segment of its own.
    Chosen,
}

const fn text(max: usize) -> FieldKind {
    FieldKind::Text { max, few: false }
}
const fn few(max: usize) -> FieldKind {
    FieldKind::Text { max, few: true }
}
const fn int(min: i64, max: i64) -> FieldKind {
    FieldKind::Int { min, max }
}
const COUNT: FieldKind = int(0, i64::MAX);
const U8: FieldKind = int(0, u8::MAX as i64);
const U16: FieldKind = int(0, u16::MAX as i64);

macro_rules! fields {
    ($( $field:ident $path:literal $column:literal $kind:expr; )+) => {
        /// A field of an event.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        #[allow(missing_docs, reason = "each variant is named by its path in the event")]
        pub enum Field { $( $field ),+ }

        impl Field {
            /// Every field, in the order of the table's columns.
            pub const ALL: &'static [Field] = &[ $( Field::$field ),+ ];

            /// The name in the event, with dots for nesting: `integration.key`.
            pub const fn path(self) -> &'static str {
                match self { $( Field::$field => $path ),+ }
            }

            /// The column in the table: `integration_key`.
            pub const fn column(self) -> &'static str {
                match self { $( Field::$field => $column ),+ }
            }

            /// What the field may hold.
            pub const fn kind(self) -> FieldKind {
                match self { $( Field::$field => $kind ),+ }
            }

            /// The field with exactly this path.
            pub fn from_path(path: &str) -> Option<Field> {
                match path { $( $path => Some(Field::$field), )+ _ => None }
            }
        }
    };
}

fields! {
    SchemaVersion "schema_version" "schema_version" few(16);
    EventId "event_id" "event_id" text(128);
    Event "event" "event" few(71);
    OccurredAt "occurred_at" "occurred_at" FieldKind::Instant;
    ReceivedAt "received_at" "received_at" FieldKind::Instant;
    Seq "seq" "seq" COUNT;
    Source "source" "source" FieldKind::Vocab(vocab::Source::WORDS);
    SourceEventId "source_event_id" "source_event_id" text(128);
    SourceEventType "source_event_type" "source_event_type" few(128);
    Environment "environment" "environment" FieldKind::Vocab(vocab::Environment::WORDS);
    Traffic "traffic" "traffic" FieldKind::Vocab(vocab::Traffic::WORDS);
    TenantId "tenant_id" "tenant_id" few(64);
    CompanyId "company_id" "company_id" FieldKind::Id(IdKind::Company);
    UserId "user_id" "user_id" FieldKind::Id(IdKind::User);
    AnonymousId "anonymous_id" "anonymous_id" FieldKind::Id(IdKind::Anonymous);
    ActorRole "actor_role" "actor_role" FieldKind::Vocab(vocab::ActorRole::WORDS);
    SessionId "session_id" "session_id" FieldKind::Id(IdKind::Session);
    JourneyId "journey_id" "journey_id" FieldKind::Id(IdKind::Journey);
    AttemptId "attempt_id" "attempt_id" FieldKind::Id(IdKind::Attempt);
    ConnectionId "connection_id" "connection_id" FieldKind::Id(IdKind::Connection);
    ConsentId "consent_id" "consent_id" FieldKind::Id(IdKind::Consent);
    InviteId "invite_id" "invite_id" FieldKind::Id(IdKind::Invite);
    PaymentLinkId "payment_link_id" "payment_link_id" FieldKind::Id(IdKind::PaymentLink);
    PaymentId "payment_id" "payment_id" FieldKind::Id(IdKind::Payment);
    ApplicationId "application_id" "application_id" FieldKind::Id(IdKind::Application);
    CallId "call_id" "call_id" FieldKind::Id(IdKind::Call);
    Kind "kind" "kind" FieldKind::Vocab(vocab::Kind::WORDS);
    InvoiceRef "invoice_ref" "invoice_ref" text(128);
    JourneyType "journey_type" "journey_type" FieldKind::Vocab(vocab::JourneyType::WORDS);
    Category "category" "category" FieldKind::Vocab(vocab::Category::WORDS);
    Provider "provider" "provider" FieldKind::Vocab(vocab::Provider::WORDS);
    IntegrationKey "integration.key" "integration_key" few(128);
    IntegrationName "integration.name" "integration_name" few(128);
    IntegrationSourceId "integration.source_id" "integration_source_id" few(128);
    IntegrationKind "integration.kind" "integration_kind" FieldKind::Vocab(vocab::IntegrationKind::WORDS);
    Surface "surface" "surface" FieldKind::Vocab(vocab::Surface::WORDS);
    Medium "medium" "medium" FieldKind::Vocab(vocab::Medium::WORDS);
    EntryPoint "entry_point" "entry_point" FieldKind::Vocab(vocab::EntryPoint::WORDS);
    OriginEntryPoint "origin_entry_point" "origin_entry_point" FieldKind::Vocab(vocab::EntryPoint::WORDS);
    CampaignId "campaign_id" "campaign_id" few(128);
    TargetGroup "target_group" "target_group" few(128);
    UseCase "use_case" "use_case" FieldKind::Vocab(vocab::UseCase::WORDS);
    ReportingPeriod "reporting_period" "reporting_period" few(32);
    FlowConfigHash "flow_config_hash" "flow_config_hash" few(128);
    CtaId "cta.id" "cta_id" few(128);
    CtaPlacement "cta.placement" "cta_placement" FieldKind::Vocab(vocab::CtaPlacement::WORDS);
    CtaPosition "cta.position" "cta_position" U8;
    StepName "step.name" "step_name" FieldKind::Vocab(vocab::StepName::WORDS);
    StepIndex "step.index" "step_index" U8;
    StepTotal "step.total" "step_total" U8;
    StepRequirement "step.requirement" "step_requirement" FieldKind::Vocab(vocab::Requirement::WORDS);
    Outcome "outcome" "outcome" FieldKind::Vocab(vocab::Outcome::WORDS);
    ReasonClass "reason.class" "reason_class" FieldKind::Vocab(vocab::ReasonClass::WORDS);
    ReasonCode "reason.code" "reason_code" few(64);
    ReasonVendorCode "reason.vendor_code" "reason_vendor_code" few(128);
    ReasonVendorMessageHash "reason.vendor_message_hash" "reason_vendor_message_hash" few(128);
    ReasonStage "reason.stage" "reason_stage" FieldKind::Vocab(vocab::StepName::WORDS);
    ReasonAttribution "reason.attribution" "reason_attribution" FieldKind::Vocab(vocab::Attribution::WORDS);
    ReasonRecoverable "reason.recoverable" "reason_recoverable" FieldKind::Bool;
    ReasonEvidence "reason.evidence" "reason_evidence" FieldKind::Vocab(vocab::Evidence::WORDS);
    AuthMethod "auth.method" "auth_method" FieldKind::Vocab(vocab::AuthMethod::WORDS);
    ScaRequired "sca.required" "sca_required" FieldKind::Bool;
    ScaMethod "sca.method" "sca_method" FieldKind::Vocab(vocab::ScaMethod::WORDS);
    ScaRound "sca.round" "sca_round" U8;
    ConsentAction "consent.action" "consent_action" FieldKind::Vocab(vocab::ConsentAction::WORDS);
    ConsentTextHash "consent.text_hash" "consent_text_hash" few(128);
    ConsentTextVersion "consent.text_version" "consent_text_version" few(64);
    ConsentPurposes "consent.purposes" "consent_purposes" FieldKind::Texts { max_items: 32 };
    ConsentDataTypes "consent.data_types" "consent_data_types" FieldKind::Texts { max_items: 64 };
    ConsentAccess "consent.access" "consent_access" FieldKind::Vocab(vocab::ConsentAccess::WORDS);
    ConsentDuration "consent.duration" "consent_duration" FieldKind::Vocab(vocab::ConsentDuration::WORDS);
    ConsentValidUntil "consent.valid_until" "consent_valid_until" FieldKind::Instant;
    ConsentExclusions "consent.exclusions" "consent_exclusions" FieldKind::Bool;
    ConsentActor "consent.actor" "consent_actor" FieldKind::Vocab(vocab::ConsentActor::WORDS);
    MessagingValueProp "messaging.value_prop" "messaging_value_prop" FieldKind::Bool;
    MessagingPurpose "messaging.purpose" "messaging_purpose" FieldKind::Bool;
    MessagingSecurity "messaging.security" "messaging_security" FieldKind::Bool;
    MessagingRevocation "messaging.revocation" "messaging_revocation" FieldKind::Bool;
    MessagingTimeEstimate "messaging.time_estimate" "messaging_time_estimate" FieldKind::Bool;
    MessagingFaq "messaging.faq" "messaging_faq" FieldKind::Bool;
    MessagingSocialProof "messaging.social_proof" "messaging_social_proof" FieldKind::Bool;
    MessagingMandatoryLabel "messaging.mandatory_label" "messaging_mandatory_label" FieldKind::Bool;
    MessagingVariant "messaging.variant" "messaging_variant" few(64);
    IncentiveType "incentive.type" "incentive_type" FieldKind::Vocab(vocab::IncentiveType::WORDS);
    IncentiveValueMinor "incentive.value_minor" "incentive_value_minor" COUNT;
    IncentiveCurrency "incentive.currency" "incentive_currency" few(3);
    IncentiveOfferId "incentive.offer_id" "incentive_offer_id" few(128);
    DeviceClass "device.class" "device_class" FieldKind::Vocab(vocab::DeviceClass::WORDS);
    DeviceOs "device.os" "device_os" few(64);
    DeviceBrowser "device.browser" "device_browser" few(64);
    DeviceAppVersion "device.app_version" "device_app_version" few(64);
    DeviceWebview "device.webview" "device_webview" FieldKind::Bool;
    Locale "locale" "locale" few(35);
    Country "country" "country" few(2);
    Region "region" "region" few(16);
    CountersClicks "counters.clicks" "counters_clicks" COUNT;
    CountersActions "counters.actions" "counters_actions" COUNT;
    CountersFieldsTotal "counters.fields_total" "counters_fields_total" COUNT;
    CountersFieldsPrefilled "counters.fields_prefilled" "counters_fields_prefilled" COUNT;
    CountersDurationMs "counters.duration_ms" "counters_duration_ms" COUNT;
    CountersActiveMs "counters.active_ms" "counters_active_ms" COUNT;
    CountersReminders "counters.reminders" "counters_reminders" COUNT;
    SyncScope "sync.scope" "sync_scope" FieldKind::Vocab(vocab::SyncScope::WORDS);
    SyncDataType "sync.data_type" "sync_data_type" few(64);
    SyncStatus "sync.status" "sync_status" FieldKind::Vocab(vocab::SyncStatus::WORDS);
    SyncRecords "sync.records" "sync_records" COUNT;
    PaymentAmountMinor "payment.amount_minor" "payment_amount_minor" COUNT;
    PaymentAmountBucket "payment.amount_bucket" "payment_amount_bucket" few(32);
    PaymentCurrency "payment.currency" "payment_currency" few(3);
    PaymentMethod "payment.method" "payment_method" FieldKind::Vocab(vocab::PaymentMethod::WORDS);
    PaymentScheme "payment.scheme" "payment_scheme" few(64);
    PaymentDaysOverdue "payment.days_overdue" "payment_days_overdue" int(-36_500, 36_500);
    PaymentReminderNo "payment.reminder_no" "payment_reminder_no" U16;
    PaymentBulk "payment.bulk" "payment_bulk" FieldKind::Bool;
    AccountCount "account_count" "account_count" U16;
    EntityCount "entity_count" "entity_count" U16;
    PrivacyBasis "privacy.basis" "privacy_basis" FieldKind::Vocab(vocab::PrivacyBasis::WORDS);
    PrivacyAnalyticsConsent "privacy.analytics_consent" "privacy_analytics_consent" FieldKind::Vocab(vocab::AnalyticsConsent::WORDS);
    PrivacyKeyId "privacy.key_id" "privacy_key_id" few(64);
    PrivacyRetentionClass "privacy.retention_class" "privacy_retention_class" FieldKind::Vocab(vocab::RetentionClass::WORDS);
    IngestBatchId "ingest.batch_id" "ingest_batch_id" text(128);
    IngestSignatureOk "ingest.signature_ok" "ingest_signature_ok" FieldKind::Bool;
    IngestLate "ingest.late" "ingest_late" FieldKind::Bool;
    IngestBackfill "ingest.backfill" "ingest_backfill" FieldKind::Bool;
}

impl Field {
    /// The field a question means: its path, or a short word for the leading part of a group
    /// (`integration` for `integration.key`, `reason` for `reason.code`, …).
    pub fn parse(name: &str) -> Option<Field> {
        Field::from_path(name).or(match name {
            "integration" => Some(Field::IntegrationKey),
            "reason" => Some(Field::ReasonCode),
            "step" => Some(Field::StepName),
            "cta" => Some(Field::CtaId),
            "device" => Some(Field::DeviceClass),
            "incentive" => Some(Field::IncentiveType),
            _ => None,
        })
    }

    /// The path that an unknown name was probably meant to be; `None` when nothing is near.
    pub fn guess(name: &str) -> Option<&'static str> {
        nearest(name, Field::ALL.iter().map(|f| f.path()))
    }

    /// When in a journey the field gets its value; `None` for what cannot break a funnel down
    /// (ids, times, lists, server fields).
    pub fn moment(self) -> Option<Moment> {
        use Field as F;
        match self {
            F::IntegrationKey
            | F::IntegrationName
            | F::IntegrationSourceId
            | F::IntegrationKind
            | F::Provider
            | F::AuthMethod
            | F::ScaMethod => Some(Moment::Chosen),
            F::Category => Some(Moment::FirstInWindow),
            F::SchemaVersion
            | F::EventId
            | F::Event
            | F::SourceEventId
            | F::TenantId
            | F::InvoiceRef
            | F::Seq
            | F::IngestBatchId
            | F::PrivacyKeyId => None,
            _ => match self.kind() {
                FieldKind::Id(_) | FieldKind::Instant | FieldKind::Texts { .. } => None,
                _ => Some(Moment::Entry),
            },
        }
    }

    /// Whether a word this field does not know is kept as `other`. Not where a guess could do harm:
    /// an unknown environment or consent is refused.
    pub fn takes_other(self) -> bool {
        matches!(self.kind(), FieldKind::Vocab(_))
            && !matches!(self, Field::Environment | Field::PrivacyAnalyticsConsent)
    }

    /// The names of nested objects: `integration`, `cta`, ….
    pub fn is_group(name: &str) -> bool {
        matches!(
            name,
            "integration"
                | "cta"
                | "step"
                | "reason"
                | "auth"
                | "sca"
                | "consent"
                | "messaging"
                | "incentive"
                | "device"
                | "counters"
                | "sync"
                | "payment"
                | "privacy"
                | "ingest"
        )
    }
}

/// The candidate nearest to `name` by edit distance, if one is near enough to be a typo of it.
pub fn nearest<'c>(name: &str, candidates: impl Iterator<Item = &'c str>) -> Option<&'c str> {
    let allowed = if name.len() <= 4 {
        1
    } else {
        1 + name.len() / 5
    };
    candidates
        .map(|c| (strsim::damerau_levenshtein(name, c), c))
        .filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, c)| c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_is_its_path_with_underscores_and_every_path_parses_back() {
        for field in Field::ALL {
            assert_eq!(field.column(), field.path().replace('.', "_"));
            assert_eq!(Field::from_path(field.path()), Some(*field));
        }
    }

    #[test]
    fn dots_occur_only_below_known_groups() {
        for field in Field::ALL {
            if let Some((group, _)) = field.path().split_once('.') {
                assert!(Field::is_group(group), "{group}");
            }
        }
    }

    #[test]
    fn a_typo_is_guessed_and_nonsense_is_not() {
        assert_eq!(Field::guess("occured_at"), Some("occurred_at"));
        assert_eq!(Field::guess("integration.kye"), Some("integration.key"));
        assert_eq!(Field::guess("zzzzzz"), None);
    }

    #[test]
    fn id_kinds_and_fields_point_at_each_other() {
        for kind in IdKind::ALL {
            assert_eq!(kind.field().kind(), FieldKind::Id(*kind));
            assert_eq!(kind.key_column(), format!("{}_key", kind.as_str()));
        }
    }
}
