//! The folders that commands read and write.

use super::value::{Kind, Optional, Text};
use super::{Section, Setting, setting};

const JOURNAL_DIR: Setting = setting(
    "journal_dir",
    "Folder for what is logged until the tracking store has it, one sub-folder per run",
    &Text { field: |s| &mut s.journal_dir, noun: "FOLDER", what: "a folder" },
);

/// Those of [`SECTION`] that commands on recorded runs take as flags.
pub const OF_RECORDS: Section = Section { title: "Files", of_recipe: false, settings: &[JOURNAL_DIR] };

pub const SECTION: Section = Section {
    title: "Files",
    of_recipe: false,
    settings: &[
        setting(
            "data_dir",
            "Folder with the data sets' official files",
            &Text { field: |s| &mut s.data_dir, noun: "FOLDER", what: "a folder" },
        ),
        setting(
            "data_mirror",
            "Fetch data sets from this URL or folder instead of the official host",
            &Optional {
                field: |s| &mut s.data_mirror,
                kind: Kind::Text,
                noun: "URL|FOLDER",
                what: "a URL or a folder",
                absent: "the official host",
            },
        ),
        setting(
            "checkpoint_dir",
            "Folder for checkpoints, one sub-folder per run",
            &Text { field: |s| &mut s.checkpoint_dir, noun: "FOLDER", what: "a folder" },
        ),
        JOURNAL_DIR,
    ],
};
