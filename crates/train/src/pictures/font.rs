//! The built-in font (Inter, Latin script, two weights), the widths of texts, and the machine's fonts for other scripts.

use std::collections::HashMap;
use std::sync::LazyLock;

use ttf_parser::gpos::{PairAdjustment, PositioningSubtable};
use ttf_parser::{Face, GlyphId, OutlineBuilder, Tag};
use unicode_normalization::UnicodeNormalization;

/// How the SVG names the font: the built-in one first, then what machines have that looks alike and is no wider.
pub(super) const FAMILIES: &str =
    "Inter, 'Noto Sans', 'Noto Sans KR', 'Noto Sans CJK KR', 'Apple SD Gothic Neo', 'Malgun Gothic', 'Helvetica Neue', Arial, sans-serif";

/// Height of a capital letter over the size of the font (Inter: 2048 of 2816 units).
pub(super) const CAP_HEIGHT: f64 = 0.727;

/// The two weights in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Weight {
    Regular,
    SemiBold,
}

impl Weight {
    /// The number CSS gives it.
    pub(super) fn number(self) -> u16 {
        match self {
            Self::Regular => 400,
            Self::SemiBold => 600,
        }
    }

    fn built_in(self) -> &'static Face<'static> {
        static REGULAR: LazyLock<Face<'static>> = LazyLock::new(|| built_in(include_bytes!("../../assets/fonts/inter-regular.otf")));
        static SEMI_BOLD: LazyLock<Face<'static>> = LazyLock::new(|| built_in(include_bytes!("../../assets/fonts/inter-semibold.otf")));
        match self {
            Self::Regular => &REGULAR,
            Self::SemiBold => &SEMI_BOLD,
        }
    }
}

fn built_in(bytes: &'static [u8]) -> Face<'static> {
    Face::parse(bytes, 0).expect("the font compiled into the binary is valid")
}

/// A text as it is drawn: accents and Hangul composed (folder names on macOS come decomposed), and no control characters,
/// which XML forbids and which have no shape.
pub(super) fn displayable(text: &str) -> String {
    let forbidden = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{fffe}' | '\u{ffff}');
    text.nfc().map(|c| if forbidden(c) { ' ' } else { c }).collect()
}

/// Width of a text in points. Letters that the built-in font lacks are estimated, so that a layout does not depend on
/// the fonts of the machine.
pub(super) fn width(text: &str, size: f64, weight: Weight) -> f64 {
    let face = weight.built_in();
    let mut units = 0.0;
    let mut previous = None;
    for c in text.chars() {
        let glyph = face.glyph_index(c);
        units += match glyph {
            Some(glyph) => advance(face, glyph) + previous.map_or(0.0, |previous| kerning(face, previous, glyph)),
            None => estimated_advance(c) * f64::from(face.units_per_em()),
        };
        previous = glyph;
    }
    units * size / f64::from(face.units_per_em())
}

/// The text, cut with an ellipsis where it is wider than `room` points.
pub(super) fn fitted(text: &str, room: f64, size: f64, weight: Weight) -> String {
    let text = displayable(text);
    if width(&text, size, weight) <= room {
        return text;
    }
    let mut kept = text.as_str();
    while let Some((last, _)) = kept.char_indices().next_back() {
        kept = &kept[..last];
        let cut = format!("{}…", kept.trim_end());
        if width(&cut, size, weight) <= room {
            return cut;
        }
    }
    "…".into()
}

fn advance(face: &Face<'_>, glyph: GlyphId) -> f64 {
    f64::from(face.glyph_hor_advance(glyph).unwrap_or(0))
}

/// In ems: wide East Asian letters and pictographs 1, combining marks 0, all others about an average capital.
fn estimated_advance(c: char) -> f64 {
    match u32::from(c) {
        0x0300..=0x036f | 0x200b..=0x200f | 0xfe00..=0xfe0f => 0.0,
        0x1100..=0x115f | 0x2e80..=0xa4cf | 0xac00..=0xd7a3 | 0xf900..=0xfaff | 0xfe30..=0xfe4f | 0xff00..=0xff60 => 1.0,
        0x1_f300..=0x1_faff | 0x2_0000..=0x3_fffd => 1.0,
        _ => 0.62,
    }
}

/// The pair adjustment of the font's `kern` feature, in font units.
fn kerning(face: &Face<'_>, left: GlyphId, right: GlyphId) -> f64 {
    let Some(table) = face.tables().gpos else { return 0.0 };
    let Some(feature) = table.features.find(Tag::from_bytes(b"kern")) else { return 0.0 };
    for lookup in feature.lookup_indices.into_iter().filter_map(|index| table.lookups.get(index)) {
        for subtable in lookup.subtables.into_iter::<PositioningSubtable<'_>>() {
            let PositioningSubtable::Pair(pairs) = subtable else { continue };
            let Some(index) = pairs.coverage().get(left) else { continue };
            let found = match pairs {
                PairAdjustment::Format1 { sets, .. } => sets.get(index).and_then(|set| set.get(right)),
                PairAdjustment::Format2 { classes, matrix, .. } => matrix.get((classes.0.get(left), classes.1.get(right))),
            };
            // A pair that a subtable covers is settled there, even when it moves nothing (OpenType, "GPOS lookup type 2").
            if let Some((first, _)) = found {
                return f64::from(first.x_advance);
            }
        }
    }
    0.0
}

