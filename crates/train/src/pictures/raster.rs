//! A drawing as PNG, two pixels a point.

use tiny_skia::{FillRule, FilterQuality, LineCap, LineJoin, Paint, Path, PathBuilder, Pixmap, PixmapPaint, Rect, StrokeDash, Transform};

use super::drawing::{Anchor, Bitmap, Color, Drawing, Frame, Shape, Stroke, TextStyle};
use super::font::{Pen, Typesetter};

/// Pixels per point.
pub(super) const DENSITY: u32 = 2;

/// The PNG file's bytes; the error says why there is none.
pub(super) fn png(drawing: &Drawing) -> Result<Vec<u8>, String> {
    let (width, height) = (drawing.width as u32 * DENSITY, drawing.height as u32 * DENSITY);
    let mut pixmap = Pixmap::new(width, height).ok_or_else(|| format!("no memory for {width} x {height} pixels"))?;
    pixmap.fill(tiny_skia::Color::WHITE);
    let mut canvas = Canvas { pixmap, typesetter: Typesetter::default() };
    for shape in &drawing.shapes {
        canvas.draw(shape);
    }
    // The sheet is opaque, so premultiplied is straight.
    let rgb: Vec<u8> = canvas.pixmap.data().chunks_exact(4).flat_map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect();
    encoded(&rgb, width, height, DENSITY).map_err(|error| error.to_string())
}

/// An RGB image as PNG, marked with its density (96 points an inch, as in CSS) so that documents show it in its right size.
pub(super) fn encoded(rgb: &[u8], width: u32, height: u32, density: u32) -> Result<Vec<u8>, png::EncodingError> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(png::ColorType::Rgb);
    let per_meter = (96.0 / 0.0254 * f64::from(density)).round() as u32;
    encoder.set_pixel_dims(Some(png::PixelDimensions { xppu: per_meter, yppu: per_meter, unit: png::Unit::Meter }));
    let mut writer = encoder.write_header()?;
    writer.write_image_data(rgb)?;
    writer.finish()?;
    Ok(bytes)
}

struct Canvas {
    pixmap: Pixmap,
    typesetter: Typesetter,
}

impl Canvas {
    fn draw(&mut self, shape: &Shape) {
        match shape {
            Shape::Rect { frame, fill } => self.fill(rectangle(frame), *fill, points_to_pixels()),
            Shape::Circle { center, radius, fill, stroke } => {
                let path = PathBuilder::from_circle(center.0 as f32, center.1 as f32, *radius as f32);
                self.fill(path.clone(), *fill, points_to_pixels());
                if let Some(stroke) = stroke {
                    self.stroke(path, stroke);
                }
            }
            Shape::Line { points, stroke } => self.stroke(polyline(points), stroke),
            Shape::Text { at, content, style } => self.text(*at, content, style),
            Shape::Image { frame, bitmap } => self.image(frame, bitmap),
        }
    }

    fn fill(&mut self, path: Option<Path>, color: Color, transform: Transform) {
        if let Some(path) = path {
            self.pixmap.fill_path(&path, &paint(color), FillRule::Winding, transform, None);
        }
    }

    fn stroke(&mut self, path: Option<Path>, stroke: &Stroke) {
        let Some(path) = path else { return };
        let dash = stroke.dash.and_then(|(dash, gap)| StrokeDash::new(vec![dash as f32, gap as f32], 0.0));
        let style = tiny_skia::Stroke {
            width: stroke.width as f32,
            line_cap: LineCap::Butt,
            line_join: LineJoin::Round,
            dash,
            ..Default::default()
        };
        self.pixmap.stroke_path(&path, &paint(stroke.color), &style, points_to_pixels(), None);
    }

    fn text(&mut self, (x, y): (f64, f64), content: &str, style: &TextStyle) {
        let mut pen = PathPen(PathBuilder::new());
        let width = self.typesetter.outline(content, style.weight, &mut pen);
        let start = match style.anchor {
            Anchor::Start => 0.0,
            Anchor::Middle => -width / 2.0,
            Anchor::End => -width,
        };
        let size = style.size as f32;
        let transform = Transform::from_scale(size, size)
            .pre_translate(start as f32, 0.0)
            .post_translate(0.0, style.baseline_shift() as f32)
            .post_concat(Transform::from_rotate(style.angle as f32))
            .post_translate(x as f32, y as f32)
            .post_concat(points_to_pixels());
        self.fill(pen.0.finish(), style.color, transform);
    }

    fn image(&mut self, frame: &Frame, bitmap: &Bitmap) {
        let Some(mut source) = Pixmap::new(bitmap.width as u32, bitmap.height as u32) else { return };
        for (pixel, rgb) in source.data_mut().chunks_exact_mut(4).zip(bitmap.rgb.chunks_exact(3)) {
            pixel.copy_from_slice(&[rgb[0], rgb[1], rgb[2], 255]);
        }
        let (across, down) = (frame.width / bitmap.width as f64, frame.height / bitmap.height as f64);
        // Pixels of small images stay visible as squares; shrinking without a filter would drop some.
        let shrinks = across.min(down) * f64::from(DENSITY) < 1.0;
        let quality = if shrinks { FilterQuality::Bilinear } else { FilterQuality::Nearest };
        let transform = points_to_pixels().pre_translate(frame.x as f32, frame.y as f32).pre_scale(across as f32, down as f32);
        let paint = PixmapPaint { quality, ..Default::default() };
        self.pixmap.draw_pixmap(0, 0, source.as_ref(), &paint, transform, None);
    }
}

fn points_to_pixels() -> Transform {
    Transform::from_scale(DENSITY as f32, DENSITY as f32)
}

fn paint(color: Color) -> Paint<'static> {
    let mut paint = Paint { anti_alias: true, ..Default::default() };
    paint.set_color_rgba8(color.red, color.green, color.blue, 255);
    paint
}

fn rectangle(frame: &Frame) -> Option<Path> {
    let rect = Rect::from_ltrb(frame.x as f32, frame.y as f32, frame.right() as f32, frame.bottom() as f32)?;
    Some(PathBuilder::from_rect(rect))
}

fn polyline(points: &[(f64, f64)]) -> Option<Path> {
    let mut path = PathBuilder::new();
    for (i, &(x, y)) in points.iter().enumerate() {
        if i == 0 { path.move_to(x as f32, y as f32) } else { path.line_to(x as f32, y as f32) }
    }
    path.finish()
}

/// Turns the font's upward `y` into the drawing's downward one.
struct PathPen(PathBuilder);

impl Pen for PathPen {
    fn move_to(&mut self, x: f64, y: f64) {
        self.0.move_to(x as f32, -y as f32);
    }

    fn line_to(&mut self, x: f64, y: f64) {
        self.0.line_to(x as f32, -y as f32);
    }

    fn quad_to(&mut self, control: (f64, f64), x: f64, y: f64) {
        self.0.quad_to(control.0 as f32, -control.1 as f32, x as f32, -y as f32);
    }

    fn curve_to(&mut self, first: (f64, f64), second: (f64, f64), x: f64, y: f64) {
        self.0.cubic_to(first.0 as f32, -first.1 as f32, second.0 as f32, -second.1 as f32, x as f32, -y as f32);
    }

    fn close(&mut self) {
        self.0.close();
    }
}
