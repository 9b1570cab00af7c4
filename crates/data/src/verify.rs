//! Whether a data set's files are the published ones.

use std::path::PathBuf;

use crate::error::DataError;
use crate::files;
use crate::name::DatasetName;
use crate::official;
use crate::open::{OpenOptions, open};

/// One file that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedFile {
    /// The file, or `archive:member`.
    pub path: PathBuf,
    /// Size of the unpacked contents.
    pub bytes: u64,
    /// MD5 of the unpacked contents.
    pub md5: String,
    /// Whether they are the published ones.
    pub is_official: bool,
}

/// What [`verify`] saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verification {
    /// The folder or archive, or `built in`.
    pub place: String,
    /// The published files; none for a folder of pictures or the built-in sample.
    pub files: Vec<CheckedFile>,
    /// Images for training and validation.
    pub train_images: usize,
    /// Images for the test.
    pub test_images: usize,
    /// What a user should know.
    pub warnings: Vec<String>,
}

impl Verification {
    /// Whether every published file is as published. (What cannot be read at all is an error of [`verify`].)
    pub fn passed(&self) -> bool {
        self.files.iter().all(|file| file.is_official)
    }
}

/// Reads all of a data set: every record, every picture, and the digests of published files.
pub fn verify(name: &str, options: &OpenOptions) -> Result<Verification, DataError> {
    let splits = open(name, options)?;
    let files = match official::of(&DatasetName::parse(name)?) {
        Some(official) => files::read_all(official, &options.data_dir)?.1,
        None => vec![],
    };
    let checked =
        |file: files::Contents| CheckedFile { path: file.path, bytes: file.bytes.len() as u64, md5: file.md5, is_official: file.official };
    Ok(Verification {
        place: splits.train.source().to_owned(),
        files: files.into_iter().map(checked).collect(),
        train_images: splits.train.len(),
        test_images: splits.test.len(),
        warnings: splits.warnings,
    })
}
