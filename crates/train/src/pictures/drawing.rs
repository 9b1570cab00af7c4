//! What a picture is made of. Lengths are points (a pixel of the SVG, two of the PNG), `y` grows downwards.

use super::font::{self, Weight};
use super::theme;

/// An opaque colour in sRGB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Color {
    pub(super) red: u8,
    pub(super) green: u8,
    pub(super) blue: u8,
}

impl Color {
    pub(super) const fn new(red: u8, green: u8, blue: u8) -> Self {
        Self { red, green, blue }
    }
}

/// An axis-parallel rectangle.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Frame {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) width: f64,
    pub(super) height: f64,
}

impl Frame {
    pub(super) const fn new(x: f64, y: f64, width: f64, height: f64) -> Self {
        Self { x, y, width, height }
    }

    pub(super) fn right(&self) -> f64 {
        self.x + self.width
    }

    pub(super) fn bottom(&self) -> f64 {
        self.y + self.height
    }

    pub(super) fn center(&self) -> (f64, f64) {
        (self.x + self.width / 2.0, self.y + self.height / 2.0)
    }
}

/// How a line is drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Stroke {
    pub(super) color: Color,
    pub(super) width: f64,
    /// Lengths of dash and gap; `None` is a solid line.
    pub(super) dash: Option<(f64, f64)>,
}

impl Stroke {
    pub(super) const fn new(color: Color, width: f64) -> Self {
        Self { color, width, dash: None }
    }

    pub(super) const fn dashed(self, dash: f64, gap: f64) -> Self {
        Self { dash: Some((dash, gap)), ..self }
    }
}

/// Where a text stands relative to its point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// How a text is set.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct TextStyle {
    pub(super) size: f64,
    pub(super) weight: Weight,
    pub(super) color: Color,
    pub(super) anchor: Anchor,
    /// The point is at half the height of a capital letter, not on the baseline.
    pub(super) centered: bool,
    /// Clockwise turn around the point, in degrees.
    pub(super) angle: f64,
}

impl TextStyle {
    pub(super) const fn new(size: f64, weight: Weight, color: Color) -> Self {
        Self { size, weight, color, anchor: Anchor::Start, centered: false, angle: 0.0 }
    }

    pub(super) const fn anchored(self, anchor: Anchor) -> Self {
        Self { anchor, ..self }
    }

    pub(super) const fn centered(self) -> Self {
        Self { centered: true, ..self }
    }

    pub(super) const fn turned(self, angle: f64) -> Self {
        Self { angle, ..self }
    }

    pub(super) const fn colored(self, color: Color) -> Self {
        Self { color, ..self }
    }

    pub(super) const fn sized(self, size: f64) -> Self {
        Self { size, ..self }
    }

    pub(super) const fn bold(self) -> Self {
        Self { weight: Weight::SemiBold, ..self }
    }

    /// Width of a text in this style, before it is turned.
    pub(super) fn width(&self, text: &str) -> f64 {
        font::width(&font::displayable(text), self.size, self.weight)
    }

    /// The text, cut with an ellipsis where it is wider than `room`.
    pub(super) fn fitted(&self, text: &str, room: f64) -> String {
        font::fitted(text, room, self.size, self.weight)
    }

    /// What to add to `y` (before turning) to get the baseline.
    pub(super) fn baseline_shift(&self) -> f64 {
        if self.centered { self.size * font::CAP_HEIGHT / 2.0 } else { 0.0 }
    }
}

/// A borrowed image: bytes in the order `[height, width, channels]`, 1 (grey) or 3 (red, green, blue) channels.
#[derive(Debug, Clone, Copy)]
pub struct ImageView<'a> {
    /// `height * width * channels` bytes; of another number a grey cell is drawn.
    pub pixels: &'a [u8],
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// 1 or 3.
    pub channels: usize,
}

/// An image inside a drawing: RGB, small enough to be embedded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bitmap {
    pub(super) rgb: Vec<u8>,
    pub(super) width: usize,
    pub(super) height: usize,
}

impl Bitmap {
    /// Longest side that is kept; a larger image is averaged down by a whole factor.
    const MAX_SIDE: usize = 256;

