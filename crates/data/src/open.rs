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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;
    use crate::verify;

    /// Six CIFAR-10 files of two records each; image i of a file is all i, its label is the file's number.
    fn cifar10(folder: &Path) {
        fs::create_dir_all(folder).unwrap();
        for (label, file) in official::CIFAR10.files.iter().enumerate() {
            let record = |value: u8| [vec![label as u8], vec![value; 3072]].concat();
            fs::write(folder.join(file.name), [record(0), record(1)].concat()).unwrap();
        }
    }

    fn message<T: std::fmt::Debug>(result: Result<T, DataError>) -> String {
        result.unwrap_err().to_string()
    }

    #[test]
    fn whole_records_of_foreign_files_are_taken_with_a_warning_and_fail_verification() {
        let folder = tempfile::tempdir().unwrap();
        cifar10(&folder.path().join("cifar-10-batches-bin"));
        let options = OpenOptions::new(folder.path());
        let splits = open("cifar10", &options).unwrap();
        assert_eq!((splits.train.labels(), splits.test.labels()), ([0, 0, 1, 1, 2, 2, 3, 3, 4, 4].as_slice(), [5, 5].as_slice()));
        assert_eq!(splits.train.image(9), [1; 3072]);
        assert_eq!(splits.warnings.len(), 6);
        assert!(
            splits.warnings[0].contains("data_batch_1.bin: whole records, but not the published CIFAR10 (md5 "),
            "{}",
            splits.warnings[0]
        );
        let verification = verify("CIFAR10", &options).unwrap();
        assert!(!verification.passed());
        assert_eq!((verification.files.len(), verification.files[0].bytes), (6, 6146));
    }

    #[test]
    fn the_files_may_lie_in_the_folder_itself_or_in_the_archive() {
        let folder = tempfile::tempdir().unwrap();
        cifar10(folder.path());
        let direct = open("CIFAR10", &OpenOptions::new(folder.path())).unwrap();
        let packed = tempfile::tempdir().unwrap();
        let archive = packed.path().join("cifar-10-binary.tar.gz");
        let mut tar = tar::Builder::new(GzEncoder::new(fs::File::create(&archive).unwrap(), Compression::fast()));
        tar.append_dir_all("cifar-10-batches-bin", folder.path()).unwrap();
        tar.into_inner().unwrap().finish().unwrap();
        let from_archive = open("CIFAR10", &OpenOptions::new(packed.path())).unwrap();
        assert_eq!(direct.train.digest(), from_archive.train.digest());
        assert_eq!(from_archive.train.source(), archive.display().to_string());
        let whole = fs::read(&archive).unwrap();
        fs::write(&archive, &whole[..whole.len() / 2]).unwrap();
        assert!(message(open("CIFAR10", &OpenOptions::new(packed.path()))).contains("is truncated or damaged"));
    }

    #[test]
    fn faults_are_named_with_file_and_offset() {
        let folder = tempfile::tempdir().unwrap();
        let options = OpenOptions::new(folder.path());
        let text = message(open("CIFAR10", &options));
        assert!(text.starts_with(&format!("CIFAR10 is not in {}: missing data_batch_1.bin, ", folder.path().display())), "{text}");
        assert!(text.contains("`anmok data fetch CIFAR10` to download it (170 MB)"), "{text}");
        cifar10(folder.path());
        fs::write(folder.path().join("data_batch_3.bin"), vec![0; 4000]).unwrap();
        assert!(
            message(open("CIFAR10", &options))
                .contains("data_batch_3.bin: at byte 3073: a record of 3073 bytes starts here, but only 927 are left")
        );
        fs::remove_file(folder.path().join("data_batch_3.bin")).unwrap();
        assert!(message(open("CIFAR10", &options)).contains("missing data_batch_3.bin. Type"));
    }

    #[test]
    fn fashion_mnist_is_read_plain_or_packed_as_torchvision_lays_it() {
        let folder = tempfile::tempdir().unwrap();
        let raw = folder.path().join("FashionMNIST/raw");
        fs::create_dir_all(&raw).unwrap();
        let images = |n: u8| [&[0, 0, 8, 3, 0, 0, 0, n, 0, 0, 0, 28, 0, 0, 0, 28][..], &vec![9; usize::from(n) * 784]].concat();
        let labels = |n: u8| [&[0, 0, 8, 1, 0, 0, 0, n][..], &vec![4; usize::from(n)]].concat();
        fs::write(raw.join("train-images-idx3-ubyte"), images(3)).unwrap();
        fs::write(raw.join("t10k-images-idx3-ubyte"), images(2)).unwrap();
        fs::write(raw.join("t10k-labels-idx1-ubyte"), labels(2)).unwrap();
        let packed = |bytes: Vec<u8>| {
            let mut encoder = GzEncoder::new(vec![], Compression::fast());
            encoder.write_all(&bytes).unwrap();
            encoder.finish().unwrap()
        };
        fs::write(raw.join("train-labels-idx1-ubyte.gz"), packed(labels(3))).unwrap();
        let options = OpenOptions { image_channels: 1, ..OpenOptions::new(folder.path()) };
        let splits = open("FashionMNIST", &options).unwrap();
        assert_eq!((splits.train.labels(), splits.train.shape().channels), ([4; 3].as_slice(), 1));
        fs::write(raw.join("train-labels-idx1-ubyte.gz"), packed(labels(2))).unwrap();
        assert!(
            message(open("FashionMNIST", &options)).contains("2 labels, but ")
                && message(open("FashionMNIST", &options)).contains(" has 3 images")
        );
        fs::write(raw.join("train-labels-idx1-ubyte.gz"), &packed(labels(3))[..20]).unwrap();
        assert!(message(open("FashionMNIST", &options)).contains("the gzip data is truncated or damaged"));
    }

    #[test]
    fn settings_that_do_not_fit_the_data_set_are_refused() {
        let with = |image_channels, image_size| OpenOptions { image_channels, image_size, ..OpenOptions::new(".") };
        assert_eq!(message(open("CIFAR10", &with(1, None))), "image_channels is 1; allowed: 3 (CIFAR10 is in colour)");
        assert_eq!(message(open("FashionMNIST-sample", &with(2, None))), "image_channels is 2; allowed: 1, 3");
        assert!(
            message(open("FashionMNIST-sample", &with(3, Some(64))))
                .starts_with("image_size is 64; allowed: 32, the size of FashionMNIST-sample's images")
        );
        assert_eq!(open("fashionmnist-sample", &with(1, Some(32))).unwrap().test.shape().channels, 1);
    }

    #[test]
    fn a_folder_is_opened_by_its_path() {
        let folder = tempfile::tempdir().unwrap();
        for (class, level) in [("ants", 10), ("bees", 200)] {
            fs::create_dir(folder.path().join(class)).unwrap();
            for i in 0..5 {
                fs::write(folder.path().join(class).join(format!("{i}.png")), crate::png(&[level; 768], 16, 16).unwrap()).unwrap();
            }
        }
        let name = folder.path().display().to_string();
        let splits = open(&name, &OpenOptions { image_size: Some(8), ..OpenOptions::new("unused") }).unwrap();
        assert_eq!((splits.train.len(), splits.test.labels(), splits.train.shape().height), (8, [0, 1].as_slice(), 8));
        assert!(verify(&name, &OpenOptions::new("unused")).unwrap().passed());
        assert_eq!(
            message(open(&name, &OpenOptions { image_size: Some(4), ..OpenOptions::new("unused") })),
            "image_size is 4; allowed: 8 to 1024"
        );
    }
}
