//! The closed vocabularies of an event (which words a field may hold).
//!
//! Every enum keeps its words in one table: `ALL`, `as_str`, `parse`, `Display` and the JSON
//! schema come from it. A word that an enum does not know becomes its `other` where it has one
//! (the decoder keeps the raw text in `attrs` as `raw.FIELD`); an enum without `other` refuses it.

/// Declares an enum whose variants are words on the wire.
macro_rules! vocabulary {
    ($( $(#[$meta:meta])* $name:ident { $( $variant:ident = $word:literal ),+ $(,)? } )+) => { $(
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[allow(missing_docs, reason = "each variant is documented by its word on the wire")]
        pub enum $name { $( $variant ),+ }

        impl $name {
            /// Every value, in declaration order.
            pub const ALL: &'static [$name] = &[ $( $name::$variant ),+ ];
            /// The words on the wire, in the order of [`Self::ALL`].
            pub const WORDS: &'static [&'static str] = &[ $( $word ),+ ];

            /// The word on the wire.
            pub const fn as_str(self) -> &'static str {
                match self { $( $name::$variant => $word ),+ }
            }

            /// The value a word stands for; `None` for a word outside the vocabulary.
            pub fn parse(word: &str) -> Option<Self> {
                match word { $( $word => Some($name::$variant), )+ _ => None }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let word = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                Self::parse(&word).ok_or_else(|| serde::de::Error::unknown_variant(&word, Self::WORDS))
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "enum": Self::WORDS })
            }
        }

        impl From<$name> for crate::event::Value<'_> {
            fn from(word: $name) -> Self {
                crate::event::Value::Vocab(word.as_str())
            }
        }
    )+ };
}

