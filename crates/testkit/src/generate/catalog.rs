//! What companies choose from, with rates of their own.
//! Invented figures of a believable size; no claim about the named businesses.

mod bills;
mod integrations;
mod pitch;
mod places;
mod reasons;

use super::company::small;
use super::dice::Dice;

pub(crate) use bills::{AMOUNTS, BILL_MEDIUMS, CURRENCY, METHOD_TRANSFER, METHODS, REMINDERS};
pub(crate) use integrations::{
    ACCOUNTING, Auth, BANKING, CATEGORIES, INTEGRATIONS, PROVIDERS, Provider, integration,
};
pub(crate) use pitch::{Element, INCENTIVES, MESSAGES};
pub(crate) use places::{
    APPLICATION_FORM, ASSISTED, CAMPAIGN_LINK, CAMPAIGNS, COUNTRIES, DEVICES, EMAIL, EMBEDDED,
    ENTRY_POINTS, HOSTED, INVITE_COURSES, INVOICE, JOURNEY_TYPES, MEDIUMS, OWN_UI,
    PAYMENT_COLLECTION, PAYMENT_PAGE, PAYMENT_REMINDER, PHONE_CALL, PORTAL, PROMPTS, REMINDER,
    SIGNUP_CONFIRMATION, SURFACES, TARGET_GROUPS, USE_CASES, WELCOME_EMAIL,
};
pub(crate) use reasons::{
    AT_CONSENT, AT_HANDOFF, AT_SCA, BOUNCED, DATA_ERROR, LEFT_EARLY, NOT_FOUND, OBJECTIONS,
    PAYMENT_FAILED, REASONS, SMS_FAILED, THEIR_FAULT,
};

/// A value of a dimension: its share in the draw, and what failures of every kind are multiplied by where it stands.
/// Over the weights of a list the mean of the multipliers is about one, so that a dimension leaves the total alone.
pub(crate) struct Value {
    pub(crate) name: &'static str,
    pub(crate) weight: f64,
    pub(crate) hardship: f64,
}

const fn value(name: &'static str, weight: f64, hardship: f64) -> Value {
    Value {
        name,
        weight,
        hardship,
    }
}

/// One of the values, by weight.
pub(crate) fn draw(values: &[Value], dice: &mut Dice) -> u8 {
    let total: f64 = values.iter().map(|value| value.weight).sum();
    let mut left = dice.unit() * total;
    for (index, value) in values.iter().enumerate() {
        if left < value.weight {
            return small(index);
        }
        left -= value.weight;
    }
    small(values.len() - 1)
}

/// The multiplier of failures under a value; one where none is said.
pub(crate) fn hardship(values: &[Value], value: Option<u8>) -> f64 {
    value.map_or(1.0, |value| values[usize::from(value)].hardship)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_values_of_a_dimension_differ_but_leave_the_mean_alone() {
        for (dimension, values) in [
            ("use_case", USE_CASES),
            ("campaign_id", CAMPAIGNS),
            ("target_group", TARGET_GROUPS),
            ("incentive.type", INCENTIVES),
            ("device.class", DEVICES),
            ("payment.amount_bucket", AMOUNTS),
        ] {
            let weight: f64 = values.iter().map(|value| value.weight).sum();
            let sum: f64 = values.iter().map(|v| v.weight * v.hardship).sum();
            let mean = sum / weight;
            assert!((mean - 1.0).abs() < 0.02, "{dimension}: {mean}");
            let lowest = values.iter().map(|v| v.hardship).fold(f64::MAX, f64::min);
            let highest = values.iter().map(|v| v.hardship).fold(0.0, f64::max);
            assert!(highest > lowest * 1.1, "{dimension}");
        }
    }
}
