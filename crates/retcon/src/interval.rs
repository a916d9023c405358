//! What a few numbers tell of the mean that they were drawn around.

/// The mean of some numbers; 0 of none.
pub(crate) fn mean(numbers: &[f64]) -> f64 {
    numbers.iter().sum::<f64>() / numbers.len().max(1) as f64
}

/// The mean of some numbers, and half of its 95% interval (Student's t) where there are several.
pub(crate) fn mean_and_interval(numbers: &[f64]) -> (f64, Option<f64>) {
    let n = numbers.len() as f64;
    let mean = mean(numbers);
    if numbers.len() < 2 {
        return (mean, None);
    }
    let variance = numbers.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0);
    (mean, Some(student(numbers.len() - 1) * (variance / n).sqrt()))
}

/// The 97.5% quantile of Student's t for 1, 2, ... degrees of freedom.
fn student(freedom: usize) -> f64 {
    const FEW: [f64; 10] = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228];
    /// Of one over the degrees of freedom, from the normal quantile on (Abramowitz and Stegun 1964,
    /// 26.7.5).
    const SERIES: [f64; 5] = [1.959_964, 2.372_271, 2.822_499, 2.555_850, 1.589_534];
    match FEW.get(freedom.wrapping_sub(1)) {
        Some(&t) => t,
        None => SERIES.iter().rev().fold(0.0, |sum, term| sum / freedom as f64 + term),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_is_students() {
        let (mean, half) = mean_and_interval(&[1.0, 2.0, 3.0]);
        assert!((mean - 2.0).abs() < 1e-12 && (half.unwrap() - 4.303 / 3f64.sqrt()).abs() < 1e-9);
        assert_eq!(mean_and_interval(&[0.5]), (0.5, None));
        let (_, half) = mean_and_interval(&[[0.0; 6], [1.0; 6]].concat());
        // Of twelve numbers with the variance 3/11.
        assert!((half.unwrap() - 2.201 * (1.0 / 44.0f64).sqrt()).abs() < 1e-4);
    }

    /// Against the table of any textbook, which ends at three digits.
    #[test]
    fn quantiles_go_on_where_the_table_ends() {
        for (freedom, expected) in [
            (1, 12.706),
            (10, 2.228),
            (11, 2.201),
            (12, 2.179),
            (15, 2.131),
            (20, 2.086),
            (30, 2.042),
            (60, 2.000),
            (120, 1.980),
            (100_000, 1.960),
        ] {
            assert!(
                (student(freedom) - expected).abs() < 5.1e-4,
                "{freedom}: {}",
                student(freedom)
            );
        }
        assert!((1..500).all(|freedom| student(freedom) > student(freedom + 1)));
    }
}
