//! Where a journey runs, what led into it, who makes it on what.

use super::{Value, value};

/// Where the journey runs.
#[derive(Clone, Copy)]
pub(crate) struct Surface {
    pub(crate) name: &'static str,
    /// Share of what companies mean to do there.
    pub(crate) weight: f64,
    /// Failures of every kind are multiplied by it; the mean over opened journeys is about one.
    pub(crate) hardship: f64,
    /// Indices into ENTRY_POINTS.
    pub(crate) entry_points: &'static [u8],
    /// Indices into MEDIUMS.
    pub(crate) mediums: &'static [u8],
}

/// Surfaces with different rates.
pub(crate) const SURFACES: [Surface; 5] = [
    Surface {
        name: "embedded_sdk",
        weight: 0.44,
        hardship: 0.87,
        entry_points: &[0, 2, 3, 4, 5, 6],
        mediums: &[0],
    },
    Surface {
        name: "hosted_page",
        weight: 0.26,
        hardship: 1.04,
        entry_points: &[1, 2, 6, 7],
        mediums: &[0, 1, 2],
    },
    Surface {
        name: "portal_link",
        weight: 0.21,
        hardship: 1.38,
        entry_points: &[8, 9],
        mediums: &[1, 2, 3, 4],
    },
    Surface {
        name: "assisted_call",
        weight: 0.03,
        hardship: 0.75,
        entry_points: &[9, 11],
        mediums: &[5],
    },
    Surface {
        name: "own_ui_api",
        weight: 0.06,
        hardship: 0.97,
        entry_points: &[2, 3, 4, 5, 6],
        mediums: &[0],
    },
];
/// Index of `embedded_sdk`.
pub(crate) const EMBEDDED: u8 = 0;
/// Index of `hosted_page`.
pub(crate) const HOSTED: u8 = 1;
/// Index of `portal_link`, whose journeys begin with an invitation.
pub(crate) const PORTAL: u8 = 2;
/// Index of `assisted_call`, whose journeys begin with a call.
pub(crate) const ASSISTED: u8 = 3;
/// Index of `own_ui_api`, whose screens are told one by one.
pub(crate) const OWN_UI: u8 = 4;
/// The surface of payments; no journey runs there.
pub(crate) const PAYMENT_PAGE: &str = "payment_page";

/// Where the user came from.
pub(crate) struct EntryPoint {
    pub(crate) name: &'static str,
    pub(crate) hardship: f64,
    /// Where the call to action stood.
    pub(crate) placement: Option<&'static str>,
}

const fn entry(name: &'static str, hardship: f64, placement: Option<&'static str>) -> EntryPoint {
    EntryPoint {
        name,
        hardship,
        placement,
    }
}

/// Where the user came from; a sub-menu is found by few and left by many (seed S2-05).
pub(crate) const ENTRY_POINTS: &[EntryPoint] = &[
    entry("signup_confirmation", 0.90, Some("modal")),
    entry("welcome_email", 1.05, Some("email_body")),
    entry("onboarding_checklist", 0.92, Some("checklist")),
    entry("dashboard_center", 0.86, Some("center")),
    entry("main_menu", 0.98, Some("main_menu")),
    entry("sub_menu", 1.28, Some("sub_menu")),
    entry("application_form", 1.04, Some("inline")),
    entry("need_trigger", 0.95, Some("banner")),
    entry("campaign_intro_link", 1.0, None),
    entry("relationship_manager", 1.0, None),
    entry("reminder", 1.0, None),
    entry("support", 1.0, None),
    entry("invoice", 1.0, None),
    entry("payment_reminder", 1.0, None),
];
/// Index of `signup_confirmation`: a prompt after the sign-up.
pub(crate) const SIGNUP_CONFIRMATION: u8 = 0;
/// Index of `welcome_email`.
pub(crate) const WELCOME_EMAIL: u8 = 1;
/// Index of `application_form`: most of these journeys are a step of an application.
pub(crate) const APPLICATION_FORM: u8 = 6;
/// Index of `campaign_intro_link`.
pub(crate) const CAMPAIGN_LINK: u8 = 8;
/// Index of `reminder`: how paused journeys are resumed.
pub(crate) const REMINDER: u8 = 10;
/// Index of `invoice`.
pub(crate) const INVOICE: u8 = 12;
/// Index of `payment_reminder`.
pub(crate) const PAYMENT_REMINDER: u8 = 13;

/// A prompt to link inside the application.
pub(crate) struct Prompt {
    /// Where it stands.
    pub(crate) name: &'static str,
    pub(crate) weight: f64,
    /// Share of those who see it that click.
    pub(crate) clicked: f64,
}

const fn prompt(name: &'static str, weight: f64, clicked: f64) -> Prompt {
    Prompt {
        name,
        weight,
        clicked,
    }
}

/// Prompts after the sign-up.
pub(crate) const PROMPTS: &[Prompt] = &[
    prompt("center", 0.3, 0.84),
    prompt("modal", 0.2, 0.82),
    prompt("main_menu", 0.2, 0.74),
    prompt("banner", 0.15, 0.68),
    prompt("sub_menu", 0.15, 0.5),
];