/// Takes the outline of a text, in units of its size, `y` upwards from the baseline.
pub(super) trait Pen {
    fn move_to(&mut self, x: f64, y: f64);
    fn line_to(&mut self, x: f64, y: f64);
    fn quad_to(&mut self, control: (f64, f64), x: f64, y: f64);
    fn curve_to(&mut self, first: (f64, f64), second: (f64, f64), x: f64, y: f64);
    fn close(&mut self);
}

/// Draws texts letter by letter, with the machine's fonts for what the built-in one lacks. They are looked up only when a
/// text needs them, once per drawing.
#[derive(Default)]
pub(super) struct Typesetter {
    system: Option<SystemFonts>,
}

impl Typesetter {
    /// Draws the outline of `text` into `pen` and returns the width, both over the size of the font.
    pub(super) fn outline(&mut self, text: &str, weight: Weight, pen: &mut dyn Pen) -> f64 {
        let face = weight.built_in();
        let em = f64::from(face.units_per_em());
        let mut x = 0.0;
        let mut previous = None;
        for c in text.chars() {
            let glyph = face.glyph_index(c);
            if let Some(glyph) = glyph {
                x += previous.map_or(0.0, |previous| kerning(face, previous, glyph)) / em;
                x += draw_glyph(face, glyph, x, pen);
            } else {
                let system = self.system.get_or_insert_with(SystemFonts::load);
                x += system.draw(c, weight, x, pen).unwrap_or_else(|| draw_glyph(face, GlyphId(0), x, pen));
            }
            previous = glyph;
        }
        x
    }
}

/// Returns the advance, over the size of the font.
fn draw_glyph(face: &Face<'_>, glyph: GlyphId, x: f64, pen: &mut dyn Pen) -> f64 {
    let scale = 1.0 / f64::from(face.units_per_em());
    face.outline_glyph(glyph, &mut Placed { pen, x, scale });
    advance(face, glyph) * scale
}

struct Placed<'a> {
    pen: &'a mut dyn Pen,
    x: f64,
    scale: f64,
}

impl Placed<'_> {
    fn at(&self, x: f32, y: f32) -> (f64, f64) {
        (self.x + f64::from(x) * self.scale, f64::from(y) * self.scale)
    }
}

impl OutlineBuilder for Placed<'_> {
    fn move_to(&mut self, x: f32, y: f32) {
        let (x, y) = self.at(x, y);
        self.pen.move_to(x, y);
    }

    fn line_to(&mut self, x: f32, y: f32) {
        let (x, y) = self.at(x, y);
        self.pen.line_to(x, y);
    }

    fn quad_to(&mut self, x1: f32, y1: f32, x: f32, y: f32) {
        let (control, (x, y)) = (self.at(x1, y1), self.at(x, y));
        self.pen.quad_to(control, x, y);
    }

    fn curve_to(&mut self, x1: f32, y1: f32, x2: f32, y2: f32, x: f32, y: f32) {
        let (first, second, (x, y)) = (self.at(x1, y1), self.at(x2, y2), self.at(x, y));
        self.pen.curve_to(first, second, x, y);
    }

    fn close(&mut self) {
        self.pen.close();
    }
}

/// The fonts installed on this machine, in the order in which they are tried.
struct SystemFonts {
    database: fontdb::Database,
    order: Vec<fontdb::ID>,
    found: HashMap<(char, u16), Option<fontdb::ID>>,
}

impl SystemFonts {
    fn load() -> Self {
        let mut database = fontdb::Database::new();
        database.load_system_fonts();
        let mut faces: Vec<_> = database.faces().filter(|face| face.style == fontdb::Style::Normal).collect();
        // By name among equals: the order of a folder's files differs from machine to machine.
        faces.sort_by_cached_key(|face| (unlikeness(&face.post_script_name, face.monospaced), face.post_script_name.clone(), face.index));
        let order = faces.iter().map(|face| face.id).collect();
        Self { database, order, found: HashMap::new() }
    }

