//! A large file in parts, straight to the bucket behind a server: the server signs a URL for each.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use anmok_protocol::ArtifactPath;
use anmok_protocol::messages::Empty;
use anmok_protocol::messages::artifacts::{
    AbortMultipartUpload, CompleteMultipartUpload, CreateMultipartUpload, CreateMultipartUploadResponse, MultipartUploadCredential,
    MultipartUploadPart,
};
use anmok_protocol::routes::{Endpoint, Method};
use ureq::SendBody;
use ureq::http::header::{CONTENT_LENGTH, ETAG};

use super::connection::Again;
use super::failure::Failure;
use super::proxied::Proxied;
use crate::error::TrackingError;

/// S3 takes no more.
const PARTS: u64 = 10_000;
/// Retries of one part.
const RETRIES: u32 = 3;

impl Proxied {
    /// Uploads a file in parts, if it is large, and the server offers and the bucket takes them; `false` if it is to go through
    /// the server as a whole. A bucket is often reached only from the server's own network, so that is no error.
    pub(super) fn put_in_parts(&self, path: &ArtifactPath, file: &Path, size: u64) -> Result<bool, TrackingError> {
        let options = &self.connection.multipart;
        if !options.enabled || size < options.minimum_file_size.max(1) || !self.connection.reaches_bucket() {
            return Ok(false);
        }
        let part_size = options.chunk_size.max(size.div_ceil(PARTS)).max(1);
        let target = self.path(Some(path));
        let (folder, name) = target.rsplit_once('/').unwrap_or(("", &target));
        let asked = CreateMultipartUpload { path: name.into(), num_parts: i64::try_from(size.div_ceil(part_size)).ok() };
        let begun =
            self.connection.call_with_path("uploading an artifact in parts", Endpoint::CreateMultipartUpload, folder, &asked, &Again::Safe);
        let begun: CreateMultipartUploadResponse = match begun {
            Ok(begun) => begun,
            // Servers that keep artifacts in a folder say so.
            Err(TrackingError::Refused(_)) => return Ok(false),
            Err(error) => return Err(error),
        };
        let sent = self.send_parts(&begun.credentials, file, size, part_size)?;
        let Some(parts) = sent.filter(|parts| parts.len() as u64 == size.div_ceil(part_size)) else {
            self.connection.leave_bucket();
            let given_up = AbortMultipartUpload { path: name.into(), upload_id: begun.upload_id };
            // What stays are parts that nobody sees, which buckets can be told to expire.
            let _: Result<Empty, _> =
                self.connection.call_with_path("giving up an upload", Endpoint::AbortMultipartUpload, folder, &given_up, &Again::Safe);
            return Ok(false);
        };
        let asked = CompleteMultipartUpload { path: name.into(), upload_id: begun.upload_id, parts };
        let complete =
            || -> Result<_, TrackingError> { Ok(self.listed(path)?.filter(|listed| listed.file_size == Some(size)).map(|_| Empty {})) };
        let endpoint = Endpoint::CompleteMultipartUpload;
        self.connection.call_with_path("completing an upload in parts", endpoint, folder, &asked, &Again::Unless(&complete))?;
        Ok(true)
    }

    /// `None` if the bucket does not take them.
    fn send_parts(
        &self,
        credentials: &[MultipartUploadCredential],
        file: &Path,
        size: u64,
        part_size: u64,
    ) -> Result<Option<Vec<MultipartUploadPart>>, TrackingError> {
        let mut parts = vec![];
        for (credential, start) in credentials.iter().zip((0..size).step_by(usize::try_from(part_size).unwrap_or(usize::MAX))) {
            let mut retry = 0;
            let etag = loop {
                // Opened anew: a part that was cut has moved the position.
                let mut source = File::open(file).map_err(|error| TrackingError::io("reading the artifact", file, error))?;
                source.seek(SeekFrom::Start(start)).map_err(|error| TrackingError::io("reading the artifact", file, error))?;
                match self.send_part(credential, source, part_size.min(size - start)) {
                    Ok(etag) => break etag,
                    Err(_) if retry >= RETRIES => return Ok(None),
                    Err(failure) => {
                        retry += 1;
                        std::thread::sleep(self.connection.retries.pause(retry, failure.retry_after));
                    }
                }
            };
            parts.push(MultipartUploadPart { part_number: credential.part_number, etag, url: Some(credential.url.clone()) });
        }
        Ok(Some(parts))
    }

    fn send_part(&self, credential: &MultipartUploadCredential, source: File, size: u64) -> Result<String, Failure> {
        let length = size.to_string();
        let mut headers = vec![(CONTENT_LENGTH.as_str(), length.as_str())];
        headers.extend(credential.headers.iter().map(|header| (header.key.as_str(), header.value.as_str())));
        let mut source = source.take(size);
        let response = self.connection.send_elsewhere(Method::Put, &credential.url, &headers, SendBody::from_reader(&mut source))?;
        let etag = response.headers().get(ETAG).and_then(|etag| etag.to_str().ok());
        etag.map(str::to_owned).ok_or_else(|| Failure::strange("took a part without giving it a tag"))
    }
}