vocabulary! {
    /// Names of events (domain.md 3.3). `custom.<name>` stands beside them as free text.
    EventName {
        VisitLanded = "visit.landed", SignupStarted = "signup.started",
        SignupCompleted = "signup.completed", CompanyCreated = "company.created",
        InviteCreated = "invite.created", InviteSent = "invite.sent",
        InviteDelivered = "invite.delivered", InviteDeliveryFailed = "invite.delivery_failed",
        InviteOpened = "invite.opened", InviteClicked = "invite.clicked",
        InviteExpired = "invite.expired", InviteReused = "invite.reused",
        CtaShown = "cta.shown", CtaClicked = "cta.clicked", CtaDismissed = "cta.dismissed",
        HelpOpened = "help.opened", GuideViewed = "guide.viewed",
        JourneyStarted = "journey.started", StepViewed = "step.viewed",
        StepCompleted = "step.completed", StepSkipped = "step.skipped",
        JourneyPaused = "journey.paused", JourneyDelegated = "journey.delegated",
        JourneyResumed = "journey.resumed", ExitPrompted = "exit.prompted",
        ExitDeclined = "exit.declined", JourneyCompleted = "journey.completed",
        AttemptOpened = "attempt.opened", ProviderSearched = "provider.searched",
        ProviderNotFound = "provider.not_found", ProviderUnavailable = "provider.unavailable",
        ProviderSelected = "provider.selected", ConsentViewed = "consent.viewed",
        ConsentGranted = "consent.granted", ConsentDenied = "consent.denied",
        HandoffStarted = "handoff.started", CredentialsSubmitted = "credentials.submitted",
        ScaChallenged = "sca.challenged", ScaPassed = "sca.passed",
        HandoffReturned = "handoff.returned", AccountSelected = "account.selected",
        EntityMismatchWarned = "entity.mismatch_warned", AttemptErrored = "attempt.errored",
        AttemptFailed = "attempt.failed", AttemptExited = "attempt.exited",
        ConnectionLinked = "connection.linked", FileUploaded = "file.uploaded",
        ManualEntered = "manual.entered",
        ConnectionPending = "connection.pending", ConnectionExpiring = "connection.expiring",
        ConnectionDegraded = "connection.degraded", ConnectionRepaired = "connection.repaired",
        ConnectionDeauthorized = "connection.deauthorized",
        ConnectionUnlinked = "connection.unlinked", ConnectionRelinked = "connection.relinked",
        ConnectionDeleted = "connection.deleted", ConsentRenewed = "consent.renewed",
        ConsentReconfirmed = "consent.reconfirmed", ConsentRevoked = "consent.revoked",
        ConsentExpired = "consent.expired",
        SyncStarted = "sync.started", SyncDatasetCompleted = "sync.dataset_completed",
        SyncInitialCompleted = "sync.initial_completed", SyncFailed = "sync.failed",
        PrefillApplied = "prefill.applied", ValueFirstDelivered = "value.first_delivered",
        WriteSucceeded = "write.succeeded", WriteFailed = "write.failed",
        PaymentLinkCreated = "payment_link.created", PaymentLinkOpened = "payment_link.opened",
        PaymentMethodChosen = "payment.method_chosen",
        PaymentBankSelected = "payment.bank_selected",
        PaymentAuthorizing = "payment.authorizing", PaymentAuthorized = "payment.authorized",
        PaymentAttemptFailed = "payment.attempt_failed", PaymentExecuted = "payment.executed",
        PaymentSettled = "payment.settled", PaymentFailed = "payment.failed",
        PaymentManualDeclared = "payment.manual_declared",
        PaymentLinkCompleted = "payment_link.completed",
        PaymentLinkExpired = "payment_link.expired", PaymentLinkRevoked = "payment_link.revoked",
        InvoicePaid = "invoice.paid",
        CallBooked = "call.booked", CallHeld = "call.held",
        SupportContacted = "support.contacted", ObjectionRecorded = "objection.recorded",
        ApplicationStarted = "application.started", ApplicationSubmitted = "application.submitted",
        ApplicationDecided = "application.decided", PeriodOpened = "period.opened",
        IdentityCheckPassed = "identity_check.passed", IdentityCheckFailed = "identity_check.failed",
        ExperimentAssigned = "experiment.assigned", ExperimentExposed = "experiment.exposed",
        IdentityLinked = "identity.linked", PreferenceOptOut = "preference.opt_out",
        DataDeletionRequested = "data.deletion_requested", DataErased = "data.erased",
        VendorUnmapped = "vendor.unmapped",
    }
    /// Where an event comes from.
    Source {
        FirstPartyWeb = "first_party_web", FirstPartyServer = "first_party_server",
        EmailProvider = "email_provider", Crm = "crm", AgentForm = "agent_form", Import = "import",
        CodatSdk = "codat.sdk", CodatWebhook = "codat.webhook", CodatRedirect = "codat.redirect",
        PlaidSdk = "plaid.sdk", PlaidWebhook = "plaid.webhook", StripeWebhook = "stripe.webhook",
        BridgeCallback = "bridge.callback", BridgeWebhook = "bridge.webhook",
        TruelayerSdk = "truelayer.sdk", TruelayerWebhook = "truelayer.webhook",
        TinkCallback = "tink.callback", TinkWebhook = "tink.webhook", Mx = "mx",
        Mastercard = "mastercard", Finch = "finch", Merge = "merge", Gocardless = "gocardless",
        Yapily = "yapily", Powens = "powens", Nango = "nango", Other = "other",
    }
    /// Real traffic or a vendor's sandbox; never mixed in a report.
    Environment { Live = "live", Sandbox = "sandbox" }
    /// Who caused the event.
    Traffic { Human = "human", Internal = "internal", Bot = "bot", Test = "test" }
    /// The part a person plays in the journey.
    ActorRole {
        Owner = "owner", Admin = "admin", Employee = "employee", Accountant = "accountant",
        Payer = "payer", Agent = "agent", System = "system",
    }
    /// What an invitation or prompt is for.
    Kind {
        Link = "link", Payment = "payment", Reconnect = "reconnect", Welcome = "welcome",
        Reminder = "reminder", AddAnother = "add_another", Other = "other",
    }
    /// What a journey is for.
    JourneyType {
        FirstLink = "first_link", AdditionalLink = "additional_link", Reconnect = "reconnect",
        Reconfirm = "reconfirm", AdditionalConsent = "additional_consent",
        FileUpload = "file_upload", Payment = "payment", Manage = "manage",
        Application = "application",
    }
    /// Integration category (domain.md 3.4).
    Category {
        Accounting = "accounting", Banking = "banking", Commerce = "commerce",
        PayrollHris = "payroll_hris", Expense = "expense", BankFeed = "bank_feed",
        BusinessDocuments = "business_documents", Payment = "payment", Crm = "crm", Erp = "erp",
        Tax = "tax", Other = "other", Unknown = "unknown",
    }
    /// The aggregator between the company and its software.
    Provider {
        Codat = "codat", Plaid = "plaid", StripeFc = "stripe_fc", Bridge = "bridge",
        Truelayer = "truelayer", Tink = "tink", Yapily = "yapily", Gocardless = "gocardless",
        Mx = "mx", Mastercard = "mastercard", Finch = "finch", Merge = "merge", Powens = "powens",
        Saltedge = "saltedge", Nango = "nango", Direct = "direct", Other = "other",
    }
    /// What sort of end platform an integration is.
    IntegrationKind {
        Bank = "bank", SmbAccounting = "smb_accounting", Erp = "erp", Ecommerce = "ecommerce",
        Psp = "psp", Payroll = "payroll", Hris = "hris", Other = "other",
    }
    /// Where the journey is shown.
    Surface {
        EmbeddedSdk = "embedded_sdk", OwnUiApi = "own_ui_api", HostedPage = "hosted_page",
        PortalLink = "portal_link", PaymentPage = "payment_page", AssistedCall = "assisted_call",
        ManageScreen = "manage_screen",
    }
    /// How the company was reached.
    Medium {
        InApp = "in_app", Email = "email", Sms = "sms", QrCode = "qr_code",
        InvoiceDocument = "invoice_document", PhoneCall = "phone_call", Chat = "chat",
        Push = "push", Partner = "partner", DirectUrl = "direct_url",
    }
    /// The place in the product that led into the journey (domain.md 3.5).
    EntryPoint {
        SignupConfirmation = "signup_confirmation", WelcomeEmail = "welcome_email",
        OnboardingChecklist = "onboarding_checklist", DashboardCenter = "dashboard_center",
        MainMenu = "main_menu", SubMenu = "sub_menu", Settings = "settings",
        FeatureGate = "feature_gate", ApplicationForm = "application_form",
        OfferBanner = "offer_banner", NeedTrigger = "need_trigger", EmptyChart = "empty_chart",
        Reminder = "reminder", ExpiryNotice = "expiry_notice",
        BrokenConnectionBanner = "broken_connection_banner", ManageScreen = "manage_screen",
        Invoice = "invoice", PaymentReminder = "payment_reminder",
        CampaignIntroLink = "campaign_intro_link", RelationshipManager = "relationship_manager",
        Support = "support", Partner = "partner", Unknown = "unknown",
    }
    /// Why the lender asks for the data.
    UseCase {
        UrgentCash = "urgent_cash", Opportunity = "opportunity", Revolving = "revolving",
        Covenant = "covenant", Onboarding = "onboarding", Monitoring = "monitoring",
        SpendProgramme = "spend_programme", PaymentCollection = "payment_collection",
        Other = "other",
    }
    /// Where a call to action stands.
    CtaPlacement {
        Center = "center", MainMenu = "main_menu", SubMenu = "sub_menu", Settings = "settings",
        Banner = "banner", Modal = "modal", Checklist = "checklist", EmailBody = "email_body",
        Footer = "footer", Inline = "inline", Other = "other",
    }
    /// Rungs of the journey's ladder (domain.md 3.6), with those of payments and renewals.
    StepName {
        Prompt = "prompt", Landing = "landing", CategorySelection = "category_selection",
        ProviderSelection = "provider_selection", Consent = "consent", Handoff = "handoff",
        Authentication = "authentication", Sca = "sca",
        AccountOrEntitySelection = "account_or_entity_selection", Return = "return",
        Confirmation = "confirmation", AddAnother = "add_another", Finish = "finish",
        Open = "open", Method = "method", BankSelection = "bank_selection",
        Redirect = "redirect", Confirm = "confirm", Executed = "executed", Settled = "settled",
        Notice = "notice", Click = "click", Reauth = "reauth", Relinked = "relinked",
        Other = "other",
    }
    /// Whether the host demands the step.
    Requirement { Required = "required", Optional = "optional", Unknown = "unknown" }
    /// How the vendor or host judged what the event ended.
    Outcome {
        InProgress = "in_progress", Success = "success", Partial = "partial", Skipped = "skipped",
        Cancelled = "cancelled", Failed = "failed", Rejected = "rejected", Expired = "expired",
        Pending = "pending", Delegated = "delegated",
    }
    /// Classes of reasons (domain.md 3.7).
    ReasonClass {
        UserChoice = "user_choice", Trust = "trust", Permission = "permission", Entity = "entity",
        Platform = "platform", Authentication = "authentication", Delivery = "delivery",
        Effort = "effort", Value = "value", Technical = "technical", Lifecycle = "lifecycle",
        Payment = "payment", Data = "data", Other = "other",
    }
    /// Whose doing a reason is.
    Attribution {
        User = "user", CustomerOrg = "customer_org", Institution = "institution",
        Provider = "provider", ClientApp = "client_app", Network = "network",
        Regulator = "regulator", Unknown = "unknown",
    }
    /// What a reason rests on.
    Evidence {
        VendorCode = "vendor_code", RedirectParam = "redirect_param",
        SelfReported = "self_reported", AgentRecorded = "agent_recorded", Inferred = "inferred",
    }
    /// How the company proves itself to the end platform.
    AuthMethod {
        OauthRedirect = "oauth_redirect", AppToApp = "app_to_app",
        EmbeddedCredentials = "embedded_credentials", DecoupledApp = "decoupled_app",
        ApiToken = "api_token", Assisted = "assisted", BundleInstall = "bundle_install",
        DesktopConnector = "desktop_connector", ManualEntry = "manual_entry",
        FileUpload = "file_upload",
    }
    /// Method of strong customer authentication.
    ScaMethod {
        OtpSms = "otp_sms", OtpApp = "otp_app", Push = "push", Biometric = "biometric",
        CardReader = "card_reader", Questions = "questions", Selections = "selections",
        Device = "device", Unknown = "unknown",
    }
    /// What happened to a consent.
    ConsentAction {
        Granted = "granted", Denied = "denied", Renewed = "renewed", Reconfirmed = "reconfirmed",
        Revoked = "revoked", Expired = "expired", Extended = "extended",
    }
    /// What a consent lets the recipient do.
    ConsentAccess { Read = "read", Write = "write", ReadWrite = "read_write" }
    /// How long a consent lasts.
    ConsentDuration { OneOff = "one_off", Continuous = "continuous" }
    /// Who acted on a consent.
    ConsentActor {
        UserInApp = "user_in_app", UserAtSource = "user_at_source", Client = "client",
        Institution = "institution", System = "system",
    }
    /// What is offered for linking.
    IncentiveType {
        None = "none", Rebate = "rebate", FeeWaiver = "fee_waiver",
        RateDiscount = "rate_discount", Cash = "cash", FasterDecision = "faster_decision",
        Gift = "gift", Other = "other",
    }
    /// What an experiment assigns to its variants.
    ExperimentUnit { Company = "company", User = "user", Session = "session", Journey = "journey" }
    /// Coarse class of device.
    DeviceClass { Desktop = "desktop", Mobile = "mobile", Tablet = "tablet", Other = "other" }
    /// First load or refresh.
    SyncScope { Initial = "initial", Incremental = "incremental" }
    /// How a sync stands.
    SyncStatus {
        Queued = "queued", Running = "running", Complete = "complete", Partial = "partial",
        AuthError = "auth_error", PermissionError = "permission_error",
        NotSupported = "not_supported", RateLimited = "rate_limited", Failed = "failed",
    }
    /// How a payment is made.
    PaymentMethod {
        Transfer = "transfer", InstantTransfer = "instant_transfer",
        ManualTransfer = "manual_transfer", Card = "card", DirectDebit = "direct_debit",
        Other = "other",
    }
    /// Legal basis of processing.
    PrivacyBasis {
        Consent = "consent", Contract = "contract", LegitimateInterest = "legitimate_interest",
        ExemptAudience = "exempt_audience", Unknown = "unknown",
    }
    /// Whether analytics may use the event.
    AnalyticsConsent {
        Granted = "granted", Denied = "denied", NotRequired = "not_required", Unknown = "unknown",
    }
    /// How long the rows are kept.
    RetentionClass { Short = "short", Standard = "standard", Evidence = "evidence" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_parses_to_the_value_that_prints_it() {
        for name in EventName::ALL {
            assert_eq!(EventName::parse(name.as_str()), Some(*name));
        }
        assert_eq!(Category::parse("acounting"), None);
    }
}
