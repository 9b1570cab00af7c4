//! The portable SIMD layer: one trait, four levels, chosen at run time.
//!
//! Every kernel is written once, generic over [`Simd`], and compiled once per level inside a function that enables the
//! level's instructions ([`dispatch`]). A kernel and all it calls must be `#[inline(always)]`, or the intrinsics would
//! not be inlined; closures are avoided in kernels for the same reason. `std::simd` is not stable and the crates that
//! offer this (pulp, macerator) bring more than the dozen operations that the engine needs.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;

#[allow(unused_imports, reason = "named in documentation")]
use super::gemm;
use super::gemm::Product;

/// A SIMD level. Results are the same bits for the same level, whatever the number of threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Level {
    /// Arrays of 4 floats that the compiler vectorises as it can, without fused multiply-add. Runs everywhere.
    Portable,
    /// x86-64 with AVX2 and FMA: 8 lanes.
    Avx2,
    /// x86-64 with AVX-512 F, BW, DQ and VL: 16 lanes.
    Avx512,
    /// aarch64: 4 lanes.
    Neon,
}

impl Level {
    /// The levels that this machine can run, the best first.
    pub fn available() -> Vec<Level> {
        [Level::Avx512, Level::Avx2, Level::Neon, Level::Portable].into_iter().filter(|level| level.is_available()).collect()
    }

    fn is_available(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => {
                Level::Avx2.is_available()
                    && is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vl")
            }
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            #[cfg(target_arch = "aarch64")]
            Level::Neon => true,
            Level::Portable => true,
            _ => false,
        }
    }

    /// The best level of this machine.
    pub fn best() -> Level {
        Self::available()[0]
    }

    /// The name used in settings, logs and checkpoints.
    pub const fn name(self) -> &'static str {
        match self {
            Level::Portable => "portable",
            Level::Avx2 => "avx2",
            Level::Avx512 => "avx512",
            Level::Neon => "neon",
        }
    }

    /// The level of that name, whether or not this machine can run it.
    pub fn from_name(name: &str) -> Option<Level> {
        [Level::Portable, Level::Avx2, Level::Avx512, Level::Neon].into_iter().find(|level| level.name() == name)
    }

    /// Floats per vector.
    pub const fn lanes(self) -> usize {
        match self {
            Level::Avx512 => 16,
            Level::Avx2 => 8,
            Level::Neon | Level::Portable => 4,
        }
    }

    /// Columns of a panel of the matrix kernel's B.
    pub(crate) const fn panel(self) -> usize {
        self.lanes()
            * match self {
                Level::Portable | Level::Avx2 => 2,
                Level::Avx512 | Level::Neon => 3,
            }
    }
}

/// Vector operations of one level.
///
/// # Safety
/// Every function may be called only where the level's instructions are enabled, that is, below [`dispatch`]. Pointers
/// must be valid for the lanes that are read or written; no alignment is needed.
pub(crate) trait Simd: Copy + 'static {
    /// Floats per vector.
    const LANES: usize;
    /// Most rows of the matrix kernel's tile (6 or 8).
    const TILE_ROWS: usize;
    /// Most vectors of columns of the matrix kernel's tile (up to 3): with the rows, as many sums as the level's registers
    /// hold beside the operands.
    const TILE_VECTORS: usize;
    /// Side of the square that [`Simd::transpose`] turns over.
    const TRANSPOSED: usize;
    /// One vector.
    type V: Copy;

    unsafe fn splat(value: f32) -> Self::V;
    unsafe fn load(from: *const f32) -> Self::V;
    unsafe fn store(to: *mut f32, v: Self::V);
    /// Reads the first `count < LANES` lanes; the others are 0.
    unsafe fn load_partial(from: *const f32, count: usize) -> Self::V;
    /// Writes the first `count < LANES` lanes.
    unsafe fn store_partial(to: *mut f32, v: Self::V, count: usize);
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn sub(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn mul(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn div(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn sqrt(a: Self::V) -> Self::V;
    /// `a * b + c`, fused where the level has it.
    unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    unsafe fn max(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn min(a: Self::V, b: Self::V) -> Self::V;
    /// Lane by lane: `a > b ? yes : no`.
    unsafe fn if_greater(a: Self::V, b: Self::V, yes: Self::V, no: Self::V) -> Self::V;

    /// Lane by lane: `a <= b ? yes : no`; `no` where either is NaN.
    unsafe fn if_at_most(a: Self::V, b: Self::V, yes: Self::V, no: Self::V) -> Self::V;

    /// Writes the transpose of the [`Simd::TRANSPOSED`] square at `from` to `to`; rows are so many floats apart.
    unsafe fn transpose(from: *const f32, from_step: usize, to: *mut f32, to_step: usize);

    /// [`gemm::product`], compiled once for the level: it is too long to be repeated wherever it is called.
    unsafe fn product(product: &Product<'_>);

    /// Reads `min(count, LANES)` lanes.
    #[inline(always)]
    unsafe fn load_upto(from: *const f32, count: usize) -> Self::V {
        if count >= Self::LANES { unsafe { Self::load(from) } } else { unsafe { Self::load_partial(from, count) } }
    }

    /// Writes `min(count, LANES)` lanes.
    #[inline(always)]
    unsafe fn store_upto(to: *mut f32, v: Self::V, count: usize) {
        if count >= Self::LANES { unsafe { Self::store(to, v) } } else { unsafe { Self::store_partial(to, v, count) } }
    }
}

/// A piece of work that is compiled for every level.
pub(crate) trait Kernel {
    /// Does the work with the operations of `S`. Must be `#[inline(always)]`.
    ///
    /// # Safety
    /// Only below [`dispatch`]; the kernel's own pointers must be valid.
    unsafe fn run<S: Simd>(self);
}

/// One after the other, in one task.
impl<A: Kernel, B: Kernel> Kernel for (A, B) {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        unsafe {
            self.0.run::<S>();
            self.1.run::<S>();
        }
    }
}

/// Only where there is something to do.
impl<K: Kernel> Kernel for Option<K> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        if let Some(kernel) = self {
            unsafe { kernel.run::<S>() };
        }
    }
}

/// Runs `kernel` with the instructions of `level`.
///
/// # Safety
/// `level` must be one of [`Level::available`], and the kernel's pointers must be valid.
#[inline]
pub(crate) unsafe fn dispatch<K: Kernel>(level: Level, kernel: K) {
    unsafe {
        match level {
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => avx512::enter(kernel),
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => avx2::enter(kernel),
            #[cfg(target_arch = "aarch64")]
            Level::Neon => neon::enter(kernel),
            _ => kernel.run::<portable::Portable>(),
        }
    }
}
