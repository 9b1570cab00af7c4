//! Properties of the parsers of foreign bytes: no bytes make them panic, and what they accept is consistent.

use std::fs;
use std::io::Write;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::dataset::Shape;
use crate::{OpenOptions, cifar, decode_picture, idx, open, png};

/// Mostly noise, sometimes a few right words first, so that the parsers get past their first check.
fn bytes_after(starts: &'static [&'static [u8]], most: usize) -> impl Strategy<Value = Vec<u8>> {
    (proptest::sample::select(starts), vec(any::<u8>(), 0..most)).prop_map(|(start, rest)| [start, &rest].concat())
}

/// A whole file with some bytes changed and its end cut off.
fn damaged(whole: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
    let length = whole.len();
    (vec((0..length, any::<u8>()), 0..8), 0..=length).prop_map(move |(changes, kept)| {
        let mut bytes = whole.clone();
        changes.into_iter().for_each(|(at, value)| bytes[at] = value);
        bytes.truncate(kept);
        bytes
    })
}

const IDX_STARTS: &[&[u8]] = &[
    b"",
    &[0, 0, 8, 1],
    &[0, 0, 8, 3],
    &[0, 0, 8, 3, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 28, 0, 0, 0, 28],
    &[0, 0, 8, 3, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
    &[0, 0, 8, 1, 0xff, 0xff, 0xff, 0xff],
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn cifar_bytes_are_accepted_whole_or_refused(label in 0_u8..120, records in 0_usize..3, tail in 0_usize..3074, layout in proptest::sample::select(&[cifar::CIFAR10, cifar::CIFAR100][..])) {
        let record = layout.label_bytes + 3072;
        let bytes = vec![label; records * record + tail];
        let (mut images, mut labels) = (vec![], vec![]);
        let result = cifar::parse(Path::new("x"), &bytes, layout, &mut images, &mut labels);
        let is_whole = !bytes.is_empty() && bytes.len() % record == 0 && usize::from(label) < layout.classes;
        prop_assert_eq!(result.is_ok(), is_whole);
        if is_whole {
            prop_assert_eq!((images.len(), labels.len()), (bytes.len() / record * 3072, bytes.len() / record));
        }
    }

    #[test]
    fn idx_bytes_never_panic_and_what_is_accepted_is_as_long_as_it_says(bytes in bytes_after(IDX_STARTS, 3000)) {
        if let Ok(labels) = idx::labels(Path::new("x"), &bytes, 10) {
            prop_assert!(labels.len() + 8 == bytes.len() && labels.iter().all(|&label| label < 10));
        }
        if let Ok(images) = idx::images(Path::new("x"), &bytes, 28) {
            prop_assert!(images.len() + 16 == bytes.len() && images.len() % 784 == 0);
        }
    }

    #[test]
    fn damaged_pictures_never_panic(bytes in prop_oneof![damaged(a_png()), damaged(A_JPEG.to_vec()), bytes_after(&[b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0"], 500)]) {
        let shape = Shape { height: 8, width: 8, channels: 3 };
        if let Ok(pixels) = decode_picture(Path::new("x"), &bytes, shape, 1) {
            prop_assert_eq!(pixels.len(), shape.len());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    /// The files of all three published data sets filled with anything; an archive and packed files too.
    #[test]
    fn folders_of_anything_never_panic(contents in vec(prop_oneof![bytes_after(IDX_STARTS, 100), damaged(packed()), Just(vec![3; 3073]), Just(vec![3; 3074])], 13)) {
        let folder = tempfile::tempdir()?;
        let names = [
            "data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin", "test_batch.bin", "train.bin", "test.bin.gz",
            "train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte", "cifar-100-binary.tar.gz",
        ];
        for (name, bytes) in names.iter().zip(&contents) {
            fs::write(folder.path().join(name), bytes)?;
        }
        for name in ["CIFAR10", "CIFAR100", "FashionMNIST"] {
            // Accepted or refused: both are fine here.
            let _ = open(name, &OpenOptions::new(folder.path()));
        }
        fs::remove_file(folder.path().join("train.bin"))?;
        let _ = open("CIFAR100", &OpenOptions::new(folder.path()));
    }
}

fn a_png() -> Vec<u8> {
    png(&(0..300).map(|i| (i * 7) as u8).collect::<Vec<u8>>(), 10, 10).unwrap()
}

/// 10 x 10 pixels, written by Pillow.
static A_JPEG: &[u8] = include_bytes!("../tests/golden/tiny.jpg");

fn packed() -> Vec<u8> {
    let mut encoder = GzEncoder::new(vec![], Compression::fast());
    encoder.write_all(&[0, 0, 8, 1, 0, 0, 0, 2, 5, 6]).unwrap();
    encoder.finish().unwrap()
}
