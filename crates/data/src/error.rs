//! What goes wrong with data.

use std::io;
use std::path::PathBuf;

/// Every message says what was being done, to what, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// Neither a known name nor a folder.
    #[error("DATASET {name:?} is neither a known data set nor a folder{hint}; known are {known}")]
    UnknownDataset {
        /// What was asked for.
        name: String,
        /// `; did you mean CIFAR10?` or nothing.
        hint: String,
        /// The known names, listed.
        known: String,
    },
    /// The official files are not there.
    #[error("{dataset} is not in {}: missing {missing}. Type `anmok data fetch {dataset}` to download it, set DATA_DIR to the folder that holds it, or try DATASET=FashionMNIST-sample, which needs no files", .data_dir.display())]
    Missing {
        /// The data set's name.
        dataset: String,
        /// Where it was looked for.
        data_dir: PathBuf,
        /// The files that were not found.
        missing: String,
    },
    /// The operating system refused.
    #[error("cannot {doing} {}: {source}", .path.display())]
    Io {
        /// For example `read`.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A data file whose bytes make no sense.
    #[error("{}: at byte {offset}: {problem}", .path.display())]
    Corrupt {
        /// The file (or `archive:member`).
        path: PathBuf,
        /// Where in the (decompressed) file.
        offset: u64,
        /// What is wrong, and what was expected.
        problem: String,
    },
    /// A picture that cannot be decoded.
    #[error("{} is not an image that can be read ({problem}); an image folder holds PNG and JPEG files only: repair or remove it", .path.display())]
    Image {
        /// The file.
        path: PathBuf,
        /// The decoder's reason.
        problem: String,
    },
    /// An image folder without the expected structure.
    #[error("image folder {}: {problem}", .path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What is wrong, and what was expected.
        problem: String,
    },
    /// A setting outside its allowed values.
    #[error("{setting} is {value}; allowed: {allowed}")]
    Setting {
        /// The recipe's field name.
        setting: &'static str,
        /// What was given.
        value: String,
        /// What can be given.
        allowed: String,
    },
}

impl DataError {
    /// For `map_err` on a file operation.
    pub(crate) fn io(doing: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { doing, path, source }
    }

    /// For checks of settings.
    pub(crate) fn setting(setting: &'static str, value: impl ToString, allowed: impl Into<String>) -> Self {
        Self::Setting { setting, value: value.to_string(), allowed: allowed.into() }
    }
}
