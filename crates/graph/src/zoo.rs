//! The networks by name.
