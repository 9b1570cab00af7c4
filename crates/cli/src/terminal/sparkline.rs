//! A curve in one line of text.

const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// `values` as at most `columns` bars from the smallest to the largest value; neighbours share a bar (their mean) where
/// there are more values than columns, and a value that is not finite leaves a gap.
pub fn sparkline(values: &[f64], columns: usize) -> String {
    let columns = columns.min(values.len());
    let mean = |column: usize| {
        let part = &values[column * values.len() / columns..(column + 1) * values.len() / columns];
        let finite: Vec<f64> = part.iter().copied().filter(|value| value.is_finite()).collect();
        (!finite.is_empty()).then(|| finite.iter().sum::<f64>() / finite.len() as f64)
    };
    let means: Vec<Option<f64>> = (0..columns).map(mean).collect();
    let low = means.iter().flatten().copied().fold(f64::INFINITY, f64::min);
    let high = means.iter().flatten().copied().fold(f64::NEG_INFINITY, f64::max);
    let bar = |value: f64| {
        let share = if high > low { (value - low) / (high - low) } else { 0.5 };
        BARS[((share * 8.0) as usize).min(7)]
    };
    means.into_iter().map(|value| value.map_or(' ', bar)).collect()
}

#[cfg(test)]
mod tests {
    use super::sparkline;

    #[test]
    fn a_curve_keeps_its_shape() {
        assert_eq!(sparkline(&[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0], 20), "▁▂▃▄▅▆▇█");
        assert_eq!(sparkline(&[1.0, 1.0], 20), "▅▅");
        assert_eq!(sparkline(&[0.0, f64::NAN, 1.0], 20), "▁ █");
        assert_eq!(sparkline(&[0.0, 0.0, 7.0, 7.0], 2), "▁█");
        assert_eq!(sparkline(&[], 20), "");
    }
}
