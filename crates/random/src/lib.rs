//! Counter-based random numbers.
//!
//! Every draw in Anmok is a pure function of a key (seed, epoch, image, layer, ...) and a counter, so that a run gives
//! the same bits for any number of threads, in any order of work, and after any resume. A generator with state was
//! refused for that reason. The mixing function is the finaliser of SplitMix64 (Steele, Lea and Flood, "Fast
//! splittable pseudorandom number generators", OOPSLA 2014); it is short enough to be repeated in Python, which the
//! goldens and the PyTorch comparison do (`bench/anmok_random.py`).

const GOLDEN_GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

/// SplitMix64's finaliser: a bijection of 64-bit words in which every input bit reaches every output bit.
#[inline]
pub const fn mix(word: u64) -> u64 {
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

/// One key made of several words, for example `key(&[seed, epoch, image])`. The order of the words matters.
#[inline]
pub const fn key(words: &[u64]) -> u64 {
    let mut state = GOLDEN_GAMMA;
    let mut i = 0;
    while i < words.len() {
        state = mix(state ^ mix(words[i].wrapping_add(GOLDEN_GAMMA)));
        state = state.wrapping_add(GOLDEN_GAMMA);
        i += 1;
    }
    state
}

/// The 64 random bits at position `counter` of the sequence named by `key`.
#[inline]
pub const fn bits(key: u64, counter: u64) -> u64 {
    mix(key.wrapping_add(counter.wrapping_add(1).wrapping_mul(GOLDEN_GAMMA)))
}

/// A uniform number in `[0, 1)` with 24 random bits, at position `counter` of the sequence named by `key`.
#[inline]
pub fn uniform_at(key: u64, counter: u64) -> f32 {
    (bits(key, counter) >> 40) as f32 * (1.0 / 16_777_216.0)
}

/// A walk along the sequence of one key, for code that needs several draws in a row.
#[derive(Debug, Clone)]
pub struct Stream {
    key: u64,
    counter: u64,
}

impl Stream {
    /// Starts at the first position of the sequence named by `words` (see [`key`]).
    pub const fn new(words: &[u64]) -> Self {
        Self { key: key(words), counter: 0 }
    }

    /// The next 64 random bits.
    #[inline]
    pub fn next_bits(&mut self) -> u64 {
        let bits = bits(self.key, self.counter);
        self.counter += 1;
        bits
    }

    /// A uniform number in `[0, 1)` with 24 random bits.
    #[inline]
    pub fn uniform(&mut self) -> f32 {
        (self.next_bits() >> 40) as f32 * (1.0 / 16_777_216.0)
    }

    /// A uniform number in `[0, 1)` with 53 random bits.
    #[inline]
    pub fn uniform_f64(&mut self) -> f64 {
        (self.next_bits() >> 11) as f64 * (1.0 / 9_007_199_254_740_992.0)
    }

    /// A uniform whole number in `0..bound` (by multiplication; the bias is below `bound / 2^64`). `bound` must not be 0.
    #[inline]
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next_bits()) * u128::from(bound)) >> 64) as u64
    }

    /// A standard normal number (Box and Muller, 1958; the second of each pair is not used, so that one call is two draws).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform_f64()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform_f64()).cos()
    }

    /// A draw from Beta(alpha, alpha), as mixup uses it (two gamma variates, Marsaglia and Tsang, 2000).
    pub fn beta(&mut self, alpha: f64) -> f64 {
        let a = self.gamma(alpha);
        let b = self.gamma(alpha);
        if a + b == 0.0 { 0.5 } else { a / (a + b) }
    }

    fn gamma(&mut self, shape: f64) -> f64 {
        if shape < 1.0 {
            let boost = self.uniform_f64().max(f64::MIN_POSITIVE).powf(1.0 / shape);
            return self.gamma(shape + 1.0) * boost;
        }
        let d = shape - 1.0 / 3.0;
        let c = 1.0 / (9.0 * d).sqrt();
        loop {
            let x = self.normal();
            let v = (1.0 + c * x).powi(3);
            if v > 0.0 && (1.0 - self.uniform_f64()).ln() < 0.5 * x * x + d - d * v + d * v.ln() {
                return d * v;
            }
        }
    }

    /// Shuffles `items` in place (Fisher and Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i as u64 + 1) as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `bench/anmok_random.py` repeats these functions for the goldens and the PyTorch comparison, and checks itself
    /// against the same constants when it is imported.
    #[test]
    fn the_sequence_never_changes() {
        assert_eq!(mix(1), 0x5692_161d_100b_05e5);
        assert_eq!(key(&[1, 2]), 0x177f_3084_c194_faea);
        assert_eq!(key(&[0, u64::from_be_bytes(*b"valsplit")]), 0xd5db_86e8_99db_4dfb);
        let mut stream = Stream::new(&[1, 2]);
        assert_eq!([stream.next_bits(), stream.next_bits()], [0xcfbf_573d_37e6_c924, 0x101b_2e6b_830f_194b]);
        assert_eq!(bits(key(&[1, 2]), 1), 0x101b_2e6b_830f_194b);
        assert_eq!(uniform_at(key(&[1, 2]), 3), 0.477_212_97);
    }

    #[test]
    fn draws_have_the_moments_of_their_distribution() {
        let mut s = Stream::new(&[7]);
        let n = 200_000;
        let mean = |f: &mut dyn FnMut() -> f64| (0..n).map(|_| f()).sum::<f64>() / f64::from(n);
        assert!((mean(&mut || f64::from(s.uniform())) - 0.5).abs() < 0.005);
        assert!(mean(&mut || s.normal()).abs() < 0.01);
        assert!((mean(&mut || s.normal().powi(2)) - 1.0).abs() < 0.02);
        assert!((mean(&mut || s.beta(0.2)) - 0.5).abs() < 0.01);
        // Var of Beta(a, a) is 1 / (4 (2a + 1)).
        assert!((mean(&mut || (s.beta(0.2) - 0.5).powi(2)) - 1.0 / 5.6).abs() < 0.005);
        let mut seen = [0; 7];
        (0..70_000).for_each(|_| seen[s.below(7) as usize] += 1);
        assert!(seen.iter().all(|&c| (9_500..10_500).contains(&c)), "{seen:?}");
    }

    #[test]
    fn a_shuffle_is_a_permutation() {
        let mut items: Vec<u32> = (0..1000).collect();
        Stream::new(&[3]).shuffle(&mut items);
        let mut sorted = items.clone();
        sorted.sort_unstable();
        assert_ne!(items, sorted);
        assert_eq!(sorted, (0..1000).collect::<Vec<_>>());
    }
}
