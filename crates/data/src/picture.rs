//! Pictures from files: decoding within bounds, fitting to a network's input, and writing PNG.

use std::fs::File;
use std::io::{BufReader, Cursor, Read};
use std::path::Path;

use image::imageops::FilterType;
use image::{DynamicImage, ExtendedColorType, ImageEncoder, ImageFormat, ImageReader, Limits, codecs::png::PngEncoder};

use crate::dataset::Shape;
use crate::error::DataError;

/// A picture's file is not larger; a decoder reads the whole file.
const LARGEST_FILE: u64 = 256 << 20;
/// Neither is a side of a picture longer, whatever its header says.
const LARGEST_SIDE: u32 = 20_000;
/// What a decoder may allocate.
const LARGEST_ALLOCATION: u64 = 1 << 30;

/// Reads a PNG or JPEG file and fits it to `shape`: see [`decode_picture`].
pub fn read_picture(path: &Path, shape: Shape, border: usize) -> Result<Vec<u8>, DataError> {
    let mut bytes = vec![];
    let file = File::open(path).map_err(DataError::io("open", path))?;
    BufReader::new(file).take(LARGEST_FILE + 1).read_to_end(&mut bytes).map_err(DataError::io("read", path))?;
    decode_picture(path, &bytes, shape, border)
}

/// Decodes PNG or JPEG bytes and fits the picture to `shape`, `[h, w, c]`: transparency is dropped, the largest centred
/// part of the shape's proportions is taken and scaled (bilinear with antialiasing), which is what torchvision's
/// `Resize` and `CenterCrop` amount to; `border` zeros are left on each side (FashionMNIST: 2). As in torchvision, a
/// camera's orientation tag is not followed. `path` is for messages.
pub fn decode_picture(path: &Path, bytes: &[u8], shape: Shape, border: usize) -> Result<Vec<u8>, DataError> {
    let bad = |problem: String| DataError::Image { path: path.into(), problem };
    if bytes.len() as u64 > LARGEST_FILE {
        return Err(bad(format!("the file is larger than {LARGEST_FILE} bytes")));
    }
    let format = match image::guess_format(bytes) {
        Ok(format @ (ImageFormat::Png | ImageFormat::Jpeg)) => format,
        Ok(other) => return Err(bad(format!("it is a {} file", other.extensions_str().first().unwrap_or(&"foreign")))),
        Err(_) => return Err(bad("its first bytes are not those of an image".into())),
    };
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = Limits::default();
    (limits.max_image_width, limits.max_image_height, limits.max_alloc) =
        (Some(LARGEST_SIDE), Some(LARGEST_SIDE), Some(LARGEST_ALLOCATION));
    reader.limits(limits);
    let picture = reader.decode().map_err(|error| bad(error.to_string()))?;
    Ok(fit(picture, shape, border))
}

fn fit(picture: DynamicImage, shape: Shape, border: usize) -> Vec<u8> {
    let Shape { height, width, channels } = shape;
    let (inner_height, inner_width) = (height.saturating_sub(2 * border).max(1), width.saturating_sub(2 * border).max(1));
    // Fewer channels first: scaling is the expensive part.
    let picture = if channels == 1 { DynamicImage::ImageLuma8(picture.to_luma8()) } else { DynamicImage::ImageRgb8(picture.to_rgb8()) };
    let (from_height, from_width) = (picture.height() as usize, picture.width() as usize);
    let scale = (from_height as f64 / inner_height as f64).min(from_width as f64 / inner_width as f64);
    let part = |inner: usize, from: usize| ((inner as f64 * scale).round() as usize).clamp(1, from);
    let (part_height, part_width) = (part(inner_height, from_height), part(inner_width, from_width));
    let (top, left) = ((from_height - part_height) / 2, (from_width - part_width) / 2);
    let mut picture = picture.crop_imm(left as u32, top as u32, part_width as u32, part_height as u32);
    if (part_height, part_width) != (inner_height, inner_width) {
        picture = picture.resize_exact(inner_width as u32, inner_height as u32, FilterType::Triangle);
    }
    let values = picture.into_bytes();
    if border == 0 {
        return values;
    }
    let mut bordered = vec![0; shape.len()];
    for (y, row) in values.chunks_exact(inner_width * channels).enumerate() {
        bordered[((y + border) * width + border) * channels..][..row.len()].copy_from_slice(row);
    }
    bordered
}

/// The bytes of a PNG file of `rgb`, `[height, width, 3]`.
pub fn png(rgb: &[u8], width: usize, height: usize) -> Result<Vec<u8>, DataError> {
    let mut bytes = vec![];
    PngEncoder::new(&mut bytes)
        .write_image(rgb, width as u32, height as u32, ExtendedColorType::Rgb8)
        .map_err(|error| DataError::Image { path: "(a new PNG)".into(), problem: error.to_string() })?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: Shape = Shape { height: 4, width: 4, channels: 3 };

    fn decode(bytes: &[u8], shape: Shape, border: usize) -> Result<Vec<u8>, String> {
        decode_picture(Path::new("x.png"), bytes, shape, border).map_err(|error| error.to_string())
    }

    #[test]
    fn a_picture_of_the_right_size_keeps_its_bytes() {
        let rgb: Vec<u8> = (0..48).map(|i| i * 5).collect();
        assert_eq!(decode(&png(&rgb, 4, 4).unwrap(), SHAPE, 0).unwrap(), rgb);
    }

    #[test]
    fn the_centre_is_taken_and_scaled() {
        // Red, green and blue thirds of 4 columns each, 8 rows high: the centred square has columns 2 to 9.
        let rgb: Vec<u8> = (0..8 * 12).flat_map(|i| [[255, 0, 0], [0, 255, 0], [0, 0, 255]][i % 12 / 4]).collect();
        let out = decode(&png(&rgb, 12, 8).unwrap(), SHAPE, 0).unwrap();
        assert_eq!(out[..3], out[12..15]);
        assert!(out[0] > 150 && out[4] > 150 && out[11] > 150, "{out:?}");
        let grey = decode(&png(&rgb, 12, 8).unwrap(), Shape { channels: 1, ..SHAPE }, 0).unwrap();
        assert_eq!(grey.len(), 16);
    }

    #[test]
    fn a_border_of_zeros_is_left() {
        let out = decode(&png(&[200; 12], 2, 2).unwrap(), SHAPE, 1).unwrap();
        let expected: Vec<u8> =
            (0..48).map(|i| if (1..3).contains(&(i / 12)) && (1..3).contains(&(i / 3 % 4)) { 200 } else { 0 }).collect();
        assert_eq!(out, expected);
    }

    #[test]
    fn what_is_no_picture_is_refused_by_name() {
        assert!(
            decode(b"hello", SHAPE, 0)
                .unwrap_err()
                .starts_with("x.png is not an image that can be read (its first bytes are not those of an image)")
        );
        assert!(decode(b"GIF89a.......", SHAPE, 0).unwrap_err().contains("it is a gif file"));
        let whole = png(&[7; 48], 4, 4).unwrap();
        assert!(decode(&whole[..whole.len() - 20], SHAPE, 0).unwrap_err().contains("is not an image that can be read"));
        // A header that claims 100,000 x 100,000 pixels.
        let mut huge = whole;
        huge[16..24].copy_from_slice(&[0, 1, 0x86, 0xa0, 0, 1, 0x86, 0xa0]);
        assert!(decode(&huge, SHAPE, 0).is_err());
    }
}
