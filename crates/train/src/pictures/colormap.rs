//! White to dark blue in perceptually even steps.

use super::drawing::Color;
use super::theme;

/// The colour of a share in `[0, 1]`: one hue of Oklch (Ottosson, "A perceptual color space for image processing", 2020),
/// lightness falling evenly from white, so that equal differences of the share look equally large, in grey print too.
pub(super) fn shade(share: f64) -> Color {
    let t = if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 };
    let lightness = 1.0 - 0.66 * t;
    // No chroma in white, most of it where blue has room for it inside sRGB.
    let chroma = 0.115 * (1.0 - (1.0 - t).powi(2)).max(0.0);
    oklch(lightness, chroma, 252.0)
}

/// Ink or white, whichever stands out more on `ground` (WCAG 2.1 contrast ratio).
pub(super) fn ink_on(ground: Color) -> Color {
    let contrast = |color: Color| {
        let (a, b) = (luminance(color), luminance(ground));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    };
    if contrast(theme::WHITE) > contrast(theme::INK) { theme::WHITE } else { theme::INK }
}

fn oklch(lightness: f64, chroma: f64, hue_degrees: f64) -> Color {
    let (sin, cos) = hue_degrees.to_radians().sin_cos();
    let (a, b) = (chroma * cos, chroma * sin);
    let long = (lightness + 0.396_337_777_4 * a + 0.215_803_757_3 * b).powi(3);
    let medium = (lightness - 0.105_561_345_8 * a - 0.063_854_172_8 * b).powi(3);
    let short = (lightness - 0.089_484_177_5 * a - 1.291_485_548_0 * b).powi(3);
    let channel = |linear: f64| {
        let encoded = if linear <= 0.003_130_8 { 12.92 * linear } else { 1.055 * linear.powf(1.0 / 2.4) - 0.055 };
        (encoded.clamp(0.0, 1.0) * 255.0).round() as u8
    };
    Color::new(
        channel(4.076_741_662_1 * long - 3.307_711_591_3 * medium + 0.230_969_929_2 * short),
        channel(-1.268_438_004_6 * long + 2.609_757_401_1 * medium - 0.341_319_396_5 * short),
        channel(-0.004_196_086_3 * long - 0.703_418_614_7 * medium + 1.707_614_701_0 * short),
    )
}

/// Relative luminance (WCAG 2.1).
fn luminance(color: Color) -> f64 {
    let linear = |channel: u8| {
        let encoded = f64::from(channel) / 255.0;
        if encoded <= 0.040_45 { encoded / 12.92 } else { ((encoded + 0.055) / 1.055).powf(2.4) }
    };
    0.2126 * linear(color.red) + 0.7152 * linear(color.green) + 0.0722 * linear(color.blue)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shades_darken_evenly_from_white() {
        assert_eq!(shade(0.0), theme::WHITE);
        assert_eq!(shade(f64::NAN), theme::WHITE);
        let steps: Vec<f64> = (0..=20).map(|i| luminance(shade(f64::from(i) / 20.0)).cbrt()).collect();
        let falls: Vec<f64> = steps.windows(2).map(|pair| pair[0] - pair[1]).collect();
        let mean = falls.iter().sum::<f64>() / falls.len() as f64;
        assert!(falls.iter().all(|fall| (fall / mean - 1.0).abs() < 0.25), "{falls:?}");
    }

    #[test]
    fn every_shade_carries_readable_text() {
        for i in 0..=100 {
            let ground = shade(f64::from(i) / 100.0);
            let (a, b) = (luminance(ink_on(ground)), luminance(ground));
            let contrast = (a.max(b) + 0.05) / (a.min(b) + 0.05);
            assert!(contrast >= 4.0, "share {i} %: {contrast}");
        }
    }
}
