//! Many tests at once: p-values adjusted so that, of the rows called different, only a share are so by chance.

/// The p-values adjusted by Benjamini and Hochberg, in the order given: calling those at most q different makes the expected
/// share of false calls at most q (for tests that are independent or positively dependent).
///
/// The i-th least of m becomes the least of p·m/rank over it and all greater ones, at most 1.
///
/// Source: Benjamini, Y. and Hochberg, Y. (1995), JRSS B 57, 289–300; adjusted form: Yekutieli and Benjamini (1999).
pub fn benjamini_hochberg(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|a, b| p[*a].total_cmp(&p[*b]));
    let mut adjusted = vec![1.0; p.len()];
    let mut least = 1.0_f64;
    for (rank, at) in order.iter().enumerate().rev() {
        least = least.min(p[*at] * float(p.len()) / float(rank + 1));
        adjusted[*at] = least;
    }
    adjusted
}

fn float(count: usize) -> f64 {
    crate::float(count as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Table 1 of Benjamini and Hochberg (1995): at 0.05 the four least of fifteen are called different.
    #[test]
    fn the_published_example_calls_four_of_fifteen() {
        let p = [
            0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262,
            0.5719, 0.6528, 0.7590, 1.0000,
        ];
        let adjusted = benjamini_hochberg(&p);
        assert_eq!(adjusted.iter().filter(|p| **p <= 0.05).count(), 4);
        assert!((adjusted[3] - 0.0095 * 15.0 / 4.0).abs() < 1e-12);
    }

    #[test]
    fn it_keeps_the_order_never_lowers_and_one_alone_stays() {
        assert_eq!(benjamini_hochberg(&[]), Vec::<f64>::new());
        assert_eq!(benjamini_hochberg(&[0.25]), [0.25]);
        let p = [0.9, 0.01, 0.5, 0.01, 0.04];
        let adjusted = benjamini_hochberg(&p);
        for (i, j) in (0..5).flat_map(|i| (0..5).map(move |j| (i, j))) {
            assert!(adjusted[i] >= p[i] && adjusted[i] <= 1.0);
            assert!(p[i] > p[j] || adjusted[i] <= adjusted[j]);
        }
    }
}
