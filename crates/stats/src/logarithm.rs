//! Logarithms near which digits are lost: written so that large counts keep them.

/// ln(1 + x) − x for x > −1, to its last digits where x is small.
///
/// With r = x/(2 + x), ln(1 + x) = 2·artanh(r), of whose series the first term less x is −x·r. Source: Loader, C. (2000),
/// "Fast and accurate computation of binomial probabilities".
pub(crate) fn ln_1p_less(x: f64) -> f64 {
    if !(-0.5..=0.5).contains(&x) {
        return x.ln_1p() - x;
    }
    let r = x / (2.0 + x);
    let square = r * r;
    // From the smallest term: at |x| = 0.5 r² is at most 1/9, and 9^-17 is below a float's last digit.
    let series = (1..=18).rev().fold(0.0, |sum, k| {
        1.0 / (2.0 * f64::from(k) + 1.0) + square * sum
    });
    r * (2.0 * square * series - x)
}

/// What Stirling's formula lacks: ln Γ(z) − ((z − ½) ln z − z + ½ ln 2π), z > 0.
pub(crate) fn stirling_rest(z: f64) -> f64 {
    if z < 16.0 {
        let formula = (z - 0.5) * z.ln() - z + 0.5 * (2.0 * std::f64::consts::PI).ln();
        return libm::lgamma(z) - formula;
    }
    let square = 1.0 / (z * z);
    let terms = [
        1.0 / 12.0,
        -1.0 / 360.0,
        1.0 / 1_260.0,
        -1.0 / 1_680.0,
        1.0 / 1_188.0,
    ];
    terms
        .iter()
        .rev()
        .fold(0.0, |sum, term| term + square * sum)
        / z
}

#[cfg(test)]
mod tests {
    use super::*;

    /// mpmath at 40 digits.
    #[test]
    fn digits_are_kept() {
        let logarithms = [
            (1e-9, -4.999_999_996_666_667e-19),
            (0.01, -4.966_914_683_191_715e-5),
            (-0.3, -0.056_674_943_938_732_38),
            (0.5, -0.094_534_891_891_835_62),
            (3.0, -1.613_705_638_880_109),
        ];
        for (x, expected) in logarithms {
            let got = ln_1p_less(x);
            assert!((got / expected - 1.0).abs() < 1e-14, "{x}: {got}");
        }
        let rests = [
            (0.5, 0.153_426_409_720_027_35),
            (3.7, 0.022_468_770_580_143_15),
            (16.0, 0.005_207_655_919_609_64),
            (1e6, 8.333_333_333_330_556e-8),
        ];
        for (z, expected) in rests {
            let got = stirling_rest(z);
            assert!((got - expected).abs() < 1e-14, "{z}: {got}");
        }
    }
}
