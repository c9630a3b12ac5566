//! The events the generator makes.

macro_rules! names {
    ($($variant:ident = $name:literal),+ $(,)?) => {
        /// An event name that the generator uses.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub(crate) enum What { $($variant),+ }

        impl What {
            /// As in the event.
            pub(crate) fn as_str(self) -> &'static str {
                match self { $(What::$variant => $name),+ }
            }
        }
    };
}

names! {
    VisitLanded = "visit.landed",
    SignupCompleted = "signup.completed",
    InviteCreated = "invite.created",
    InviteSent = "invite.sent",
    InviteDelivered = "invite.delivered",
    InviteDeliveryFailed = "invite.delivery_failed",
    InviteOpened = "invite.opened",
    InviteClicked = "invite.clicked",
    InviteExpired = "invite.expired",
    InviteReused = "invite.reused",
    CtaShown = "cta.shown",
    CtaClicked = "cta.clicked",
    CtaDismissed = "cta.dismissed",
    HelpOpened = "help.opened",
    JourneyStarted = "journey.started",
    StepViewed = "step.viewed",
    StepSkipped = "step.skipped",
    JourneyPaused = "journey.paused",
    JourneyDelegated = "journey.delegated",
    JourneyResumed = "journey.resumed",
    JourneyCompleted = "journey.completed",
    AttemptOpened = "attempt.opened",
    ProviderSearched = "provider.searched",
    ProviderNotFound = "provider.not_found",
    ProviderUnavailable = "provider.unavailable",
    ProviderSelected = "provider.selected",
    ConsentGranted = "consent.granted",
    ConsentDenied = "consent.denied",
    HandoffStarted = "handoff.started",
    CredentialsSubmitted = "credentials.submitted",
    ScaChallenged = "sca.challenged",
    ScaPassed = "sca.passed",
    AccountSelected = "account.selected",
    AttemptErrored = "attempt.errored",
    AttemptFailed = "attempt.failed",
    AttemptExited = "attempt.exited",
    ConnectionLinked = "connection.linked",
    FileUploaded = "file.uploaded",
    ManualEntered = "manual.entered",
    SyncStarted = "sync.started",
    SyncDatasetCompleted = "sync.dataset_completed",
    SyncInitialCompleted = "sync.initial_completed",
    SyncFailed = "sync.failed",
    PrefillApplied = "prefill.applied",
    ValueFirstDelivered = "value.first_delivered",
    WriteSucceeded = "write.succeeded",
    WriteFailed = "write.failed",
    PaymentLinkCreated = "payment_link.created",
    PaymentLinkOpened = "payment_link.opened",
    PaymentMethodChosen = "payment.method_chosen",
    PaymentBankSelected = "payment.bank_selected",
    PaymentAuthorizing = "payment.authorizing",
    PaymentAuthorized = "payment.authorized",
    PaymentAttemptFailed = "payment.attempt_failed",
    PaymentExecuted = "payment.executed",
    PaymentSettled = "payment.settled",
    PaymentFailed = "payment.failed",
    PaymentManualDeclared = "payment.manual_declared",
    PaymentLinkExpired = "payment_link.expired",
    PaymentLinkRevoked = "payment_link.revoked",
    InvoicePaid = "invoice.paid",
    CallBooked = "call.booked",
    CallHeld = "call.held",
    ObjectionRecorded = "objection.recorded",
    ApplicationStarted = "application.started",
    ApplicationSubmitted = "application.submitted",
    ApplicationDecided = "application.decided",
}

impl What {
    /// The step of `linking` (domain.md, F1) that it satisfies. No event satisfies two.
    pub(crate) fn linking_step(self) -> Option<u8> {
        Some(match self {
            What::JourneyStarted | What::AttemptOpened => 0,
            What::ProviderSelected => 1,
            What::ConsentGranted => 2,
            What::HandoffStarted | What::CredentialsSubmitted => 3,
            What::ScaPassed => 4,
            What::ConnectionLinked => 5,
            _ => return None,
        })
    }

    /// The outcome of `linking` that it is, in the order in which outcomes are listed.
    pub(crate) fn linking_outcome(self) -> Option<u8> {
        Some(match self {
            What::FileUploaded => 0,
            What::ManualEntered => 1,
            What::StepSkipped => 2,
            What::JourneyPaused | What::JourneyDelegated => 3,
            _ => return None,
        })
    }

    /// Opens a journey or a vendor session of it: what the journey was begun by is said there.
    pub(crate) fn opens(self) -> bool {
        self.linking_step() == Some(0)
    }

    /// About an invitation.
    pub(crate) fn is_of_invite(self) -> bool {
        matches!(
            self,
            What::InviteCreated
                | What::InviteSent
                | What::InviteDelivered
                | What::InviteDeliveryFailed
                | What::InviteOpened
                | What::InviteClicked
                | What::InviteExpired
                | What::InviteReused
        )
    }

    /// Of the groups Journey and Attempt (domain.md 3.3): an integration it names was chosen.
    pub(crate) fn is_activity(self) -> bool {
        matches!(
            self,
            What::JourneyStarted
                | What::StepViewed
                | What::StepSkipped
                | What::JourneyPaused
                | What::JourneyDelegated
                | What::JourneyResumed
                | What::JourneyCompleted
                | What::AttemptOpened
                | What::ProviderSearched
                | What::ProviderNotFound
                | What::ProviderUnavailable
                | What::ProviderSelected
                | What::ConsentGranted
                | What::ConsentDenied
                | What::HandoffStarted
                | What::CredentialsSubmitted
                | What::ScaChallenged
                | What::ScaPassed
                | What::AccountSelected
                | What::AttemptErrored
                | What::AttemptFailed
                | What::AttemptExited
                | What::ConnectionLinked
                | What::FileUploaded
                | What::ManualEntered
        )
    }
}
