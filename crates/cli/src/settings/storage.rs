//! The folders that commands read and write.

use super::value::{Kind, Optional, Text};
use super::{Section, setting};

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
    ],
};
