//! Axes: round tick values, their texts, and the way from values to points.

/// A whole number with thousands separators: `10,000`.
pub(super) fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::with_capacity(digits.len() * 4 / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A share as `81.3 %`; an en dash where it is not a number.
pub(super) fn percent(share: f64, decimals: usize) -> String {
    if share.is_finite() { format!("{:.decimals$} %", share * 100.0) } else { "–".into() }
}

/// A value in about four figures: `0.4213`, `12.35`, `2.5e-6`; an en dash where it is not a number.
pub(super) fn figures(value: f64) -> String {
    let magnitude = value.abs();
    match magnitude {
        _ if !value.is_finite() => "–".into(),
        0.0 => "0".into(),
        0.001..10.0 => format!("{value:.4}"),
        10.0..100.0 => format!("{value:.2}"),
        100.0..100_000.0 => format!("{value:.1}"),
        _ => trimmed_scientific(format!("{value:.2e}")),
    }
}

fn trimmed_scientific(text: String) -> String {
    let Some((mantissa, exponent)) = text.split_once('e') else { return text };
    let mantissa = if mantissa.contains('.') { mantissa.trim_end_matches('0').trim_end_matches('.') } else { mantissa };
    format!("{mantissa}e{exponent}")
}

/// What the numbers of an axis are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    /// Any number.
    Number,
    /// A share, shown as a percentage.
    Share,
    /// A count such as an epoch: ticks at whole numbers only.
    Whole,
}

/// One axis: the values at its ends, the points they lie at, and its ticks.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Axis {
    low: f64,
    high: f64,
    start: f64,
    end: f64,
    logarithmic: bool,
    /// Values and texts.
    pub(super) ticks: Vec<(f64, String)>,
}

impl Axis {
    /// An axis that shows all finite values of `values`, at round ends, drawn from `start` to `end` (points), with about
    /// `count` ticks.
    pub(super) fn around(values: impl IntoIterator<Item = f64>, unit: Unit, start: f64, end: f64, count: usize) -> Self {
        // Beyond 1e300 the length of the range itself could overflow.
        let finite = values.into_iter().filter(|value| value.is_finite()).map(|value| value.clamp(-1e300, 1e300));
        let (low, high) = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
        let (low, high) = match () {
            () if low > high => (0.0, 1.0),
            // One value: a band around it.
            () if low == 0.0 && high == 0.0 => (0.0, 1.0),
            () if high - low <= low.abs().max(high.abs()) * 1e-9 => (low - low.abs() * 0.1, low + low.abs() * 0.1),
            () => (low, high),
        };
        // Zero belongs to the axis when the values come near it.
        let low = if low > 0.0 && low < 0.35 * high { 0.0 } else { low };
        let (low, high) = if unit == Unit::Share { (low.max(0.0), high.min(1.0).max(low.max(0.0) + 1e-6)) } else { (low, high) };
        let step = step(low, high, count, unit);
        Self::spanning((low / step).floor() * step, (high / step).ceil() * step, step, unit, start, end)
    }

    /// An axis from exactly `low` to exactly `high`.
    pub(super) fn exactly(low: f64, high: f64, unit: Unit, start: f64, end: f64, count: usize) -> Self {
        Self::spanning(low, high, step(low, high, count, unit), unit, start, end)
    }

    /// A logarithmic axis with ticks at powers of ten; all of `values` must be above zero.
    pub(super) fn logarithmic(values: impl IntoIterator<Item = f64>, start: f64, end: f64) -> Self {
        let exponents = values.into_iter().filter(|value| value.is_finite() && *value > 0.0).map(f64::log10);
        let (low, high) = exponents.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
        let (low, high) = if low > high { (0.0, 1.0) } else { (low.floor(), high.ceil().max(low.floor() + 1.0)) };
        let every = ((high - low) / 6.0).ceil().max(1.0);
        let exponents = (0..).map(|i| low + f64::from(i) * every).take_while(|exponent| *exponent <= high);
        let ticks = exponents.map(|exponent| (10_f64.powf(exponent), power_of_ten(exponent))).collect();
        Self { low, high, start, end, logarithmic: true, ticks }
    }

    fn spanning(low: f64, high: f64, step: f64, unit: Unit, start: f64, end: f64) -> Self {
        let first = (low / step - 1e-6).ceil();
        let count = ((high / step + 1e-6).floor() - first).clamp(0.0, 50.0) as u32;
        let values = (0..=count).map(|i| (first + f64::from(i)) * step);
        let ticks = values.map(|value| (value, tick_text(value, step, unit))).collect();
        Self { low, high, start, end, logarithmic: false, ticks }
    }

    /// The point of a value (outside the axis for values outside it).
    pub(super) fn at(&self, value: f64) -> f64 {
        let value = if self.logarithmic { value.log10() } else { value };
        let share = (value - self.low) / (self.high - self.low);
        self.start + share * (self.end - self.start)
    }
}

