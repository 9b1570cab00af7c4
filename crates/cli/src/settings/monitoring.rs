//! How a training run can be watched from outside.

use super::value::{Kind, Optional};
use super::{Section, setting};

pub const SECTION: Section = Section {
    title: "Monitoring",
    of_recipe: false,
    settings: &[setting(
        "metrics_addr",
        "Serve the live figures of a training run to Prometheus at this address; port 0 is any free one",
        &Optional {
            field: |s| &mut s.metrics_addr,
            kind: Kind::Text,
            noun: "ADDRESS:PORT",
            what: "an address and a port such as 127.0.0.1:9100",
            absent: "nothing is served",
        },
    )],
};
