//! What an extra link costs: the incentive paid a unit more, over the links a unit more.

use crate::{Estimate, Interval, Level, Null, Pairs, compare_means, float, mean::ArmMean, student};

/// Cost of an extra link in the incentive's unit: (mean paid in the treatment − mean paid in the control) ÷ (mean links −
/// mean links), with Fieller's interval, costs and links of a unit being correlated. Of each unit x is what was paid, y
/// its links.
///
/// All costs C with |Δpaid − C·Δlinks| ≤ c·se are in it, se² = V(paid) − 2C·V(both) + C²·V(links); c is Welch's t of the
/// links, so that the cost is null exactly where the interval of the links' difference reaches 0 or below.
///
/// Source: Fieller (1954), JRSS B 16, 175–185.
///
/// # Errors
/// [`Null::NoExtraLinks`] there; as [`ArmMean::of`], and [`Null::NoVariance`] where the links do not vary.
pub fn cost_per_extra_link(
    treatment: Pairs,
    control: Pairs,
    level: Level,
) -> Result<Estimate, Null> {
    let paid = ArmMean::of(treatment.x())?.value - ArmMean::of(control.x())?.value;
    let links = compare_means(
        ArmMean::of(treatment.y())?,
        ArmMean::of(control.y())?,
        level,
    )?;
    let (more, critical) = (
        links.difference.value,
        student::critical(level.alpha(), links.freedom),
    );
    if links.difference.interval.low <= 0.0 {
        return Err(Null::NoExtraLinks);
    }
    let of_paid =
        variance(treatment.x().spread(), treatment) + variance(control.x().spread(), control);
    let of_links =
        variance(treatment.y().spread(), treatment) + variance(control.y().spread(), control);
    let of_both = variance(treatment.together(), treatment) + variance(control.together(), control);
    // A·C² − 2B·C + D ≤ 0, A above 0 because the links' interval is.
    let square = critical * critical;
    let a = more * more - square * of_links;
    let b = paid * more - square * of_both;
    let d = paid * paid - square * of_paid;
    let root = (b * b - a * d).max(0.0).sqrt();
    let (value, low, high) = (paid / more, (b - root) / a, (b + root) / a);
    if a > 0.0 && low.is_finite() && high.is_finite() {
        Ok(Estimate {
            value,
            interval: Interval { low, high },
        })
    } else {
        Err(Null::NoExtraLinks)
    }
}

/// The (co)variance of a mean from the summed products about the means.
fn variance(spread: f64, arm: Pairs) -> f64 {
    let units = arm.x().units();
    spread / float(units.max(2) - 1) / float(units)
}
