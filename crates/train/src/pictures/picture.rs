//! A finished figure and its two formats.

use std::path::{Path, PathBuf};

use super::drawing::Drawing;
use super::{raster, svg};

/// A finished figure.
#[derive(Debug, Clone, PartialEq)]
pub struct Picture {
    name: &'static str,
    pub(super) drawing: Drawing,
}

impl Picture {
    pub(super) fn new(name: &'static str, drawing: Drawing) -> Self {
        Self { name, drawing }
    }

    /// The name of its files without extension, for example `confusion_matrix`.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Width and height in points: the SVG's size, half the PNG's.
    pub fn size(&self) -> (u32, u32) {
        (self.drawing.width as u32, self.drawing.height as u32)
    }

    /// The SVG document. Texts are texts in it; images are embedded.
    pub fn svg(&self) -> String {
        svg::document(&self.drawing)
    }

    /// The PNG file's bytes, two pixels a point.
    ///
    /// # Errors
    /// [`PictureError::Raster`] if there is no memory for the pixels.
    pub fn png(&self) -> Result<Vec<u8>, PictureError> {
        raster::png(&self.drawing).map_err(|reason| PictureError::Raster { name: self.name, reason })
    }

    /// Writes `NAME.svg` and `NAME.png` into an existing folder, over files of that name, and returns the two paths.
    ///
    /// # Errors
    /// [`PictureError::Write`] if a file cannot be written, and what [`Picture::png`] returns.
    pub fn save(&self, folder: &Path) -> Result<[PathBuf; 2], PictureError> {
        let write = |extension: &str, bytes: &[u8]| {
            let path = folder.join(self.name).with_extension(extension);
            std::fs::write(&path, bytes).map_err(|source| PictureError::Write { path: path.clone(), source })?;
            Ok(path)
        };
        Ok([write("svg", self.svg().as_bytes())?, write("png", &self.png()?)?])
    }
}

/// A picture could not be made or kept.
#[derive(Debug, thiserror::Error)]
pub enum PictureError {
    /// The PNG could not be made.
    #[error("drawing the picture {name} as PNG: {reason}")]
    Raster {
        /// [`Picture::name`].
        name: &'static str,
        /// What stood in the way.
        reason: String,
    },
    /// A file could not be written.
    #[error("writing the picture {path}: {source}; check that the folder exists and can be written, and that the disk has room")]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
}
