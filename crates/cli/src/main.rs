//! anmok
fn main() {}