/// What carried the prompt, with its multiplier of failures.
pub(crate) const MEDIUMS: &[(&str, f64)] = &[
    ("in_app", 1.0),
    ("email", 1.0),
    ("sms", 0.88),
    ("direct_url", 1.08),
    ("chat", 0.96),
    ("phone_call", 1.0),
    ("qr_code", 1.0),
    ("invoice_document", 1.0),
];
/// Index of `email`.
pub(crate) const EMAIL: u8 = 1;
/// Index of `phone_call`.
pub(crate) const PHONE_CALL: u8 = 5;

/// By medium, what becomes of an invitation: not delivered, not read, not clicked, blocked after the click, followed.
pub(crate) const INVITE_COURSES: &[(u8, [f64; 5])] = &[
    (1, [0.045, 0.155, 0.12, 0.05, 0.63]),
    (2, [0.03, 0.10, 0.18, 0.03, 0.66]),
    (3, [0.02, 0.21, 0.15, 0.03, 0.59]),
    (4, [0.015, 0.175, 0.16, 0.05, 0.60]),
];

/// Use cases; many events name none. The last is that of payments.
pub(crate) const USE_CASES: &[Value] = &[
    value("urgent_cash", 1.0, 0.85),
    value("opportunity", 1.0, 1.0),
    value("revolving", 1.0, 1.03),
    value("covenant", 1.0, 0.97),
    value("onboarding", 1.0, 1.0),
    value("monitoring", 1.0, 1.15),
    value("payment_collection", 0.0, 1.0),
];
/// Index of `payment_collection`.
pub(crate) const PAYMENT_COLLECTION: u8 = 6;

/// Campaigns behind intro links.
pub(crate) const CAMPAIGNS: &[Value] = &[
    value("autumn-intro", 0.5, 0.92),
    value("winback", 0.2, 1.3),
    value("partner-fair", 0.3, 0.93),
];

/// Groups that invitations go to.
pub(crate) const TARGET_GROUPS: &[Value] = &[
    value("customers", 0.55, 0.9),
    value("prospects", 0.3, 1.18),
    value("dealers", 0.15, 1.0),
];

/// A country with its locale.
pub(crate) struct Country {
    pub(crate) code: &'static str,
    pub(crate) locale: &'static str,
    pub(crate) weight: f64,
    pub(crate) hardship: f64,
}

const fn country(code: &'static str, locale: &'static str, weight: f64, hardship: f64) -> Country {
    Country {
        code,
        locale,
        weight,
        hardship,
    }
}

/// Countries with their locale.
pub(crate) const COUNTRIES: &[Country] = &[
    country("GB", "en-GB", 0.38, 0.95),
    country("FR", "fr-FR", 0.22, 1.06),
    country("DE", "de-DE", 0.15, 1.12),
    country("US", "en-US", 0.13, 0.97),
    country("NL", "nl-NL", 0.07, 0.90),
    country("IE", "en-IE", 0.05, 0.95),
];

/// Classes of devices.
pub(crate) const DEVICES: &[Value] = &[
    value("desktop", 0.62, 0.95),
    value("mobile", 0.33, 1.1),
    value("tablet", 0.05, 1.0),
];

/// Types of journeys.
pub(crate) const JOURNEY_TYPES: &[&str] = &["first_link", "additional_link", "reconnect"];

#[cfg(test)]
mod tests {
    use super::*;

    /// By surface, the share of what companies mean to do there that comes to an opened journey: invitations are ignored,
    /// calls not held.
    const OPENS: [f64; 5] = [1.0, 1.0, 0.62, 0.77, 1.0];

    #[test]
    fn surfaces_differ_but_leave_the_mean_alone() {
        let both = || SURFACES.iter().zip(OPENS);
        let opened: f64 = both().map(|(s, opens)| s.weight * opens).sum();
        let sum: f64 = both().map(|(s, opens)| s.weight * opens * s.hardship).sum();
        assert!((sum / opened - 1.0).abs() < 0.01, "{}", sum / opened);
    }

    #[test]
    fn the_entry_points_and_mediums_of_a_surface_leave_its_mean_about_alone() {
        for surface in &SURFACES {
            let entries: f64 = surface
                .entry_points
                .iter()
                .map(|at| ENTRY_POINTS[usize::from(*at)].hardship)
                .sum();
            let mean = entries / surface.entry_points.len() as f64;
            assert!((mean - 1.0).abs() < 0.02, "{}: {mean}", surface.name);
            let mediums: f64 = surface
                .mediums
                .iter()
                .map(|at| MEDIUMS[usize::from(*at)].1)
                .sum();
            let mean = mediums / surface.mediums.len() as f64;
            assert!((mean - 1.0).abs() < 0.05, "{}: {mean}", surface.name);
        }
    }

    #[test]
    fn invitations_are_followed_as_often_as_their_surface_says() {
        let mediums = SURFACES[usize::from(PORTAL)].mediums;
        let followed: f64 = INVITE_COURSES
            .iter()
            .filter(|(medium, _)| mediums.contains(medium))
            .map(|(_, course)| course[4])
            .sum();
        let mean = followed / mediums.len() as f64;
        let opens = OPENS[usize::from(PORTAL)];
        assert!((mean - opens).abs() < 0.005, "{mean}");
    }
}
