//! The published files: names, digests, hosts, and where they lie in a data folder.

use crate::name::DatasetName;

/// One file as its publisher made it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OfficialFile {
    pub name: &'static str,
    /// MD5 (32 digits) and SHA-256 (64 digits) of the unpacked contents; any match counts.
    pub digests: &'static [&'static str],
}

/// The archive that holds the files at the official host.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OfficialArchive {
    pub name: &'static str,
    pub md5: &'static str,
}

/// One published data set.
#[derive(Debug)]
pub(crate) struct Official {
    pub name: &'static str,
    /// Where the files may lie below the data folder; `fetch` fills the first.
    pub folders: &'static [&'static str],
    /// The training files first, the test files last.
    pub files: &'static [OfficialFile],
    /// `None`: the files are published one by one, each packed with gzip.
    pub archive: Option<OfficialArchive>,
    /// Ends with `/`.
    pub host: &'static str,
    /// Bytes to download, about.
    pub download_bytes: u64,
}

/// The published files of a data set that has some.
pub(crate) fn of(name: &DatasetName) -> Option<&'static Official> {
    match name {
        DatasetName::Cifar10 => Some(&CIFAR10),
        DatasetName::Cifar100 => Some(&CIFAR100),
        DatasetName::FashionMnist => Some(&FASHION_MNIST),
        DatasetName::FashionMnistSample | DatasetName::Folder(_) => None,
    }
}

/// CIFAR-10, binary version. The digests are those of the unpacked official archive.
pub(crate) static CIFAR10: Official = Official {
    name: "CIFAR10",
    folders: &["cifar-10-batches-bin", "."],
    files: &[
        OfficialFile { name: "data_batch_1.bin", digests: &["5dd7e06a14cb22eb9f671a540d1b7c25"] },
        OfficialFile { name: "data_batch_2.bin", digests: &["5ea93a67294ea407fff1d09f752e9692"] },
        OfficialFile { name: "data_batch_3.bin", digests: &["942cd6a4bcdd0dd3c604fbe906cb4421"] },
        OfficialFile { name: "data_batch_4.bin", digests: &["ae636b3ba5c66a11e91e8cb52e771fcb"] },
        OfficialFile { name: "data_batch_5.bin", digests: &["53f37980c15c3d472c316c40844f3f0d"] },
        OfficialFile { name: "test_batch.bin", digests: &["803d5f7f4d78ea53de84dbe85f74fb6d"] },
    ],
    archive: Some(OfficialArchive { name: "cifar-10-binary.tar.gz", md5: "c32a1d4ab5d03f1284b67883e8d87530" }),
    host: "https://www.cs.toronto.edu/~kriz/",
    download_bytes: 170_052_171,
};

/// CIFAR-100, binary version. The page states the archive's MD5 only; the files' digests are those that two download
/// libraries check (MD5: rai-project/dldataset, SHA-256: ankane/torchvision-ruby), so either may match.
pub(crate) static CIFAR100: Official = Official {
    name: "CIFAR100",
    folders: &["cifar-100-binary", "."],
    files: &[
        OfficialFile {
            name: "train.bin",
            digests: &["6172c7755cfe09b2fe270c85cebc1b15", "f31298fc616915fa142368359df1c4ca2ae984d6915ca468b998a5ec6aeebf29"],
        },
        OfficialFile {
            name: "test.bin",
            digests: &["4499cfba6c016c1be1438163640a0898", "d8b1e6b7b3bee4020055f0699b111f60b1af1e262aeb93a0b659061746f8224a"],
        },
    ],
    archive: Some(OfficialArchive { name: "cifar-100-binary.tar.gz", md5: "03b5dce01913d631647c71ecec9e9cb8" }),
    host: "https://www.cs.toronto.edu/~kriz/",
    download_bytes: 168_513_733,
};

/// FashionMNIST. The digests are those of the unpacked files, because distributions pack them anew.
pub(crate) static FASHION_MNIST: Official = Official {
    name: "FashionMNIST",
    folders: &["FashionMNIST/raw", "FashionMNIST", "fashion-mnist", "."],
    files: &[
        OfficialFile { name: "train-images-idx3-ubyte", digests: &["f4a8712d7a061bf5bd6d2ca38dc4d50a"] },
        OfficialFile { name: "train-labels-idx1-ubyte", digests: &["9018921c3c673c538a1fc5bad174d6f9"] },
        OfficialFile { name: "t10k-images-idx3-ubyte", digests: &["8181f5470baa50b63fa0f6fddb340f0a"] },
        OfficialFile { name: "t10k-labels-idx1-ubyte", digests: &["15d484375f8d13e6eb1aabb0c3f46965"] },
    ],
    archive: None,
    host: "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    download_bytes: 30_878_645,
};
