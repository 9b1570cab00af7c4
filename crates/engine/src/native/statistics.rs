//! From the sums of a layer's chunks to the coefficients and gradients of its BatchNorm (or bias), some channels at a
//! time. Sums of chunks are merged in chunk order and in double precision, so that the result does not depend on which
//! thread worked on which chunk.

use super::memory::At;
use super::simd::{Kernel, Simd};

/// Channels that are merged together: enough for the compiler to use vectors.
const BLOCK: usize = 16;

/// The coefficient vectors of one BatchNorm, `[channels]` each.
#[derive(Clone, Copy)]
pub(crate) struct Coefficients {
    pub scale: At,
    pub shift: At,
    pub mean: At,
    pub mean_d: At,
    /// Between forward and backward: 1 / standard deviation.
    pub slope: At,
}

/// The sums of a layer's chunks: `[chunks, 2, stride]`.
#[derive(Clone, Copy)]
pub(crate) struct Parts {
    pub at: At,
    pub stride: usize,
    pub count: usize,
    /// Rows of every part but the last.
    pub rows: usize,
    /// Rows of all parts.
    pub total_rows: usize,
}

impl Parts {
    /// The vectors of part `part`: means or first sums, squared deviations or second sums.
    #[inline(always)]
    pub unsafe fn part(&self, part: usize) -> (At, At) {
        unsafe { (self.at.add(part * 2 * self.stride), self.at.add((part * 2 + 1) * self.stride)) }
    }

    #[inline(always)]
    fn rows_of(&self, part: usize) -> f64 {
        (self.total_rows - part * self.rows).min(self.rows) as f64
    }

    /// The sums of both vectors over the parts.
    #[inline(always)]
    unsafe fn sums(&self, first: usize, count: usize) -> ([f64; BLOCK], [f64; BLOCK]) {
        let (mut sums, mut products) = ([0.0; BLOCK], [0.0; BLOCK]);
        for part in 0..self.count {
            unsafe {
                let (a, b) = self.part(part);
                let (a, b) = (read(a, first, count), read(b, first, count));
                for i in 0..BLOCK {
                    sums[i] += a[i];
                    products[i] += b[i];
                }
            }
        }
        (sums, products)
    }
}

#[inline(always)]
unsafe fn read(from: At, first: usize, count: usize) -> [f64; BLOCK] {
    let mut values = [0.0; BLOCK];
    unsafe {
        let from = from.ptr().add(first);
        if count == BLOCK {
            for (i, value) in values.iter_mut().enumerate() {
                *value = f64::from(*from.add(i));
            }
        } else {
            for (i, value) in values.iter_mut().enumerate().take(count) {
                *value = f64::from(*from.add(i));
            }
        }
    }
    values
}

#[inline(always)]
unsafe fn write(to: At, first: usize, count: usize, values: &[f64; BLOCK]) {
    for (i, &value) in values.iter().enumerate().take(count) {
        unsafe { *to.ptr().add(first + i) = value as f32 };
    }
}

/// Writes gradients, or adds them to those of earlier passes.
#[inline(always)]
unsafe fn put(to: At, first: usize, count: usize, mut values: [f64; BLOCK], accumulate: bool) {
    unsafe {
        if accumulate {
            let before = read(to, first, count);
            for i in 0..BLOCK {
                values[i] += before[i];
            }
        }
        write(to, first, count, &values);
    }
}

/// Calls `$body` for each block of at most [`BLOCK`] of `$count` channels from `$first` on.
macro_rules! for_blocks {
    ($from:expr, $cols:expr, |$first:ident, $count:ident| $body:expr) => {
        let (mut $first, end) = ($from, $from + $cols);
        while $first < end {
            let $count = (end - $first).min(BLOCK);
            $body
            $first += BLOCK;
        }
    };
}

/// Batch mean and variance, the running statistics' step, scale and shift (`torch.nn.BatchNorm2d` in training).
#[derive(Clone, Copy)]
pub(crate) struct MergeForward {
    pub parts: Parts,
    pub gamma: At,
    pub beta: At,
    pub running_mean: At,
    pub running_var: At,
    pub c: Coefficients,
    pub eps: f64,
    pub momentum: f64,
    pub first: usize,
    pub cols: usize,
}

impl Kernel for MergeForward {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        for_blocks!(self.first, self.cols, |first, count| unsafe { self.block(first, count) });
    }
}

