//! What a few numbers tell of the mean that they were drawn around.

/// The mean of some numbers; 0 of none.
pub(crate) fn mean(numbers: &[f64]) -> f64 {
    numbers.iter().sum::<f64>() / numbers.len().max(1) as f64
}

/// The mean of some numbers, and half of its 95% interval (Student's t) where there are several.
pub(crate) fn mean_and_interval(numbers: &[f64]) -> (f64, Option<f64>) {
    /// The 97.5% quantiles of Student's t for 1, 2, ... degrees of freedom.
    const T: [f64; 10] = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228];
    let n = numbers.len() as f64;
    let mean = mean(numbers);
    if numbers.len() < 2 {
        return (mean, None);
    }
    let variance = numbers.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0);
    let t = T.get(numbers.len() - 2).copied().unwrap_or(1.96);
    (mean, Some(t * (variance / n).sqrt()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_is_students() {
        let (mean, half) = mean_and_interval(&[1.0, 2.0, 3.0]);
        assert!((mean - 2.0).abs() < 1e-12 && (half.unwrap() - 4.303 / 3f64.sqrt()).abs() < 1e-9);
        assert_eq!(mean_and_interval(&[0.5]), (0.5, None));
    }
}
