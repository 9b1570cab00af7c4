//! How a training run can be watched from outside.

use super::value::Address;
use super::{Section, Setting};

pub const SECTION: Section = Section {
    title: "Monitoring",
    of_recipe: false,
    settings: &[Setting {
        name: "metrics_addr",
        variables: &[],
        help: "Serve the live figures of a training run to Prometheus at this address, for example 127.0.0.1:9100",
        value: &Address { field: |s| &mut s.metrics_addr },
    }],
};
