//! Numbers as people read them.

use std::time::Duration;

/// `1234567` as `1,234,567`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let first = digits.len() % 3;
    let mut text = digits[..first].to_owned();
    for (index, digit) in digits[first..].char_indices() {
        if index % 3 == 0 && !text.is_empty() {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Bytes as `1.4 GiB`.
pub fn bytes(number: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB"];
    let mut value = number as f64 / 1024.0;
    if value < 1.0 {
        return format!("{number} B");
    }
    let mut unit = 0;
    while value >= 1000.0 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    if value < 10.0 { format!("{value:.1} {}", units[unit]) } else { format!("{value:.0} {}", units[unit]) }
}

/// A length of time as `0.8 s`, `42 s`, `3 min 05 s`, `2 h 03 min`, `5 d 2 h`.
pub fn duration(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    if seconds < 9.95 {
        return format!("{seconds:.1} s");
    }
    let seconds = seconds.round() as u64;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        3600..86400 => format!("{} h {:02} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} d {} h", seconds / 86400, seconds % 86400 / 3600),
    }
}

/// A share as `86.4 %`.
pub fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// A number with as many digits as tell something: `0.00075`, `0.8312`, `1234.5`.
pub fn number(value: f64) -> String {
    let size = value.abs();
    if value == value.trunc() && size < 1e15 {
        format!("{value}")
    } else if !(1e-4..1e6).contains(&size) {
        format!("{value:.4e}")
    } else if size < 1.0 {
        let text = format!("{value:.6}");
        text.trim_end_matches('0').to_owned()
    } else if size < 100.0 {
        format!("{value:.4}")
    } else {
        format!("{value:.1}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        assert_eq!([0, 7, 999, 1000, 11_181_642].map(grouped), ["0", "7", "999", "1,000", "11,181,642"]);
        assert_eq!([12, 2048, 15 << 20, 3 << 30].map(bytes), ["12 B", "2.0 KiB", "15 MiB", "3.0 GiB"]);
        assert_eq!(
            [0.75, 59.6, 185.0, 7380.0].map(|s| duration(Duration::from_secs_f64(s))),
            ["0.8 s", "1 min 00 s", "3 min 05 s", "2 h 03 min"]
        );
        assert_eq!(
            [0.00075, 0.83125, 2.0, 1.23456, 1234.56, 1e-7].map(number),
            ["0.00075", "0.83125", "2", "1.2346", "1234.6", "1.0000e-7"]
        );
        assert_eq!(percent(0.8642), "86.4 %");
    }
}
