//! Multiply-adds and the summary's rows.