impl MergeForward {
    #[inline(always)]
    unsafe fn block(&self, first: usize, count: usize) {
        let rows = self.parts.total_rows as f64;
        let (mut mean, mut m2) = ([0.0; BLOCK], [0.0; BLOCK]);
        unsafe {
            for part in 0..self.parts.count {
                let weight = self.parts.rows_of(part);
                let theirs = read(self.parts.part(part).0, first, count);
                for i in 0..BLOCK {
                    mean[i] += weight * theirs[i];
                }
            }
            for mean in &mut mean {
                *mean /= rows;
            }
            // Deviations within the parts, and of the parts' means from the whole's.
            for part in 0..self.parts.count {
                let weight = self.parts.rows_of(part);
                let (means, squares) = self.parts.part(part);
                let (means, squares) = (read(means, first, count), read(squares, first, count));
                for i in 0..BLOCK {
                    let off = means[i] - mean[i];
                    m2[i] += squares[i] + weight * off * off;
                }
            }
            let (gamma, beta) = (read(self.gamma, first, count), read(self.beta, first, count));
            let (mut running_mean, mut running_var) = (read(self.running_mean, first, count), read(self.running_var, first, count));
            let (mut inverse_std, mut scale, mut shift) = ([0.0; BLOCK], [0.0; BLOCK], [0.0; BLOCK]);
            for i in 0..BLOCK {
                inverse_std[i] = 1.0 / (m2[i] / rows + self.eps).sqrt();
                scale[i] = gamma[i] * inverse_std[i];
                shift[i] = beta[i] - mean[i] * f64::from(scale[i] as f32);
                running_mean[i] = (1.0 - self.momentum) * running_mean[i] + self.momentum * mean[i];
                running_var[i] = (1.0 - self.momentum) * running_var[i] + self.momentum * (m2[i] / (rows - 1.0));
            }
            write(self.c.mean, first, count, &mean);
            write(self.c.slope, first, count, &inverse_std);
            write(self.c.scale, first, count, &scale);
            write(self.c.shift, first, count, &shift);
            write(self.running_mean, first, count, &running_mean);
            write(self.running_var, first, count, &running_var);
        }
    }
}

/// What the second backward pass needs, and the gradients of gamma, beta and a bias before the BatchNorm.
#[derive(Clone, Copy)]
pub(crate) struct MergeBackward {
    pub parts: Parts,
    pub c: Coefficients,
    pub gamma: At,
    pub beta: At,
    /// The gradient of a bias that BatchNorm takes away again: zero but for rounding.
    pub bias: At,
    pub accumulate: bool,
    pub first: usize,
    pub cols: usize,
}

impl Kernel for MergeBackward {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        for_blocks!(self.first, self.cols, |first, count| unsafe { self.block(first, count) });
    }
}

impl MergeBackward {
    #[inline(always)]
    unsafe fn block(&self, first: usize, count: usize) {
        let rows = self.parts.total_rows as f64;
        unsafe {
            let (sum_d, sum_dz) = self.parts.sums(first, count);
            let inverse_std = read(self.c.slope, first, count);
            let (mut mean_d, mut slope, mut gamma) = ([0.0; BLOCK], [0.0; BLOCK], [0.0; BLOCK]);
            for i in 0..BLOCK {
                mean_d[i] = sum_d[i] / rows;
                gamma[i] = sum_dz[i] * inverse_std[i];
                slope[i] = gamma[i] * inverse_std[i] / rows;
            }
            write(self.c.mean_d, first, count, &mean_d);
            write(self.c.slope, first, count, &slope);
            put(self.gamma, first, count, gamma, self.accumulate);
            put(self.beta, first, count, sum_d, self.accumulate);
            if self.bias.is_some() {
                put(self.bias, first, count, [0.0; BLOCK], self.accumulate);
            }
        }
    }
}

/// The gradient of a bias without BatchNorm: the first sums.
#[derive(Clone, Copy)]
pub(crate) struct MergeBias {
    pub parts: Parts,
    pub bias: At,
    pub accumulate: bool,
    pub first: usize,
    pub cols: usize,
}

impl Kernel for MergeBias {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        for_blocks!(self.first, self.cols, |first, count| unsafe {
            let (sums, _) = self.parts.sums(first, count);
            put(self.bias, first, count, sums, self.accumulate);
        });
    }
}
