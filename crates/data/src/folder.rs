//! An image folder: one sub-folder per class, or such folders below `train/` and `test/` (or `val/`).
//!
//! As in torchvision's `ImageFolder` classes and files are taken in the order of their names and deeper folders belong
//! to their class; unlike there, a file that is not a picture is an error. Names that start with a dot are passed over.

use std::fs;
use std::path::{Path, PathBuf};

use anmok_random::key;

use crate::dataset::{Contents, Dataset, Normalisation, Shape};
use crate::error::DataError;
use crate::picture::read_picture;
use crate::split::split;

/// Share of the images that are held out as the test set where the folder has none.
const TEST_SHARE: f64 = 0.2;
/// Folders within folders; deeper is a loop of links.
const DEEPEST: usize = 8;
/// Memory for the decoded images of one part.
const LARGEST_PART: usize = 16 << 30;

/// ImageNet's statistics, which torchvision's pretrained weights expect; the folder's own were refused, because a saved
/// model would then depend on numbers that no file states.
const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
const STD: [f32; 3] = [0.229, 0.224, 0.225];
const GREY_MEAN: [f32; 1] = [0.449];
const GREY_STD: [f32; 1] = [0.226];

/// The files of one part, and their labels.
struct Part {
    files: Vec<PathBuf>,
    labels: Vec<u32>,
}

/// Training part, test part, warnings.
pub(crate) fn open(folder: &Path, side: usize, channels: usize) -> Result<(Dataset, Dataset, Vec<String>), DataError> {
    let mut warnings = vec![];
    let is_there = |name: &str| folder.join(name).is_dir();
    let train_folder = if is_there("train") { folder.join("train") } else { folder.to_path_buf() };
    let classes = classes(&train_folder)?;
    let all = list(&train_folder, &classes)?;
    let (train, test) = match ["test", "val"].into_iter().find(|name| is_there("train") && is_there(name)) {
        Some(name) => {
            if name == "test" && is_there("val") {
                warnings.push(format!(
                    "{}: val/ is not used; the validation images are held out of train/ (validation_split)",
                    folder.display()
                ));
            }
            let test_folder = folder.join(name);
            for class in self::classes(&test_folder)? {
                if !classes.contains(&class) {
                    let problem = format!("{name}/{class} has no counterpart in train/: both must have the same classes");
                    return Err(DataError::Folder { path: folder.into(), problem });
                }
            }
            (all, list(&test_folder, &classes)?)
        }
        None => {
            let held_out = (all.labels.len() as f64 * TEST_SHARE + 0.5).floor() as usize;
            warnings.push(format!(
                "{}: no train/ and test/ sub-folders, so {held_out} of {} images are held out as the test set",
                folder.display(),
                all.labels.len()
            ));
            let parts = split(&all.labels, held_out, key(&[u64::from_be_bytes(*b"testsplt")]));
            let pick = |indices: &[u32]| Part {
                files: indices.iter().map(|&index| all.files[index as usize].clone()).collect(),
                labels: indices.iter().map(|&index| all.labels[index as usize]).collect(),
            };
            (pick(&parts.train), pick(&parts.validation))
        }
    };
    let load = |part: Part| load(folder, part, &classes, Shape { height: side, width: side, channels });
    Ok((load(train)?, load(test)?, warnings))
}

fn classes(folder: &Path) -> Result<Vec<String>, DataError> {
    let mut classes = vec![];
    for path in entries(folder)?.into_iter().filter(|path| path.is_dir()) {
        match path.file_name().and_then(|name| name.to_str()) {
            Some(name) => classes.push(name.to_owned()),
            None => return Err(DataError::Folder { path, problem: "the name is not UTF-8; rename it".into() }),
        }
    }
    if classes.len() < 2 {
        let problem = format!("{} sub-folders with images, expected one per class and at least two classes", classes.len());
        return Err(DataError::Folder { path: folder.into(), problem });
    }
    Ok(classes)
}

fn list(folder: &Path, classes: &[String]) -> Result<Part, DataError> {
    let mut part = Part { files: vec![], labels: vec![] };
    for (label, class) in classes.iter().enumerate() {
        let class_folder = folder.join(class);
        if class_folder.is_dir() {
            walk(&class_folder, 0, &mut part.files)?;
        }
        part.labels.resize(part.files.len(), label as u32);
    }
    if let Some((_, empty)) =
        classes.iter().enumerate().find(|(label, class)| !part.labels.contains(&(*label as u32)) && folder.join(class).is_dir())
    {
        return Err(DataError::Folder { path: folder.join(empty), problem: "no images in it; add some or remove it".into() });
    }
    Ok(part)
}