/// 1, 2, 2.5 or 5 times a power of ten, so that the range holds about `count` steps.
fn step(low: f64, high: f64, count: usize, unit: Unit) -> f64 {
    let rough = ((high - low) / count.max(1) as f64).max(f64::MIN_POSITIVE * 1e20);
    let power = 10_f64.powf(rough.log10().floor());
    let round = [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().find(|factor| factor * power >= rough * 0.999).unwrap_or(10.0);
    match unit {
        Unit::Whole if round * power < 1.0 => 1.0,
        Unit::Whole if round == 2.5 && power < 10.0 => 5.0 * power,
        _ => round * power,
    }
}

fn tick_text(value: f64, step: f64, unit: Unit) -> String {
    let value = if value.abs() < step * 1e-6 { 0.0 } else { value };
    let (value, step, suffix) = if unit == Unit::Share { (value * 100.0, step * 100.0, " %") } else { (value, step, "") };
    // Decimals that tell two neighbours apart: a step of 0.25 needs two, one of 0.2 one.
    let decimals = (0..6).find(|&n| {
        let scaled = step * 10_f64.powi(n);
        scaled.round() >= 1.0 && (scaled - scaled.round()).abs() < 1e-6 * scaled
    });
    let text = match decimals {
        _ if value == 0.0 => "0".into(),
        Some(0) if value.abs() < 1e15 => {
            let sign = if value < 0.0 { "−" } else { "" };
            format!("{sign}{}", grouped(value.abs().round() as u64))
        }
        Some(n) if value.abs() < 1e5 => format!("{value:.*}", n as usize).replace('-', "−"),
        _ => trimmed_scientific(format!("{value:.2e}")).replacen('-', "−", usize::from(value < 0.0)),
    };
    format!("{text}{suffix}")
}

fn power_of_ten(exponent: f64) -> String {
    match exponent as i64 {
        0..=4 => grouped(10_u64.pow(exponent as u32)),
        -3..=-1 => format!("{:.*}", exponent.abs() as usize, 10_f64.powf(exponent)),
        exponent => format!("1e{exponent}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(values: &[f64], unit: Unit, expected: &str) {
        let axis = Axis::around(values.iter().copied(), unit, 0.0, 100.0, 5);
        let texts: Vec<_> = axis.ticks.iter().map(|(_, text)| text.as_str()).collect();
        assert_eq!(texts.join(" | "), expected, "{values:?}");
        for value in values.iter().filter(|value| value.abs() <= 1e300) {
            assert!((-1e-6..=100.0 + 1e-6).contains(&axis.at(*value)), "{value} lies outside");
        }
    }

    #[test]
    fn ticks_are_round_and_tell_neighbours_apart() {
        check(&[2.31, 0.42], Unit::Number, "0 | 0.5 | 1.0 | 1.5 | 2.0 | 2.5");
        check(&[0.001, 0.0], Unit::Number, "0 | 0.0002 | 0.0004 | 0.0006 | 0.0008 | 0.0010");
        check(&[0.612, 0.701], Unit::Share, "60 % | 62 % | 64 % | 66 % | 68 % | 70 % | 72 %");
        check(&[0.0, 3e7], Unit::Number, "0 | 10,000,000 | 20,000,000 | 30,000,000");
        check(&[0.0, 2e-7], Unit::Number, "0 | 5e-8 | 1e-7 | 1.5e-7 | 2e-7");
        check(&[-3.0, 1.0], Unit::Number, "−3 | −2 | −1 | 0 | 1");
    }

    #[test]
    fn epochs_have_whole_ticks_only() {
        let check = |low, high, count, expected: &str| {
            let ticks = Axis::exactly(low, high, Unit::Whole, 0.0, 100.0, count).ticks;
            assert_eq!(ticks.into_iter().map(|(_, text)| text).collect::<Vec<_>>().join(" | "), expected);
        };
        check(1.0, 20.0, 5, "5 | 10 | 15 | 20");
        check(1.0, 3.0, 8, "1 | 2 | 3");
        check(0.5, 1.5, 1, "1");
        check(1.0, 14_060.0, 4, "5,000 | 10,000");
    }

    #[test]
    fn degenerate_ranges_still_give_an_axis() {
        check(&[], Unit::Number, "0 | 0.2 | 0.4 | 0.6 | 0.8 | 1.0");
        check(&[f64::NAN, f64::INFINITY], Unit::Share, "0 % | 20 % | 40 % | 60 % | 80 % | 100 %");
        check(&[0.0, 0.0], Unit::Number, "0 | 0.2 | 0.4 | 0.6 | 0.8 | 1.0");
        check(&[1e300, 1e-300], Unit::Number, "0 | 2e299 | 4e299 | 6e299 | 8e299 | 1e300");
        check(&[-f64::MAX, f64::MAX], Unit::Number, "−1e300 | −5e299 | 0 | 5e299 | 1e300");
        check(&[1.0], Unit::Share, "90 % | 92 % | 94 % | 96 % | 98 % | 100 %");
    }

    #[test]
    fn numbers_read_well() {
        assert_eq!([grouped(0), grouped(999), grouped(10_000), grouped(1_528_106)], ["0", "999", "10,000", "1,528,106"]);
        assert_eq!([percent(0.8129, 1), percent(1.0, 0), percent(f64::NAN, 1)], ["81.3 %", "100 %", "–"]);
        assert_eq!([figures(0.42131), figures(2.5e-6), figures(0.0), figures(f64::INFINITY)], ["0.4213", "2.5e-6", "0", "–"]);
    }
}
