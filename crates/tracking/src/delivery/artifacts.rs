//! The artifacts of a journal: those that cannot be uploaded wait, and the newest file of a path is the one that arrives.

use std::sync::atomic::Ordering;
use std::time::Instant;

use anmok_protocol::{ApiError, ArtifactPath};

use super::event::Event;
use super::refusal::{self, Refusal, is_refusal};
use super::superseded::Superseded;
use super::{Delivery, Obstacle};
use crate::error::TrackingError;
use crate::journal::Record;

impl Delivery {
    pub(super) fn deliver_artifact(&mut self, path: &str, file: u64, start: u64) -> Result<(), Obstacle> {
        self.forget_older(path)?;
        match self.put_artifact(path, file) {
            Ok(()) => Ok(()),
            Err(error) if is_refusal(&error) => {
                self.check_run()?;
                self.refuse(Refusal::new(format!("artifact {path}"), &error))
            }
            Err(error) => {
                if !std::mem::replace(&mut self.told_that_artifacts_wait, true) {
                    (self.listener)(&Event::ArtifactWaits(path, &error));
                }
                self.position.artifacts.push(start);
                self.next_artifacts = Some(Instant::now() + self.artifact_backoff.next());
                Ok(())
            }
        }
    }

    /// An older file that waits for the same path must not come after this one, and nobody needs it any more.
    fn forget_older(&mut self, newer: &str) -> Result<(), Obstacle> {
        for offset in self.position.artifacts.clone() {
            self.reader.seek(offset);
            match self.read(u64::MAX)? {
                Some(Record::Artifact { path, file }) if path == newer => {
                    self.position.artifacts.retain(|&waiting| waiting != offset);
                    self.drop_kept(file);
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn put_artifact(&mut self, path: &str, file: u64) -> Result<(), TrackingError> {
        let kept = self.folder.kept(file);
        if !kept.exists() {
            // It goes away only after it was delivered to the run's own store.
            self.missing_artifacts += 1;
            return Ok(());
        }
        let place = ArtifactPath::parse(path)?;
        if self.artifacts.is_none() {
            let run = self.target.store.run(&self.target.run_id)?.ok_or_else(|| ApiError::run_not_found(&self.target.run_id))?;
            self.artifacts = Some(self.target.store.artifacts(&run.info.artifact_uri)?);
        }
        if let Some(artifacts) = &self.artifacts {
            let has_newer = self.superseded.is_some() && Superseded::has_artifact(artifacts, &place)?;
            if !has_newer {
                let bytes = std::fs::metadata(&kept).map_or(0, |found| found.len());
                self.progress.uploading.store(bytes.max(1), Ordering::Relaxed);
                let put = artifacts.put_file(&place, &kept);
                self.progress.uploading.store(0, Ordering::Relaxed);
                put?;
            }
        }
        self.drop_kept(file);
        Ok(())
    }

    /// Nobody needs it any more. Left behind it takes room until the journal goes, and is delivered once more at most.
    fn drop_kept(&self, file: u64) {
        if !self.leaves_files {
            std::fs::remove_file(self.folder.kept(file)).ok();
        }
    }

    /// The first of the artifacts that wait.
    pub(super) fn retry_artifact(&mut self) -> Result<(), Obstacle> {
        let Some(&start) = self.position.artifacts.first() else { return Ok(()) };
        self.reader.seek(start);
        let result = match self.read(u64::MAX)? {
            Some(Record::Artifact { path, file }) => self.put_artifact(&path, file).map_err(|error| (path, error)),
            _ => Ok(()),
        };
        match result {
            Ok(()) => {
                self.artifact_backoff.reset();
                self.told_that_artifacts_wait = false;
            }
            Err((path, error)) if is_refusal(&error) => {
                self.check_run()?;
                self.refuse(Refusal::new(format!("artifact {path}"), &error))?;
            }
            Err(_) => {
                self.next_artifacts = Some(Instant::now() + self.artifact_backoff.next());
                return Ok(());
            }
        }
        self.position.artifacts.remove(0);
        self.next_artifacts = None;
        self.save()
    }

    /// Puts the list of what was refused among the run's artifacts, for whoever reads the run when the journal is gone.
    ///
    /// # Errors
    /// What keeps the file from being stored.
    pub fn leave_refusals(&mut self) -> Result<(), TrackingError> {
        let path = self.folder.refused();
        if !path.exists() {
            return Ok(());
        }
        let run = self.target.store.run(&self.target.run_id)?.ok_or_else(|| ApiError::run_not_found(&self.target.run_id))?;
        self.target.store.artifacts(&run.info.artifact_uri)?.put_file(&ArtifactPath::parse(refusal::ARTIFACT)?, &path)
    }
}
