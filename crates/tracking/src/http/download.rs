//! A file on its way from a server, which goes on where a cut connection ended.

use std::io::{self, Read};
use std::sync::Arc;

use anmok_protocol::routes::Method;
use ureq::http::header::{ACCEPT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderName, IF_RANGE, RANGE};
use ureq::http::{Response, StatusCode};
use ureq::{Body, BodyReader};

use super::connection::{Again, Connection};
use super::failure::Failure;
use crate::error::TrackingError;

const DOING: &str = "downloading an artifact";

/// Attempts that bring nothing new, after which it is given up.
const FRUITLESS: u32 = 5;

pub(super) struct Download {
    connection: Arc<Connection>,
    url: String,
    body: BodyReader<'static>,
    /// Bytes given so far.
    at: u64,
    /// What tells this file from a later one in its place.
    version: Version,
    fruitless: u32,
}

#[derive(PartialEq, Eq)]
struct Version {
    etag: Option<String>,
    size: Option<u64>,
}

impl Download {
    /// `None` if there is none, by what `absent` finds out where the server has failed.
    pub fn open(
        connection: Arc<Connection>,
        url: String,
        absent: &dyn Fn() -> Result<bool, TrackingError>,
    ) -> Result<Option<Self>, TrackingError> {
        let look_up = || -> Result<Option<Option<Response<Body>>>, TrackingError> { Ok(absent()?.then_some(None)) };
        let headers = [(ACCEPT_ENCODING.as_str(), "identity")];
        let opened = connection.persist(DOING, &Again::Unless(&look_up), || connection.send(Method::Get, &url, &headers, ()).map(Some))?;
        let Some(response) = opened else { return Ok(None) };
        let version = Version { etag: text(&response, &ETAG), size: text(&response, &CONTENT_LENGTH).and_then(|size| size.parse().ok()) };
        Ok(Some(Self { connection, url, body: response.into_body().into_reader(), at: 0, version, fruitless: 0 }))
    }

    /// Asks for the rest.
    fn go_on(&mut self) -> io::Result<()> {
        let range = format!("bytes={}-", self.at);
        let mut headers = vec![(ACCEPT_ENCODING.as_str(), "identity"), (RANGE.as_str(), range.as_str())];
        // A weak tag does not promise the same bytes.
        if let Some(etag) = self.version.etag.as_deref().filter(|etag| !etag.starts_with("W/")) {
            headers.push((IF_RANGE.as_str(), etag));
        }
        let opened = self.connection.persist(DOING, &Again::Safe, || {
            let response = self.connection.send(Method::Get, &self.url, &headers, ())?;
            self.rest(response)
        });
        self.body = opened.map_err(io::Error::other)?;
        Ok(())
    }

    /// The body from where the last one ended: the server sent the rest, or it sends all again.
    fn rest(&self, response: Response<Body>) -> Result<BodyReader<'static>, Failure> {
        let changed = || Failure::fixed("has another file there now", "download it again");
        if response.status() == StatusCode::PARTIAL_CONTENT {
            let begins = text(&response, &CONTENT_RANGE).is_some_and(|range| range.starts_with(&format!("bytes {}-", self.at)));
            let same = text(&response, &ETAG) == self.version.etag;
            return if begins && same { Ok(response.into_body().into_reader()) } else { Err(changed()) };
        }
        let size = text(&response, &CONTENT_LENGTH).and_then(|size| size.parse().ok());
        if (Version { etag: text(&response, &ETAG), size }) != self.version {
            return Err(changed());
        }
        let mut body = response.into_body().into_reader();
        let skipped = io::copy(&mut body.by_ref().take(self.at), &mut io::sink()).map_err(|error| Failure::of_io(&error))?;
        if skipped == self.at { Ok(body) } else { Err(changed()) }
    }
}

impl Read for Download {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.body.read(into) {
                Ok(count) => {
                    self.at += count as u64;
                    self.fruitless = 0;
                    return Ok(count);
                }
                Err(error) if self.fruitless >= FRUITLESS => return Err(error),
                Err(_) => {
                    self.fruitless += 1;
                    std::thread::sleep(self.connection.retries.pause(self.fruitless, None));
                    self.go_on()?;
                }
            }
        }
    }
}

fn text(response: &Response<Body>, name: &HeaderName) -> Option<String> {
    Some(response.headers().get(name)?.to_str().ok()?.to_owned())
}
