//! x86-64 with AVX2 and FMA.

use super::super::gemm::{self, Product};
use super::{Kernel, Simd};
use std::arch::x86_64::*;

/// Eight floats in a `ymm` register.
#[derive(Clone, Copy)]
pub(crate) struct Avx2;

#[target_feature(enable = "avx,avx2,fma")]
pub(super) unsafe fn enter<K: Kernel>(kernel: K) {
    unsafe { kernel.run::<Avx2>() }
}

/// Eight ones and then eight zeros: loading at `8 - count` gives a mask of the first `count` lanes.
static MASKS: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];

#[inline(always)]
unsafe fn first(count: usize) -> __m256i {
    unsafe { _mm256_loadu_si256(MASKS.as_ptr().add(8 - count).cast()) }
}

#[target_feature(enable = "avx,avx2,fma")]
#[inline(never)]
unsafe fn product(p: &Product<'_>) {
    unsafe { gemm::product::<Avx2>(p) }
}

/// Transposes a square of eight by eight floats: pairs of rows interleaved, then pairs of pairs, then halves.
#[inline(always)]
pub(super) unsafe fn transpose8(from: *const f32, from_step: usize, to: *mut f32, to_step: usize) {
    unsafe {
        let mut quads = [_mm256_setzero_ps(); 8];
        for half in 0..2 {
            let first = from.add(half * 4 * from_step);
            let (a, b) = (_mm256_loadu_ps(first), _mm256_loadu_ps(first.add(from_step)));
            let (c, d) = (_mm256_loadu_ps(first.add(2 * from_step)), _mm256_loadu_ps(first.add(3 * from_step)));
            let (ab_low, ab_high) = (_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
            let (cd_low, cd_high) = (_mm256_unpacklo_ps(c, d), _mm256_unpackhi_ps(c, d));
            quads[half * 4] = _mm256_shuffle_ps::<0x44>(ab_low, cd_low);
            quads[half * 4 + 1] = _mm256_shuffle_ps::<0xee>(ab_low, cd_low);
            quads[half * 4 + 2] = _mm256_shuffle_ps::<0x44>(ab_high, cd_high);
            quads[half * 4 + 3] = _mm256_shuffle_ps::<0xee>(ab_high, cd_high);
        }
        for i in 0..4 {
            _mm256_storeu_ps(to.add(i * to_step), _mm256_permute2f128_ps::<0x20>(quads[i], quads[i + 4]));
            _mm256_storeu_ps(to.add((i + 4) * to_step), _mm256_permute2f128_ps::<0x31>(quads[i], quads[i + 4]));
        }
    }
}

impl Simd for Avx2 {
    const LANES: usize = 8;
    const TILE_ROWS: usize = 6;
    const TILE_VECTORS: usize = 2;
    const TRANSPOSED: usize = 8;
    type V = __m256;

    #[inline(always)]
    unsafe fn splat(value: f32) -> __m256 {
        unsafe { _mm256_set1_ps(value) }
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> __m256 {
        unsafe { _mm256_loadu_ps(from) }
    }
    #[inline(always)]
    unsafe fn store(to: *mut f32, v: __m256) {
        unsafe { _mm256_storeu_ps(to, v) }
    }
    #[inline(always)]
    unsafe fn load_partial(from: *const f32, count: usize) -> __m256 {
        unsafe { _mm256_maskload_ps(from, first(count)) }
    }
    #[inline(always)]
    unsafe fn store_partial(to: *mut f32, v: __m256, count: usize) {
        unsafe { _mm256_maskstore_ps(to, first(count), v) }
    }
    #[inline(always)]
    unsafe fn add(a: __m256, b: __m256) -> __m256 {
        unsafe { _mm256_add_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn sub(a: __m256, b: __m256) -> __m256 {
        unsafe { _mm256_sub_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn mul(a: __m256, b: __m256) -> __m256 {
        unsafe { _mm256_mul_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn div(a: __m256, b: __m256) -> __m256 {
        unsafe { _mm256_div_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn sqrt(a: __m256) -> __m256 {
        unsafe { _mm256_sqrt_ps(a) }
    }
    #[inline(always)]
    unsafe fn fma(a: __m256, b: __m256, c: __m256) -> __m256 {
        unsafe { _mm256_fmadd_ps(a, b, c) }
    }
    #[inline(always)]
    unsafe fn max(a: __m256, b: __m256) -> __m256 {
        unsafe { _mm256_max_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn min(a: __m256, b: __m256) -> __m256 {
        unsafe { _mm256_min_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn if_greater(a: __m256, b: __m256, yes: __m256, no: __m256) -> __m256 {
        unsafe { _mm256_blendv_ps(no, yes, _mm256_cmp_ps::<_CMP_GT_OQ>(a, b)) }
    }
    #[inline(always)]
    unsafe fn if_at_most(a: __m256, b: __m256, yes: __m256, no: __m256) -> __m256 {
        unsafe { _mm256_blendv_ps(no, yes, _mm256_cmp_ps::<_CMP_LE_OQ>(a, b)) }
    }
    #[inline(always)]
    unsafe fn transpose(from: *const f32, from_step: usize, to: *mut f32, to_step: usize) {
        unsafe { transpose8(from, from_step, to, to_step) }
    }
    #[inline(always)]
    unsafe fn product(p: &Product<'_>) {
        unsafe { product(p) }
    }
}
