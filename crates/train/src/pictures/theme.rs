//! The one look of all pictures: colours, type sizes, margins.

use super::drawing::{Color, TextStyle};
use super::font::Weight;

/// Distance of everything from the edge, in points.
pub(super) const MARGIN: f64 = 28.0;
/// Where the figure starts below title and subtitle.
pub(super) const TOP: f64 = 88.0;

pub(super) const WHITE: Color = Color::new(0xff, 0xff, 0xff);
pub(super) const INK: Color = Color::new(0x1b, 0x1f, 0x24);
pub(super) const MUTED: Color = Color::new(0x57, 0x60, 0x6a);
pub(super) const FAINT: Color = Color::new(0x9a, 0xa3, 0xad);
pub(super) const AXIS: Color = Color::new(0xb4, 0xbb, 0xc3);
pub(super) const GRID: Color = Color::new(0xe8, 0xea, 0xed);

// Okabe and Ito, "Color Universal Design" (2008): told apart with every common kind of colour blindness.
pub(super) const BLUE: Color = Color::new(0x00, 0x72, 0xb2);
pub(super) const VERMILLION: Color = Color::new(0xd5, 0x5e, 0x00);
pub(super) const GREEN: Color = Color::new(0x00, 0x9e, 0x73);
pub(super) const ORANGE: Color = Color::new(0xe6, 0x9f, 0x00);
/// Lighter blue and orange, for areas that lines are drawn over.
pub(super) const BLUE_TINT: Color = Color::new(0x82, 0xb5, 0xdd);
pub(super) const ORANGE_TINT: Color = Color::new(0xf4, 0xcf, 0x80);
pub(super) const SKY: Color = Color::new(0x56, 0xb4, 0xe9);
pub(super) const PURPLE: Color = Color::new(0xcc, 0x79, 0xa7);

/// One colour for each of several runs, in the order in which they are given out. Yellow is left out: it is lost on white.
pub(super) const SERIES: [Color; 7] = [BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, INK];

pub(super) const TITLE: TextStyle = TextStyle::new(19.0, Weight::SemiBold, INK);
pub(super) const SUBTITLE: TextStyle = TextStyle::new(12.5, Weight::Regular, MUTED);
pub(super) const HEADING: TextStyle = TextStyle::new(13.0, Weight::SemiBold, INK);
pub(super) const LABEL: TextStyle = TextStyle::new(12.0, Weight::Regular, INK);
pub(super) const TICK: TextStyle = TextStyle::new(11.0, Weight::Regular, MUTED);
