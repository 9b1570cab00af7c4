#!/usr/bin/env python3
"""Make the built-in FashionMNIST sample. usage: make.py FOLDER_WITH_THE_FOUR_OFFICIAL_FILES  (standard library only)

Writes 6,000 training and 1,000 test images beside this script, in the official IDX format: per class the 600 (100)
images of lowest rank, in file order; the rank of image i is anmok_random::bits(key(["sample.."]), i).
"""
import gzip, hashlib, struct, sys
from pathlib import Path

MASK = (1 << 64) - 1
GAMMA = 0x9E3779B97F4A7C15
MD5 = {
    "train-images-idx3-ubyte": "f4a8712d7a061bf5bd6d2ca38dc4d50a",
    "train-labels-idx1-ubyte": "9018921c3c673c538a1fc5bad174d6f9",
    "t10k-images-idx3-ubyte": "8181f5470baa50b63fa0f6fddb340f0a",
    "t10k-labels-idx1-ubyte": "15d484375f8d13e6eb1aabb0c3f46965",
}


def mix(word):
    word = (word ^ (word >> 30)) * 0xBF58476D1CE4E5B9 & MASK
    word = (word ^ (word >> 27)) * 0x94D049BB133111EB & MASK
    return word ^ (word >> 31)


def key(words):
    state = GAMMA
    for word in words:
        state = (mix(state ^ mix((word + GAMMA) & MASK)) + GAMMA) & MASK
    return state


def bits(key, counter):
    return mix((key + (counter + 1) * GAMMA) & MASK)


def official(folder, name):
    plain, packed = folder / name, folder / f"{name}.gz"
    data = plain.read_bytes() if plain.exists() else gzip.decompress(packed.read_bytes())
    assert hashlib.md5(data).hexdigest() == MD5[name], name
    return data


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder, here = Path(sys.argv[1]), Path(__file__).resolve().parent
    sample = key([int.from_bytes(b"sample..", "big")])
    for part, per_class in (("train", 600), ("t10k", 100)):
        images = official(folder, f"{part}-images-idx3-ubyte")[16:]
        labels = official(folder, f"{part}-labels-idx1-ubyte")[8:]
        chosen = []
        for c in range(10):
            members = [i for i, label in enumerate(labels) if label == c]
            chosen += sorted(members, key=lambda i: bits(sample, i))[:per_class]
        chosen.sort()
        files = {
            f"{part}-images-idx3-ubyte": struct.pack(">IIII", 0x803, len(chosen), 28, 28) + b"".join(images[784 * i : 784 * i + 784] for i in chosen),
            f"{part}-labels-idx1-ubyte": struct.pack(">II", 0x801, len(chosen)) + bytes(labels[i] for i in chosen),
        }
        for name, data in files.items():
            packed = gzip.compress(data, 9, mtime=0)
            (here / f"{name}.gz").write_bytes(packed)
            print(f"{name}.gz: {len(packed)} bytes, md5 of the contents {hashlib.md5(data).hexdigest()}")


main()
