//! The IDX format of MNIST and FashionMNIST: a big-endian header, then bytes.

use std::path::Path;

use crate::error::DataError;

const LABELS: u32 = 0x0801;
const IMAGES: u32 = 0x0803;

/// Labels, `[n]`, each below `classes`. `path` is for messages.
pub(crate) fn labels(path: &Path, bytes: &[u8], classes: u32) -> Result<Vec<u32>, DataError> {
    let ([_], data) = body::<1>(path, bytes, LABELS)?;
    if let Some(index) = data.iter().position(|&label| u32::from(label) >= classes) {
        let problem = format!("label {}, but there are {classes} classes: the file is damaged; fetch it again", data[index]);
        return Err(DataError::Corrupt { path: path.into(), offset: (bytes.len() - data.len() + index) as u64, problem });
    }
    Ok(data.iter().map(|&label| u32::from(label)).collect())
}

/// Grey images of `side` x `side` pixels, `[n, side, side]`. `path` is for messages.
pub(crate) fn images<'a>(path: &Path, bytes: &'a [u8], side: usize) -> Result<&'a [u8], DataError> {
    let ([_, rows, columns], data) = body::<3>(path, bytes, IMAGES)?;
    if (rows, columns) != (side, side) {
        let problem = format!("the header says images of {rows} x {columns} pixels, expected {side} x {side}");
        return Err(DataError::Corrupt { path: path.into(), offset: 8, problem });
    }
    Ok(data)
}

/// The header's sizes and the data, whose length they must give. Nothing is allocated for what a header claims.
fn body<'a, const D: usize>(path: &Path, bytes: &'a [u8], magic: u32) -> Result<([usize; D], &'a [u8]), DataError> {
    let corrupt = |offset: usize, problem: String| Err(DataError::Corrupt { path: path.into(), offset: offset as u64, problem });
    let header = 4 + 4 * D;
    if bytes.len() < header {
        return corrupt(bytes.len(), format!("the file ends within its header of {header} bytes: it is truncated; fetch it again"));
    }
    let word = |i: usize| u32::from_be_bytes([bytes[4 * i], bytes[4 * i + 1], bytes[4 * i + 2], bytes[4 * i + 3]]);
    if word(0) != magic {
        return corrupt(
            0,
            format!("the file starts with {:#010x}, an IDX file of this kind with {magic:#010x}: it is another kind of file", word(0)),
        );
    }
    let sizes: [usize; D] = std::array::from_fn(|i| word(i + 1) as usize);
    let data = &bytes[header..];
    let expected = sizes.iter().try_fold(1_usize, |product, &size| product.checked_mul(size));
    if sizes[0] == 0 {
        return corrupt(4, "the header says 0 items".into());
    }
    if expected != Some(data.len()) {
        let claimed = expected.map_or("more bytes than a file can have".into(), |n| format!("{n} bytes"));
        return corrupt(
            bytes.len(),
            format!("the header promises {claimed} of data, the file has {}: it is truncated or damaged; fetch it again", data.len()),
        );
    }
    Ok((sizes, data))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(words: &[u32], data: &[u8]) -> Vec<u8> {
        words.iter().flat_map(|w| w.to_be_bytes()).chain(data.iter().copied()).collect()
    }

    fn message<T: std::fmt::Debug>(result: Result<T, DataError>) -> String {
        result.unwrap_err().to_string()
    }

    #[test]
    fn whole_files_are_read() {
        let path = Path::new("x");
        assert_eq!(labels(path, &file(&[LABELS, 3], &[0, 9, 4]), 10).unwrap(), [0, 9, 4]);
        assert_eq!(images(path, &file(&[IMAGES, 2, 2, 2], &[1, 2, 3, 4, 5, 6, 7, 8]), 2).unwrap(), [1, 2, 3, 4, 5, 6, 7, 8]);
    }

    #[test]
    fn damage_is_named_with_its_offset() {
        let path = Path::new("x");
        assert!(message(labels(path, &file(&[LABELS, 3], &[0, 10, 4]), 10)).starts_with("x: at byte 9: label 10"));
        assert!(
            message(labels(path, &file(&[LABELS, 3], &[0, 1]), 10))
                .starts_with("x: at byte 10: the header promises 3 bytes of data, the file has 2")
        );
        assert!(message(labels(path, &file(&[LABELS, 0], &[]), 10)).starts_with("x: at byte 4: the header says 0 items"));
        assert!(message(labels(path, &file(&[IMAGES, 3], &[0, 1, 2]), 10)).starts_with("x: at byte 0: the file starts with 0x00000803"));
        assert!(message(labels(path, &[0, 0], 10)).starts_with("x: at byte 2: the file ends within its header"));
        assert!(message(images(path, &file(&[IMAGES, 1, 2, 4], &[0; 8]), 2)).starts_with("x: at byte 8: the header says images of 2 x 4"));
        assert!(message(images(path, &file(&[IMAGES, u32::MAX, u32::MAX, u32::MAX], &[]), 2)).contains("more bytes than a file can have"));
    }
}
