//! A drawing as SVG text. Only what SVG 1.1 has, so that office programs read it too (hence `xlink:href`).

use std::fmt::Write;

use super::drawing::{Anchor, Bitmap, Color, Drawing, Frame, Shape, Stroke, TextStyle};
use super::font::{self, Weight};
use super::raster;

/// The whole document. The same drawing always gives the same text.
pub(super) fn document(drawing: &Drawing) -> String {
    let (width, height) = (number(drawing.width), number(drawing.height));
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" xmlns:xlink=\"http://www.w3.org/1999/xlink\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"{}\" role=\"img\">\n<title>{}</title>\n<rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>\n",
        font::FAMILIES,
        escaped(&drawing.title)
    );
    for shape in &drawing.shapes {
        element(&mut out, shape);
        out.push('\n');
    }
    out.push_str("</svg>\n");
    out
}

/// Writing into a `String` cannot fail, so the results of `write!` are not looked at.
fn element(out: &mut String, shape: &Shape) {
    let _ = match shape {
        Shape::Rect { frame, fill } => write!(out, "<rect {}{}/>", sides(frame), filled(*fill)),
        Shape::Circle { center: (x, y), radius, fill, stroke } => {
            let outline = stroke.map(|stroke| stroked(&stroke)).unwrap_or_default();
            write!(out, "<circle cx=\"{}\" cy=\"{}\" r=\"{}\"{}{outline}/>", number(*x), number(*y), number(*radius), filled(*fill))
        }
        Shape::Line { points, stroke } => {
            write!(out, "<polyline points=\"{}\" fill=\"none\" stroke-linejoin=\"round\"{}/>", coordinates(points), stroked(stroke))
        }
        Shape::Text { at, content, style } => text(out, *at, content, style),
        Shape::Image { frame, bitmap } => write!(
            out,
            "<image {} preserveAspectRatio=\"none\" style=\"image-rendering:pixelated\" xlink:href=\"data:image/png;base64,{}\"/>",
            sides(frame),
            base64(&embedded(bitmap))
        ),
    };
}

fn text(out: &mut String, (x, y): (f64, f64), content: &str, style: &TextStyle) -> std::fmt::Result {
    let anchor = match style.anchor {
        Anchor::Start => "",
        Anchor::Middle => " text-anchor=\"middle\"",
        Anchor::End => " text-anchor=\"end\"",
    };
    let weight = match style.weight {
        Weight::Regular => String::new(),
        weight @ Weight::SemiBold => format!(" font-weight=\"{}\"", weight.number()),
    };
    let place = if style.angle == 0.0 {
        format!("x=\"{}\" y=\"{}\"", number(x), number(y + style.baseline_shift()))
    } else {
        let shift = number(style.baseline_shift());
        format!("transform=\"translate({} {}) rotate({})\" y=\"{shift}\"", number(x), number(y), number(style.angle))
    };
    write!(out, "<text {place} font-size=\"{}\"{weight}{anchor}{}>{}</text>", number(style.size), filled(style.color), escaped(content))
}

fn sides(frame: &Frame) -> String {
    let Frame { x, y, width, height } = *frame;
    format!("x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"", number(x), number(y), number(width.max(0.0)), number(height.max(0.0)))
}

fn filled(color: Color) -> String {
    painted("fill", color)
}

fn stroked(stroke: &Stroke) -> String {
    let dash = stroke.dash.map(|(dash, gap)| format!(" stroke-dasharray=\"{} {}\"", number(dash), number(gap))).unwrap_or_default();
    format!("{} stroke-width=\"{}\"{dash}", painted("stroke", stroke.color), number(stroke.width))
}

fn painted(property: &str, color: Color) -> String {
    let Color { red, green, blue } = color;
    format!(" {property}=\"#{red:02x}{green:02x}{blue:02x}\"")
}

fn coordinates(points: &[(f64, f64)]) -> String {
    let pairs: Vec<_> = points.iter().map(|&(x, y)| format!("{},{}", number(x), number(y))).collect();
    pairs.join(" ")
}

/// At most two decimals: a fiftieth of a PNG pixel.
fn number(value: f64) -> String {
    let text = format!("{value:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".into() } else { text.into() }
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c => out.push(c),
        }
    }
    out
}

/// The image's PNG; empty (and so not shown) for an image without pixels, which [`Bitmap`] does not make.
fn embedded(bitmap: &Bitmap) -> Vec<u8> {
    raster::encoded(&bitmap.rgb, bitmap.width as u32, bitmap.height as u32, 1).unwrap_or_default()
}

/// RFC 4648, with padding.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let word = (0..3).fold(0_u32, |word, i| word << 8 | u32::from(group.get(i).copied().unwrap_or(0)));
        for i in 0..4 {
            let letter = ALPHABET[(word >> (18 - 6 * i) & 63) as usize];
            out.push(if i <= group.len() { char::from(letter) } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_follows_the_examples_of_rfc_4648() {
        let check = |bytes: &str, expected: &str| assert_eq!(base64(bytes.as_bytes()), expected);
        check("", "");
        check("f", "Zg==");
        check("fo", "Zm8=");
        check("foo", "Zm9v");
        check("foobar", "Zm9vYmFy");
    }

    #[test]
    fn numbers_are_short() {
        let check = |value: f64, expected: &str| assert_eq!(number(value), expected);
        check(12.0, "12");
        check(0.499_9, "0.5");
        check(-0.001, "0");
        check(100.0, "100");
    }
}
