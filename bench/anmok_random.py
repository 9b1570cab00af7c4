"""The counter-based generator of `crates/random` in NumPy, for the programs that must draw what Anmok draws.

`check()` compares it with constants that the Rust crate's own test `the_sequence_never_changes` asserts too.
"""

import numpy as np

GOLDEN_GAMMA = 0x9E3779B97F4A7C15
WORD = (1 << 64) - 1


def mix(word):
    """SplitMix64's finaliser. word: an int, or an array of uint64."""
    if isinstance(word, int):
        word = (word ^ (word >> 30)) * 0xBF58476D1CE4E5B9 & WORD
        word = (word ^ (word >> 27)) * 0x94D049BB133111EB & WORD
        return word ^ (word >> 31)
    word = (word ^ (word >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    word = (word ^ (word >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return word ^ (word >> np.uint64(31))


def key(words):
    """One key made of several words; a word is an int or up to eight ASCII characters (big-endian)."""
    state = GOLDEN_GAMMA
    for word in words:
        word = int.from_bytes(word.encode("ascii"), "big") if isinstance(word, str) else word
        state = mix(state ^ mix((word + GOLDEN_GAMMA) & WORD))
        state = (state + GOLDEN_GAMMA) & WORD
    return state


def bits(key_, counters):
    """The random bits at the positions `counters` (a number, or an array) of the sequence `key_`, as uint64."""
    counters = np.atleast_1d(np.asarray(counters, dtype=np.uint64))
    return mix(np.uint64(key_) + (counters + np.uint64(1)) * np.uint64(GOLDEN_GAMMA))


def uniform(key_, count):
    """The first `count` numbers in [0, 1) of the sequence `key_`, as float32 (24 bits, so exact)."""
    words = bits(key_, np.arange(count, dtype=np.uint64))
    return (words >> np.uint64(40)).astype(np.float32) * np.float32(1 / 16_777_216)


def stratified_validation(labels, fraction, split_seed):
    """Indices of the validation images as Anmok chooses them: every class in proportion, by rank of a random number."""
    labels = np.asarray(labels)
    wanted = int(np.floor(len(labels) * fraction + 0.5))
    counts = np.bincount(labels)
    shares = wanted * counts / len(labels)
    take = np.floor(shares).astype(int)
    for label in np.argsort(-(shares - take), kind="stable")[: wanted - take.sum()]:
        take[label] += 1
    split_key = key([split_seed, "valsplit"])
    chosen = []
    for label, amount in enumerate(take):
        members = np.flatnonzero(labels == label)
        chosen.append(members[np.argsort(bits(split_key, members), kind="stable")[:amount]])
    return np.sort(np.concatenate(chosen))


def check():
    """Stops with an AssertionError where this module and `crates/random` differ."""
    assert mix(1) == 0x5692161D100B05E5 and int(mix(np.array([1], dtype=np.uint64))[0]) == mix(1)
    assert key([1, 2]) == 0x177F3084C194FAEA and key([0, "valsplit"]) == 0xD5DB86E899DB4DFB
    assert bits(key([1, 2]), [0, 1]).tolist() == [0xCFBF573D37E6C924, 0x101B2E6B830F194B]


check()
