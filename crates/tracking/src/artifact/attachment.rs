//! Under which name a browser saves a file that it gets from a bucket.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What Python's `urllib.parse.quote` leaves as it is, in a name without slashes.
const QUOTED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'_').remove(b'.').remove(b'-').remove(b'~');

/// A `Content-Disposition` of a download, as MLflow has a bucket answer with it: without it a browser would show the file, scripts
/// and all.
pub(super) fn attachment(name: &str) -> String {
    if name.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return format!("attachment; filename=\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""));
    }
    format!("attachment; filename*=UTF-8''{}", utf8_percent_encode(name, QUOTED))
}

#[cfg(test)]
mod tests {
    use super::attachment;

    /// What MLflow 3.17.2's `_attachment_content_disposition` gave.
    #[test]
    fn names_are_mlflows() {
        for (name, header) in [
            ("a b.txt", r#"attachment; filename="a b.txt""#),
            (r#"a"b\c"#, r#"attachment; filename="a\"b\\c""#),
            ("안목-1_~.png", "attachment; filename*=UTF-8''%EC%95%88%EB%AA%A9-1_~.png"),
            ("a\nb", "attachment; filename*=UTF-8''a%0Ab"),
        ] {
            assert_eq!(attachment(name), header);
        }
    }
}
