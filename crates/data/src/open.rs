//! From a name and a folder to checked images.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::cifar;
use crate::dataset::{Contents, Dataset, Normalisation};
use crate::error::DataError;
use crate::fashion_mnist;
use crate::files;
use crate::folder;
use crate::name::DatasetName;
use crate::official::{self, Official};

/// Side of all images, unless an image folder's is chosen.
const DEFAULT_SIDE: usize = 32;

/// What can be chosen about a data set.
#[derive(Debug, Clone)]
pub struct OpenOptions {
    /// DATA_DIR: where the published files lie.
    pub data_dir: PathBuf,
    /// 3, or 1 (FashionMNIST and image folders).
    pub image_channels: usize,
    /// Side to which an image folder's pictures are resized; `None` is 32.
    pub image_size: Option<usize>,
}

impl OpenOptions {
    /// Three channels, images of 32 x 32.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self { data_dir: data_dir.into(), image_channels: 3, image_size: None }
    }
}

/// A data set's two published parts.
#[derive(Debug)]
pub struct Splits {
    /// For training and validation.
    pub train: Arc<Dataset>,
    /// For the one test at the end.
    pub test: Arc<Dataset>,
    /// What a user should know, for example a file whose contents are not the published ones.
    pub warnings: Vec<String>,
}

/// Loads `name` (case does not matter; or a folder) and checks every byte that can be checked before it returns.
pub fn open(name: &str, options: &OpenOptions) -> Result<Splits, DataError> {
    let name = DatasetName::parse(name)?;
    check(&name, options)?;
    match &name {
        DatasetName::Cifar10 => open_cifar(&official::CIFAR10, cifar::CIFAR10, &options.data_dir),
        DatasetName::Cifar100 => open_cifar(&official::CIFAR100, cifar::CIFAR100, &options.data_dir),
        DatasetName::FashionMnist => open_fashion_mnist(options),
        DatasetName::FashionMnistSample => {
            let (train, test) = fashion_mnist::sample(&name.to_string(), options.image_channels)?;
            Ok(Splits { train: train.into(), test: test.into(), warnings: vec![] })
        }
        DatasetName::Folder(folder) => {
            let (train, test, warnings) = folder::open(folder, options.image_size.unwrap_or(DEFAULT_SIDE), options.image_channels)?;
            Ok(Splits { train: train.into(), test: test.into(), warnings })
        }
    }
}

fn check(name: &DatasetName, options: &OpenOptions) -> Result<(), DataError> {
    let colour = matches!(name, DatasetName::Cifar10 | DatasetName::Cifar100);
    match options.image_channels {
        3 => {}
        1 if !colour => {}
        other => {
            return Err(DataError::setting(
                "image_channels",
                other,
                if colour { format!("3 ({name} is in colour)") } else { "1, 3".into() },
            ));
        }
    }
    match (name, options.image_size) {
        (_, None) => Ok(()),
        (DatasetName::Folder(_), Some(side)) if (8..=1024).contains(&side) => Ok(()),
        (DatasetName::Folder(_), Some(side)) => Err(DataError::setting("image_size", side, "8 to 1024")),
        (_, Some(DEFAULT_SIDE)) => Ok(()),
        (_, Some(side)) => Err(DataError::setting(
            "image_size",
            side,
            format!("{DEFAULT_SIDE}, the size of {name}'s images; only an image folder's are resized"),
        )),
    }
}

fn open_cifar(official: &Official, layout: cifar::Layout, data_dir: &Path) -> Result<Splits, DataError> {
    let (source, files) = files::read_all(official, data_dir)?;
    let (train, test) = files.split_at(files.len() - 1);
    let part = |files: &[files::Contents]| {
        let (mut images, mut labels) = (vec![], vec![]);
        for file in files {
            cifar::parse(&file.path, &file.bytes, layout, &mut images, &mut labels)?;
        }
        Ok::<_, DataError>(Arc::new(cifar_dataset(official.name, layout, images, labels, &source)))
    };
    Ok(Splits { train: part(train)?, test: part(test)?, warnings: unofficial(official, &files) })
}

fn cifar_dataset(name: &str, layout: cifar::Layout, images: Vec<u8>, labels: Vec<u32>, source: &Path) -> Dataset {
    let (classes, normalisation) = if layout.classes == 10 {
        (cifar::CIFAR10_CLASSES.as_slice(), Normalisation::new(&[0.4914, 0.4822, 0.4465], &[0.2470, 0.2435, 0.2616]))
    } else {
        (cifar::CIFAR100_CLASSES.as_slice(), Normalisation::new(&[0.5071, 0.4866, 0.4409], &[0.2673, 0.2564, 0.2762]))
    };
    let classes = classes.iter().map(|&class| class.to_owned()).collect();
    Dataset::new(Contents {
        name: name.into(),
        shape: cifar::SHAPE,
        images,
        labels,
        classes,
        normalisation,
        source: source.display().to_string(),
    })
}

fn open_fashion_mnist(options: &OpenOptions) -> Result<Splits, DataError> {
    let official = &official::FASHION_MNIST;
    let (source, files) = files::read_all(official, &options.data_dir)?;
    let part = |images: &files::Contents, labels: &files::Contents| {
        fashion_mnist::dataset(
            official.name,
            &source.display().to_string(),
            (&images.path, &images.bytes),
            (&labels.path, &labels.bytes),
            options.image_channels,
        )
    };
    let (train, test) = (part(&files[0], &files[1])?, part(&files[2], &files[3])?);
    Ok(Splits { train: train.into(), test: test.into(), warnings: unofficial(official, &files) })
}

fn unofficial(official: &Official, files: &[files::Contents]) -> Vec<String> {
    let odd = files.iter().filter(|file| !file.official);
    odd.map(|file| {
        format!(
            "{}: whole records, but not the published {} (md5 {}); results cannot be compared with others'",
            file.path.display(),
            official.name,
            file.md5
        )
    })
    .collect()
}
