//! Data set names.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::error::DataError;

/// A data set that can be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DatasetName {
    /// 50,000 + 10,000 colour images of 32 x 32, 10 classes.
    Cifar10,
    /// 50,000 + 10,000 colour images of 32 x 32, 100 (fine) classes.
    Cifar100,
    /// 60,000 + 10,000 grey images of 28 x 28, padded to 32 x 32, 10 classes.
    FashionMnist,
    /// 6,000 + 1,000 of them, compiled in.
    FashionMnistSample,
    /// An image folder.
    Folder(PathBuf),
}

/// The known names.
pub const NAMES: [&str; 4] = ["CIFAR10", "CIFAR100", "FashionMNIST", "FashionMNIST-sample"];

impl DatasetName {
    /// Finds a name whatever its case, or else an existing folder.
    pub fn parse(text: &str) -> Result<Self, DataError> {
        let known = [Self::Cifar10, Self::Cifar100, Self::FashionMnist, Self::FashionMnistSample];
        if let Some(index) = NAMES.iter().position(|name| name.eq_ignore_ascii_case(text)) {
            return Ok(known[index].clone());
        }
        if Path::new(text).is_dir() {
            return Ok(Self::Folder(text.into()));
        }
        Err(DataError::UnknownDataset {
            name: text.into(),
            hint: hint(text),
            known: format!("{}, or a folder with one sub-folder per class", NAMES.join(", ")),
        })
    }

    /// Zeros on each side of the stored images, which a picture from outside needs too (see [`crate::read_picture`]).
    pub fn border(&self) -> usize {
        match self {
            Self::FashionMnist | Self::FashionMnistSample => crate::fashion_mnist::BORDER,
            Self::Cifar10 | Self::Cifar100 | Self::Folder(_) => 0,
        }
    }
}

impl fmt::Display for DatasetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cifar10 => f.write_str(NAMES[0]),
            Self::Cifar100 => f.write_str(NAMES[1]),
            Self::FashionMnist => f.write_str(NAMES[2]),
            Self::FashionMnistSample => f.write_str(NAMES[3]),
            Self::Folder(folder) => folder.display().fmt(f),
        }
    }
}

/// `; did you mean CIFAR10?` where a known name is at most three edits away, case and punctuation aside.
fn hint(text: &str) -> String {
    let plain = |text: &str| text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect::<Vec<char>>();
    let typed = plain(text);
    let nearest = NAMES.iter().map(|name| (edit_distance(&typed, &plain(name)), *name)).min();
    nearest.filter(|(distance, _)| *distance <= 3).map_or(String::new(), |(_, name)| format!("; did you mean {name}?"))
}

fn edit_distance(a: &[char], b: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, &from) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, &to) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(from != to);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_whatever_their_case_and_typos_get_a_hint() {
        assert_eq!(DatasetName::parse("cifar10").unwrap(), DatasetName::Cifar10);
        assert_eq!(DatasetName::parse("fashionmnist-SAMPLE").unwrap().to_string(), "FashionMNIST-sample");
        let message = |text: &str| DatasetName::parse(text).unwrap_err().to_string();
        assert!(message("CIFAR-10").contains("did you mean CIFAR10?"), "{}", message("CIFAR-10"));
        assert!(message("fashon_mnist").contains("did you mean FashionMNIST?"));
        assert!(!message("flowers").contains("did you mean"));
        assert!(message("flowers").contains("known are CIFAR10, CIFAR100, FashionMNIST, FashionMNIST-sample, or a folder"));
    }
}