    /// `None` if the number of bytes is not what the sides say.
    pub(super) fn new(image: &ImageView<'_>) -> Option<Self> {
        let &ImageView { pixels, height, width, channels } = image;
        let expected = height.checked_mul(width)?.checked_mul(channels)?;
        if expected == 0 || expected != pixels.len() || !matches!(channels, 1 | 3) {
            return None;
        }
        let factor = height.max(width).div_ceil(Self::MAX_SIDE);
        let (small_height, small_width) = (height.div_ceil(factor), width.div_ceil(factor));
        let mut rgb = Vec::with_capacity(small_height * small_width * 3);
        for row in 0..small_height {
            for column in 0..small_width {
                for channel in 0..3 {
                    let rows = row * factor..((row + 1) * factor).min(height);
                    let columns = column * factor..((column + 1) * factor).min(width);
                    let area = rows.len() * columns.len();
                    let channel = channel % channels;
                    let pixel = |y: usize, x: usize| usize::from(pixels[(y * width + x) * channels + channel]);
                    let sum: usize = rows.map(|y| columns.clone().map(|x| pixel(y, x)).sum::<usize>()).sum();
                    rgb.push(((sum + area / 2) / area) as u8);
                }
            }
        }
        Some(Self { rgb, width: small_width, height: small_height })
    }
}

/// One element of a drawing, drawn over those before it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Shape {
    Rect { frame: Frame, fill: Color },
    Circle { center: (f64, f64), radius: f64, fill: Color, stroke: Option<Stroke> },
    Line { points: Vec<(f64, f64)>, stroke: Stroke },
    Text { at: (f64, f64), content: String, style: TextStyle },
    Image { frame: Frame, bitmap: Bitmap },
}

/// A figure: its size and its shapes.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Drawing {
    pub(super) width: f64,
    pub(super) height: f64,
    /// Read aloud by screen readers, shown as the SVG's title.
    pub(super) title: String,
    pub(super) shapes: Vec<Shape>,
}

impl Drawing {
    /// A white sheet with title and subtitle set, cut to its width.
    pub(super) fn new(width: f64, height: f64, title: &str, subtitle: &str) -> Self {
        Self::with_header(width, height, title, subtitle, 1.0)
    }

    /// The same with title and subtitle `scale` times as large, for sheets that are looked at from further away; the
    /// figure then starts at `scale` times [`theme::TOP`].
    pub(super) fn with_header(width: f64, height: f64, title: &str, subtitle: &str, scale: f64) -> Self {
        let mut drawing = Self { width: width.ceil(), height: height.ceil(), title: font::displayable(title), shapes: Vec::new() };
        let room = width - 2.0 * theme::MARGIN;
        for (text, baseline, style) in [(title, 44.0, theme::TITLE), (subtitle, 65.0, theme::SUBTITLE)] {
            let style = style.sized(style.size * scale);
            drawing.text(theme::MARGIN, baseline * scale, &style.fitted(text, room), style);
        }
        drawing
    }

    pub(super) fn rect(&mut self, frame: Frame, fill: Color) {
        self.shapes.push(Shape::Rect { frame, fill });
    }

    pub(super) fn outline(&mut self, frame: Frame, stroke: Stroke) {
        let Frame { x, y, .. } = frame;
        let points = vec![(x, y), (frame.right(), y), (frame.right(), frame.bottom()), (x, frame.bottom()), (x, y)];
        self.shapes.push(Shape::Line { points, stroke });
    }

    pub(super) fn circle(&mut self, center: (f64, f64), radius: f64, fill: Color, stroke: Option<Stroke>) {
        self.shapes.push(Shape::Circle { center, radius, fill, stroke });
    }

    pub(super) fn line(&mut self, from: (f64, f64), to: (f64, f64), stroke: Stroke) {
        self.shapes.push(Shape::Line { points: vec![from, to], stroke });
    }

    pub(super) fn polyline(&mut self, points: Vec<(f64, f64)>, stroke: Stroke) {
        self.shapes.push(Shape::Line { points, stroke });
    }

    pub(super) fn text(&mut self, x: f64, y: f64, content: &str, style: TextStyle) {
        self.shapes.push(Shape::Text { at: (x, y), content: font::displayable(content), style });
    }

    /// The image as large as fits into `frame`, in its middle; a grey cell if its bytes are not what its sides say.
    pub(super) fn image(&mut self, frame: Frame, image: &ImageView<'_>) {
        let Some(bitmap) = Bitmap::new(image) else {
            let (x, y) = frame.center();
            self.rect(frame, theme::GRID);
            self.text(x, y, "no image", theme::TICK.anchored(Anchor::Middle).centered());
            return;
        };
        let scale = (frame.width / bitmap.width as f64).min(frame.height / bitmap.height as f64);
        let (width, height) = (bitmap.width as f64 * scale, bitmap.height as f64 * scale);
        let (x, y) = frame.center();
        let frame = Frame::new(x - width / 2.0, y - height / 2.0, width, height);
        self.shapes.push(Shape::Image { frame, bitmap });
    }
}
