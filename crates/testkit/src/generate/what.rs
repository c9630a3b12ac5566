//! The events the generator makes, and what they are to the built-in funnels.

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
    InviteSent = "invite.sent",
    InviteDelivered = "invite.delivered",
    InviteOpened = "invite.opened",
    InviteClicked = "invite.clicked",
    CtaShown = "cta.shown",
    CtaClicked = "cta.clicked",
    CtaDismissed = "cta.dismissed",
    HelpOpened = "help.opened",
    JourneyStarted = "journey.started",
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
    SyncInitialCompleted = "sync.initial_completed",
    PrefillApplied = "prefill.applied",
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

    /// The step of `first_link` (domain.md, F2); `first` and `welcome` say whether the journey's type is first_link
    /// and whether an invitation is the welcome mail.
    pub(crate) fn first_link_step(self, first: bool, welcome: bool) -> Option<u8> {
        Some(match self {
            What::VisitLanded => 0,
            What::SignupCompleted => 1,
            What::CtaShown => 2,
            What::InviteSent if welcome => 2,
            What::InviteClicked | What::CtaClicked => 3,
            What::JourneyStarted if first => 4,
            What::ConnectionLinked => 5,
            What::PrefillApplied => 6,
            What::SyncInitialCompleted => 7,
            _ => return None,
        })
    }
}
