//! The folders that commands read and write.

use super::value::{OptionalText, Place};
use super::{Section, Setting};

pub const SECTION: Section = Section {
    title: "Files",
    of_recipe: false,
    settings: &[
        Setting {
            name: "data_dir",
            variables: &[],
            help: "Folder with the data sets' official files",
            value: &Place { field: |s| &mut s.data_dir, what: "a folder" },
        },
        Setting {
            name: "data_mirror",
            variables: &[],
            help: "Fetch data sets from this URL or folder instead of the official host",
            value: &OptionalText { field: |s| &mut s.data_mirror, noun: "URL|FOLDER", what: "a URL or a folder" },
        },
        Setting {
            name: "checkpoint_dir",
            variables: &[],
            help: "Folder for checkpoints, one sub-folder per run",
            value: &Place { field: |s| &mut s.checkpoint_dir, what: "a folder" },
        },
    ],
};
