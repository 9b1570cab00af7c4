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
    #[error("{dataset} is not in {}: missing {missing}. Type `anmok data fetch {dataset}` to download it ({megabytes} MB), set DATA_DIR to the folder that holds it, or try DATASET=FashionMNIST-sample, which needs no files", .place.display())]
    Missing {
        /// The data set's name.
        dataset: &'static str,
        /// The folder or archive where it was looked for.
        place: PathBuf,
        /// The files that were not found.
        missing: String,
        /// Size of the download.
        megabytes: u64,
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
    /// A host that cannot be reached, or that does not deliver.
    #[error(
        "cannot download {url}: {problem}. What has arrived is kept, and the same command goes on from there; or set a mirror (data_mirror: a URL or a folder), or take DATASET=FashionMNIST-sample, which needs no network"
    )]
    Unreachable {
        /// What was asked for.
        url: String,
        /// The last connection's end.
        problem: String,
    },
    /// A host that says no.
    #[error(
        "cannot download {url}: the host answers {status}; set a mirror (data_mirror: a URL or a folder), or take DATASET=FashionMNIST-sample, which needs no network"
    )]
    Refused {
        /// What was asked for.
        url: String,
        /// HTTP's status.
        status: u16,
    },
    /// The listener ended a fetch.
    #[error("fetching {what} was stopped; the same command goes on from there")]
    Stopped {
        /// The URL or data set.
        what: String,
    },
    /// Fetched bytes that are not the published ones.
    #[error(
        "{source_name} is not the published file: its digest is {found}, expected {expected}; nothing was put in place. Try another mirror (data_mirror)"
    )]
    Checksum {
        /// The URL or file.
        source_name: String,
        /// The published digest.
        expected: String,
        /// What was worked out, or why it could not be.
        found: String,
    },
    /// A file in the way of a fetch.
    #[error("{} is there already and is not the published file; it stays as it is. Move it away, choose another DATA_DIR, or ask to replace it", .path.display())]
    Occupied {
        /// The file.
        path: PathBuf,
    },
    /// Another process downloads the same file.
    #[error("{} is being downloaded by another process; wait for it", .path.display())]
    Busy {
        /// The partial file.
        path: PathBuf,
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
    /// Whether `FashionMNIST-sample` is a way out: the data is not here and does not come.
    pub fn is_remedied_by_sample(&self) -> bool {
        matches!(
            self,
            Self::Missing { .. } | Self::Unreachable { .. } | Self::Refused { .. } | Self::Stopped { .. } | Self::Checksum { .. }
        )
    }

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
