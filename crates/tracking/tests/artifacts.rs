//! The folder of artifacts: whole files, and no way out.

use std::fs;

use anmok_protocol::ArtifactPath;
use anmok_tracking::{ArtifactStore, TrackingError};

fn path(text: &str) -> ArtifactPath {
    ArtifactPath::parse(text).unwrap()
}

#[test]
fn a_failed_copy_leaves_the_old_file() {
    let folder = tempfile::tempdir().unwrap();
    let store = ArtifactStore::open(&folder.path().display().to_string()).unwrap();
    store.put_bytes(&path("a/b.txt"), b"old").unwrap();
    // A folder cannot be read as a file.
    store.put_file(&path("a/b.txt"), folder.path()).unwrap_err();
    assert_eq!(fs::read(folder.path().join("a/b.txt")).unwrap(), b"old");
    assert_eq!(fs::read_dir(folder.path().join("a")).unwrap().count(), 1, "no temporary file is left");
    // A file stands where a folder would be needed, and the other way round.
    assert!(matches!(store.put_bytes(&path("a/b.txt/c"), b"x"), Err(TrackingError::Io { .. })));
    assert!(matches!(store.put_bytes(&path("a"), b"x"), Err(TrackingError::Io { .. })));
    assert!(store.open_file(&path("a")).unwrap().is_none());
    assert!(store.open_file(&path("a/b.txt/c")).unwrap().is_none());
    assert_eq!(store.list(Some(&path("a/b.txt"))).unwrap(), []);
    let error = store.get_file(&path("none"), &folder.path().join("copy")).unwrap_err();
    assert!(error.to_string().contains("none"), "{error}");
}

#[cfg(unix)]
#[test]
fn links_do_not_lead_out() {
    let folder = tempfile::tempdir().unwrap();
    let (inside, outside) = (folder.path().join("run"), folder.path().join("secret"));
    fs::create_dir_all(&inside).unwrap();
    fs::create_dir_all(&outside).unwrap();
    fs::write(outside.join("key"), "secret").unwrap();
    std::os::unix::fs::symlink(&outside, inside.join("link")).unwrap();
    std::os::unix::fs::symlink(outside.join("key"), inside.join("file")).unwrap();
    std::os::unix::fs::symlink("nowhere", inside.join("broken")).unwrap();
    let store = ArtifactStore::open(&inside.display().to_string()).unwrap();
    let refused = |error: TrackingError| assert!(error.to_string().contains("leads out of the run's folder"), "{error}");
    refused(store.open_file(&path("link/key")).err().unwrap());
    refused(store.open_file(&path("file")).err().unwrap());
    refused(store.list(Some(&path("link"))).unwrap_err());
    refused(store.put_bytes(&path("link/new"), b"x").unwrap_err());
    assert!(!outside.join("new").exists());
    // Putting over a link replaces the link, not what it points to.
    store.put_bytes(&path("file"), b"mine").unwrap();
    assert_eq!(fs::read_to_string(outside.join("key")).unwrap(), "secret");
    assert!(store.open_file(&path("broken")).unwrap().is_none());
}

#[test]
fn locations_that_cannot_be_reached_are_named() {
    for (uri, words) in [
        ("mlflow-artifacts:/0/a/artifacts", "set the tracking URI to that server's"),
        ("dbfs:/a", "what can be reached are folders"),
        ("s3://", "names no bucket"),
        ("file:a", "absolute path"),
        ("file://", "absolute path"),
        ("file:///%ff", "UTF-8"),
        ("", "empty"),
    ] {
        let error = ArtifactStore::open(uri).unwrap_err().to_string();
        assert!(error.contains(words), "{uri}: {error}");
    }
    for (uri, root) in
        [("file:///a%20b", "/a b"), ("file://localhost/a", "/a"), ("/a/b", "/a/b"), ("file:/a", "/a"), ("/tmp/a:/b", "/tmp/a:/b")]
    {
        assert_eq!(ArtifactStore::open(uri).unwrap().local_root().unwrap(), std::path::Path::new(root));
    }
}
