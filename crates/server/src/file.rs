//! A file as an answer, whole or in part, and a body as a file: piece by piece, at constant memory.

use std::time::{SystemTime, UNIX_EPOCH};

use anmok_protocol::{ApiError, ArtifactPath, ErrorCode};
use anmok_tracking::{ArtifactStore, ByteRange, NoDownload};
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use http_body_util::BodyExt;

use crate::answer::{Failure, text};
use crate::content_type;
use crate::security::header_text;
use crate::state::App;

/// Answers with a file, as an attachment: shown on this server's origin, a page among the artifacts could act for its reader.
pub(crate) async fn send(store: &ArtifactStore, path: &ArtifactPath, asked: &HeaderMap) -> Result<Response, Failure> {
    let range = header_text(asked, header::RANGE).and_then(byte_range);
    let partial = range.is_some();
    let download = match store.download(path, range).await {
        Ok(download) => download,
        Err(NoDownload::Absent) => {
            return Err(ApiError::new(ErrorCode::ResourceDoesNotExist, format!("No such artifact: '{path}'")).into());
        }
        Err(NoDownload::IsFolder) => {
            return Err(ApiError::invalid(format!("Artifact path refers to a directory, not a file: '{path}'")).into());
        }
        Err(NoDownload::OutOfRange(size)) => {
            let mut response = text(StatusCode::RANGE_NOT_SATISFIABLE, "");
            response.headers_mut().insert(header::CONTENT_RANGE, value(&format!("bytes */{size}")));
            return Ok(response);
        }
        Err(NoDownload::Failed(error)) => return Err(error.into()),
    };
    let tag = entity_tag(download.modified, download.size);
    if header_text(asked, header::IF_NONE_MATCH) == Some(tag.as_str()) {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        return Ok(response);
    }
    let length = download.range.end - download.range.start;
    let mut response = Response::new(Body::from_stream(download.bytes));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type::of(path.file_name())));
    headers.insert(header::CONTENT_LENGTH, length.into());
    headers.insert(header::CONTENT_DISPOSITION, value(&attachment(path.file_name())));
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(header::ETAG, value(&tag));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if partial {
        let range = format!("bytes {}-{}/{}", download.range.start, download.range.end.saturating_sub(1), download.size);
        headers.insert(header::CONTENT_RANGE, value(&range));
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    Ok(response)
}

/// Writes a body to a file, which appears when all of it has come.
pub(crate) async fn receive(app: &App, store: &ArtifactStore, path: &ArtifactPath, mut body: Body) -> Result<(), Failure> {
    let mut upload = store.upload(path).await?;
    loop {
        let frame = match tokio::time::timeout(app.options.patience, body.frame()).await {
            Ok(None) => break,
            Ok(Some(Ok(frame))) => frame,
            Ok(Some(Err(error))) => {
                return Err(ApiError::new(ErrorCode::BadRequest, format!("The upload of {path} broke off: {error}")).into());
            }
            Err(_) => {
                let seconds = app.options.patience.as_secs();
                return Err(ApiError::new(ErrorCode::BadRequest, format!("The upload of {path} was silent for {seconds} s.")).into());
            }
        };
        if let Ok(bytes) = frame.into_data() {
            upload.write(bytes).await?;
        }
    }
    Ok(upload.finish().await?)
}

/// One range of bytes. Others (several at once, other units) are ignored, as HTTP allows.
fn byte_range(header: &str) -> Option<ByteRange> {
    let (first, last) = header.strip_prefix("bytes=")?.split_once('-')?;
    let number = |text: &str| text.trim().parse::<u64>().ok();
    match (first.trim(), last.trim()) {
        ("", last) => number(last).map(ByteRange::Last),
        (first, "") => number(first).map(ByteRange::From),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then(|| ByteRange::Bounded(first..last.saturating_add(1)))
        }
    }
}

/// Changes when the file does.
fn entity_tag(modified: SystemTime, size: u64) -> String {
    let since = modified.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
    format!("\"{since:x}-{size:x}\"")
}

/// RFC 6266's header; a name that is not ASCII is given in both ways.
fn attachment(name: &str) -> String {
    const KEPT: &percent_encoding::AsciiSet = &percent_encoding::NON_ALPHANUMERIC
        .remove(b'!')
        .remove(b'#')
        .remove(b'$')
        .remove(b'&')
        .remove(b'+')
        .remove(b'-')
        .remove(b'.')
        .remove(b'^')
        .remove(b'_')
        .remove(b'`')
        .remove(b'|')
        .remove(b'~');
    let token = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte));
    let quoted = |name: &str| format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""));
    if token {
        format!("attachment; filename={name}")
    } else if name.is_ascii() {
        format!("attachment; filename={}", quoted(name))
    } else {
        let ascii: String = name.chars().filter(|c| c.is_ascii()).collect();
        let ascii = if ascii.is_empty() { "download".to_owned() } else { quoted(&ascii) };
        format!("attachment; filename={ascii}; filename*=UTF-8''{}", percent_encoding::utf8_percent_encode(name, KEPT))
    }
}

/// A header's value; paths hold no control characters.
fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        for (header, range) in [
            ("bytes=0-9", Some(ByteRange::Bounded(0..10))),
            ("bytes=5-", Some(ByteRange::From(5))),
            ("bytes=-7", Some(ByteRange::Last(7))),
            ("bytes=9-0", None),
            ("bytes=0-1,4-5", None),
            ("bytes=", None),
            ("lines=0-1", None),
            ("bytes=0-18446744073709551615", Some(ByteRange::Bounded(0..u64::MAX))),
        ] {
            assert_eq!(byte_range(header), range, "{header}");
        }
    }

    #[test]
    fn names_of_attachments() {
        for (name, header) in [
            ("model.pth", "attachment; filename=model.pth"),
            ("a b.txt", "attachment; filename=\"a b.txt\""),
            ("a\"b", "attachment; filename=\"a\\\"b\""),
            ("안목.png", "attachment; filename=\".png\"; filename*=UTF-8''%EC%95%88%EB%AA%A9.png"),
            ("안목", "attachment; filename=download; filename*=UTF-8''%EC%95%88%EB%AA%A9"),
        ] {
            assert_eq!(attachment(name), header);
        }
    }
}