    fn draw(&mut self, c: char, weight: Weight, x: f64, pen: &mut dyn Pen) -> Option<f64> {
        let id = self.font_of(c, weight)?;
        self.database.with_face_data(id, |bytes, index| {
            let face = Face::parse(bytes, index).ok()?;
            Some(draw_glyph(&face, face.glyph_index(c)?, x, pen))
        })?
    }

    /// The first font that has an outline for `c` (colour emoji have none), in the weight of its family closest to `weight`.
    fn font_of(&mut self, c: char, weight: Weight) -> Option<fontdb::ID> {
        if let Some(&known) = self.found.get(&(c, weight.number())) {
            return known;
        }
        let found = self.order.iter().copied().find(|&id| self.draws(id, c)).map(|id| self.in_weight(id, c, weight));
        self.found.insert((c, weight.number()), found);
        found
    }

    fn draws(&self, id: fontdb::ID, c: char) -> bool {
        let has_outline = |bytes: &[u8], index| {
            let face = Face::parse(bytes, index).ok()?;
            let glyph = face.glyph_index(c).filter(|glyph| glyph.0 != 0)?;
            (c.is_whitespace() || face.glyph_bounding_box(glyph).is_some()).then_some(())
        };
        self.database.with_face_data(id, has_outline).flatten().is_some()
    }

    fn in_weight(&self, id: fontdb::ID, c: char, weight: Weight) -> fontdb::ID {
        let Some(family) = self.database.face(id).and_then(|face| face.families.first()) else { return id };
        let query =
            fontdb::Query { families: &[fontdb::Family::Name(&family.0)], weight: fontdb::Weight(weight.number()), ..Default::default() };
        self.database.query(&query).filter(|&sibling| self.draws(sibling, c)).unwrap_or(id)
    }
}

/// How little a font looks like the built-in one, judged by its name.
fn unlikeness(name: &str, monospaced: bool) -> u8 {
    let name = name.to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| name.contains(word));
    if has(&["lastresort", "fallback", "unifont"]) {
        4
    } else if monospaced || has(&["mono", "serif", "mincho", "myungjo", "batang", "ming", "song"]) && !has(&["sansserif"]) {
        3
    } else if has(&["condensed", "light", "thin", "black", "heavy", "display"]) {
        2
    } else if has(&["sans", "gothic", "gulim"]) {
        0
    } else {
        1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_count_kerning_and_follow_the_size() {
        let width_at = |size| width("Training loss", size, Weight::Regular);
        assert!((width_at(24.0) - 2.0 * width_at(12.0)).abs() < 1e-9);
        let apart = width("T", 100.0, Weight::Regular) + width("o", 100.0, Weight::Regular);
        assert!(width("To", 100.0, Weight::Regular) < apart - 3.0, "the pair T, o is kerned");
        assert!(width("accuracy", 12.0, Weight::SemiBold) > width("accuracy", 12.0, Weight::Regular));
    }

    #[test]
    fn the_outline_is_as_wide_as_the_layout_thinks() {
        struct Discard;
        impl Pen for Discard {
            fn move_to(&mut self, _: f64, _: f64) {}
            fn line_to(&mut self, _: f64, _: f64) {}
            fn quad_to(&mut self, _: (f64, f64), _: f64, _: f64) {}
            fn curve_to(&mut self, _: (f64, f64), _: (f64, f64), _: f64, _: f64) {}
            fn close(&mut self) {}
        }
        let text = "Wavy Tables: 97.3 % → Ångström…";
        let drawn = Typesetter::default().outline(text, Weight::SemiBold, &mut Discard);
        assert!((drawn * 13.0 - width(text, 13.0, Weight::SemiBold)).abs() < 1e-9);
    }

    #[test]
    fn long_texts_end_in_an_ellipsis_and_fit() {
        let check = |text: &str, room: f64, expected: &str| {
            let cut = fitted(text, room, 12.0, Weight::Regular);
            assert_eq!(cut, expected);
            assert!(width(&cut, 12.0, Weight::Regular) <= room);
        };
        check("airplane", 200.0, "airplane");
        check("a rather long class name", 80.0, "a rather lon…");
        check("비행기와 자동차와 새", 60.0, "비행기와…");
        check("frog", 10.0, "…");
    }

    #[test]
    fn decomposed_hangul_and_accents_are_composed_and_controls_removed() {
        assert_eq!(displayable("\u{1112}\u{1161}\u{11ab}"), "한");
        assert_eq!(displayable("cafe\u{301}\u{7}\n"), "café  ");
    }
}