fn walk(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<(), DataError> {
    if depth > DEEPEST {
        return Err(DataError::Folder {
            path: folder.into(),
            problem: format!("more than {DEEPEST} folders deep; is it a loop of links?"),
        });
    }
    for path in entries(folder)? {
        if path.is_dir() {
            walk(&path, depth + 1, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}

/// What a folder holds, by name, without hidden files.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    let read = || DataError::io("read", folder);
    let mut paths = vec![];
    for entry in fs::read_dir(folder).map_err(read())? {
        let entry = entry.map_err(read())?;
        if !entry.file_name().as_encoded_bytes().starts_with(b".") {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok(paths)
}

fn load(folder: &Path, part: Part, classes: &[String], shape: Shape) -> Result<Dataset, DataError> {
    if part.files.is_empty() {
        return Err(DataError::Folder { path: folder.into(), problem: "too few images to hold some out for the test; add more".into() });
    }
    let size = part.files.len().saturating_mul(shape.len());
    if size > LARGEST_PART {
        let fits = ((LARGEST_PART / part.files.len() / shape.channels) as f64).sqrt() as usize;
        return Err(DataError::setting(
            "image_size",
            shape.height,
            format!("at most {fits} for {} images, which are kept in memory", part.files.len()),
        ));
    }
    let mut images = vec![0; size];
    decode_all(&part.files, shape, &mut images)?;
    let normalisation = if shape.channels == 1 { Normalisation::new(&GREY_MEAN, &GREY_STD) } else { Normalisation::new(&MEAN, &STD) };
    let full = folder.canonicalize().unwrap_or_else(|_| folder.to_path_buf());
    let name = full.file_name().map_or_else(|| full.display().to_string(), |name| name.to_string_lossy().into_owned());
    Ok(Dataset::new(Contents {
        name,
        shape,
        images,
        labels: part.labels,
        classes: classes.to_vec(),
        normalisation,
        source: full.display().to_string(),
    }))
}

/// Decoding is shared out over the cores; the first bad file by name is the one reported.
fn decode_all(files: &[PathBuf], shape: Shape, images: &mut [u8]) -> Result<(), DataError> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let share = files.len().div_ceil(threads).max(1);
    let decode = |files: &[PathBuf], images: &mut [u8]| {
        files.iter().zip(images.chunks_exact_mut(shape.len())).try_for_each(|(file, image)| {
            image.copy_from_slice(&read_picture(file, shape, 0)?);
            Ok(())
        })
    };
    std::thread::scope(|scope| {
        let parts = files.chunks(share).zip(images.chunks_mut(share * shape.len()));
        let workers: Vec<_> = parts.map(|(files, images)| scope.spawn(|| decode(files, images))).collect();
        workers.into_iter().try_for_each(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::png;

    /// Writes `count` pictures of one grey level each per class.
    fn fill(folder: &Path, classes: &[&str], count: usize) {
        for (label, class) in classes.iter().enumerate() {
            fs::create_dir_all(folder.join(class)).unwrap();
            for i in 0..count {
                let level = (label * 100 + i) as u8;
                fs::write(folder.join(class).join(format!("{i:03}.png")), png(&[level; 48], 4, 4).unwrap()).unwrap();
            }
        }
    }

    fn levels(dataset: &Dataset) -> Vec<u8> {
        (0..dataset.len()).map(|index| dataset.image(index)[0]).collect()
    }

    #[test]
    fn train_and_test_folders_are_taken_as_they_are() {
        let folder = tempfile::tempdir().unwrap();
        fill(&folder.path().join("train"), &["cat", "dog"], 3);
        fill(&folder.path().join("val"), &["cat", "dog"], 1);
        fs::write(folder.path().join("train/cat/.hidden"), "x").unwrap();
        fs::create_dir(folder.path().join("train/dog/more")).unwrap();
        fs::write(folder.path().join("train/dog/more/9.png"), png(&[200; 300], 10, 10).unwrap()).unwrap();
        let (train, test, warnings) = open(folder.path(), 4, 3).unwrap();
        assert_eq!((train.classes(), train.labels()), (["cat".to_owned(), "dog".to_owned()].as_slice(), [0, 0, 0, 1, 1, 1, 1].as_slice()));
        assert_eq!((levels(&train), levels(&test)), (vec![0, 1, 2, 100, 101, 102, 200], vec![0, 100]));
        assert!(warnings.is_empty());
    }

    #[test]
    fn without_a_test_folder_a_fifth_of_each_class_is_held_out_always_the_same() {
        let folder = tempfile::tempdir().unwrap();
        fill(folder.path(), &["cat", "dog", "emu"], 10);
        let (train, test, warnings) = open(folder.path(), 4, 1).unwrap();
        assert_eq!(test.labels(), [0, 0, 1, 1, 2, 2]);
        let mut all = [levels(&train), levels(&test)].concat();
        all.sort_unstable();
        assert_eq!(all, [0..10, 100..110, 200..210].into_iter().flatten().collect::<Vec<u8>>());
        assert!(warnings[0].ends_with("no train/ and test/ sub-folders, so 6 of 30 images are held out as the test set"), "{warnings:?}");
        assert_eq!(open(folder.path(), 4, 1).unwrap().1.digest(), test.digest());
    }

    #[test]
    fn each_fault_is_named() {
        let check = |make: &dyn Fn(&Path), expected: &str| {
            let folder = tempfile::tempdir().unwrap();
            fill(&folder.path().join("train"), &["cat", "dog"], 2);
            fill(&folder.path().join("test"), &["cat", "dog"], 1);
            make(folder.path());
            let message = open(folder.path(), 4, 3).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        };
        check(&|folder| fs::write(folder.join("train/dog/notes.txt"), "hello").unwrap(), "notes.txt is not an image");
        check(&|folder| fs::create_dir(folder.join("train/emu")).unwrap(), "emu: no images in it");
        check(&|folder| fill(&folder.join("test"), &["emu"], 1), "test/emu has no counterpart in train/");
        check(&|folder| fs::remove_dir_all(folder.join("train/dog")).unwrap(), "1 sub-folders with images, expected one per class");
    }
}
