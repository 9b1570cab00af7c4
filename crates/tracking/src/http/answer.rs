//! What a server answered. All of it is foreign: it is bounded, and taken for MLflow's only if it is.

use std::io::Read;
use std::time::{Duration, SystemTime};

use anmok_protocol::{ApiError, ErrorCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use ureq::Body;
use ureq::http::header::{LOCATION, RETRY_AFTER};
use ureq::http::{Response, StatusCode};

use super::failure::{Failure, Kind, RIGHT_ADDRESS};

/// Bytes of an answer at most: the largest page of runs, with room to spare.
const LARGEST_ANSWER: u64 = 256 << 20;
/// Bytes of a refusal that are looked at.
const LARGEST_REFUSAL: u64 = 64 << 10;
/// Characters of a foreign text that are shown.
const SHOWN: usize = 120;

/// A refusal as MLflow writes it.
#[derive(Deserialize)]
struct Refusal {
    error_code: serde_json::Value,
    #[serde(default)]
    message: String,
}

/// The answer, if its status says that there is one.
pub(super) fn judged(mut response: Response<Body>) -> Result<Response<Body>, Failure> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let retry_after = header(&response, &RETRY_AFTER).and_then(|text| pause(&text));
    let location = header(&response, &LOCATION);
    let body = beginning(response.body_mut());
    let refusal = serde_json::from_slice::<Refusal>(&body).ok();
    let words = refusal.as_ref().map_or_else(|| shown(&body), |refusal| one_line(&refusal.message));
    let said = if words.is_empty() { String::new() } else { format!(": {words}") };
    let answered = format!("answered {status}{said}");
    Err(match status.as_u16() {
        408 | 429 | 500 | 502..=504 => {
            // Only the limit on requests stands before all work.
            let failure = Failure::passing(answered, "try again later", status != StatusCode::TOO_MANY_REQUESTS);
            Failure { retry_after, ..failure }
        }
        401 => Failure::fixed(
            format!("does not accept the credentials ({answered})"),
            "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN",
        ),
        403 if refusal.is_none() && words.contains("Host header") => {
            Failure::fixed(answered, "start it with --allowed-hosts and the name it is called by in MLFLOW_TRACKING_URI")
        }
        403 if refusal.is_none() => Failure::fixed(
            answered,
            "check MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD or MLFLOW_TRACKING_TOKEN, and what they may do",
        ),
        413 if refusal.is_none() => {
            Failure::fixed(answered, "allow larger bodies in the proxy before the server (nginx: client_max_body_size)")
        }
        300..=399 => {
            let to = location.map_or(String::new(), |location| format!(" to {}", one_line(&location)));
            let remedy = "set MLFLOW_TRACKING_URI to the address that answers itself (a log-in page is no tracking server)";
            Failure::new(Kind::Strange { detail: format!("redirects{to} ({status})"), remedy }, false)
        }
        _ => match refusal {
            Some(refusal) => Failure::new(Kind::Refused(api_error(status, &refusal)), false),
            None => Failure::new(Kind::Strange { detail: format!("has no MLflow here: it {answered}"), remedy: RIGHT_ADDRESS }, false),
        },
    })
}

/// The answer's JSON.
pub(super) fn json<T: DeserializeOwned>(response: Response<Body>) -> Result<T, Failure> {
    let status = response.status();
    let mut body = vec![];
    let read = response.into_body().into_reader().take(LARGEST_ANSWER + 1).read_to_end(&mut body);
    read.map_err(|error| Failure::of_io(&error))?;
    if body.len() as u64 > LARGEST_ANSWER {
        return Err(Failure::fixed(
            format!("answered with more than {} MiB", LARGEST_ANSWER >> 20),
            "ask for less at once (a smaller --limit), and check that it is an MLflow server",
        ));
    }
    serde_json::from_slice(&body).map_err(|error| {
        if error.is_eof() && body.trim_ascii_start().starts_with(b"{") {
            return Failure::passing("answered with JSON that ends too early", "try again later", true);
        }
        let what =
            if error.is_data() { format!("with JSON that is not MLflow's ({error})") } else { format!("with no JSON: {}", shown(&body)) };
        Failure::strange(format!("answered {status} {what}"))
    })
}

fn api_error(status: StatusCode, refusal: &Refusal) -> ApiError {
    let known = serde_json::from_value::<ErrorCode>(refusal.error_code.clone()).ok();
    let code = known.or_else(|| ErrorCode::ALL.iter().copied().find(|code| code.http_status() == status.as_u16()));
    ApiError::new(code.unwrap_or(ErrorCode::InvalidParameterValue), refusal.message.clone())
}

fn header(response: &Response<Body>, name: &ureq::http::HeaderName) -> Option<String> {
    Some(response.headers().get(name)?.to_str().ok()?.to_owned())
}

/// `Retry-After`: seconds, or a date.
fn pause(text: &str) -> Option<Duration> {
    match text.trim().parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => httpdate::parse_http_date(text).ok().map(|date| date.duration_since(SystemTime::now()).unwrap_or_default()),
    }
}

/// What can be read of a refusal. One that cannot be read says less, and is a refusal all the same.
fn beginning(body: &mut Body) -> Vec<u8> {
    let mut bytes = vec![];
    let _ = body.as_reader().take(LARGEST_REFUSAL).read_to_end(&mut bytes);
    bytes
}

/// Foreign bytes as a few words: a page's title, or how it begins.
fn shown(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(LARGEST_REFUSAL as usize)]);
    let lower = text.to_ascii_lowercase();
    let title = lower.find("<title>").map(|at| at + 7).and_then(|start| Some(start..start + lower[start..].find("</title>")?));
    match title {
        Some(range) => format!("the page {:?}", one_line(&text[range])),
        None if lower.trim_start().starts_with('<') => format!("the page {:?}", one_line(&text)),
        None => one_line(&text),
    }
}

/// At most [`SHOWN`] characters, none of which does anything to a terminal.
fn one_line(text: &str) -> String {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut line: String = words.chars().filter(|c| !c.is_control()).take(SHOWN).collect();
    if words.chars().count() > SHOWN {
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_texts_are_shown_in_one_short_line() {
        for (body, words) in [
            (&b"<html><head><TITLE>\n 502 Bad\x1b[31m Gateway</TITLE></head>"[..], "the page \"502 Bad[31m Gateway\""),
            (b"  <!doctype html><p>hello", "the page \"<!doctype html><p>hello\""),
            (b"upstream\r\ntimed out", "upstream timed out"),
            (b"\xff\xfe", "\u{fffd}\u{fffd}"),
            (b"<title>never closed", "the page \"<title>never closed\""),
            (b"", ""),
        ] {
            assert_eq!(shown(body), words);
        }
        assert_eq!(one_line(&"한".repeat(500)).chars().count(), SHOWN + 1);
    }

    #[test]
    fn a_pause_is_seconds_or_a_date() {
        assert_eq!(pause(" 7 "), Some(Duration::from_secs(7)));
        assert_eq!(pause("Wed, 21 Oct 2015 07:28:00 GMT"), Some(Duration::ZERO));
        let soon = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(100));
        assert!(pause(&soon).is_some_and(|pause| (90..=100).contains(&pause.as_secs())));
        assert_eq!(pause("soon"), None);
        assert_eq!(pause("-1"), None);
    }
}
