//! aarch64: Apple Silicon and ARM servers. NEON is part of the base architecture, so nothing needs enabling.

// Whether these intrinsics need `unsafe` where NEON is part of the target has changed between compiler versions.
#![allow(unused_unsafe)]

use super::super::gemm::{self, Product};
use super::{Kernel, Simd};
use std::arch::aarch64::*;

/// Four floats in a `v` register.
#[derive(Clone, Copy)]
pub(crate) struct Neon;

#[inline]
pub(super) unsafe fn enter<K: Kernel>(kernel: K) {
    unsafe { kernel.run::<Neon>() }
}

#[inline(never)]
unsafe fn product(p: &Product<'_>) {
    unsafe { gemm::product::<Neon>(p) }
}

impl Simd for Neon {
    const LANES: usize = 4;
    const TILE_ROWS: usize = 8;
    const TILE_VECTORS: usize = 3;
    const TRANSPOSED: usize = 4;
    type V = float32x4_t;

    #[inline(always)]
    unsafe fn splat(value: f32) -> float32x4_t {
        unsafe { vdupq_n_f32(value) }
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> float32x4_t {
        unsafe { vld1q_f32(from) }
    }
    #[inline(always)]
    unsafe fn store(to: *mut f32, v: float32x4_t) {
        unsafe { vst1q_f32(to, v) }
    }
    #[inline(always)]
    unsafe fn load_partial(from: *const f32, count: usize) -> float32x4_t {
        let mut lanes = [0.0f32; 4];
        unsafe {
            std::ptr::copy_nonoverlapping(from, lanes.as_mut_ptr(), count);
            vld1q_f32(lanes.as_ptr())
        }
    }
    #[inline(always)]
    unsafe fn store_partial(to: *mut f32, v: float32x4_t, count: usize) {
        let mut lanes = [0.0f32; 4];
        unsafe {
            vst1q_f32(lanes.as_mut_ptr(), v);
            std::ptr::copy_nonoverlapping(lanes.as_ptr(), to, count);
        }
    }
    #[inline(always)]
    unsafe fn add(a: float32x4_t, b: float32x4_t) -> float32x4_t {
        unsafe { vaddq_f32(a, b) }
    }
    #[inline(always)]
    unsafe fn sub(a: float32x4_t, b: float32x4_t) -> float32x4_t {
        unsafe { vsubq_f32(a, b) }
    }
    #[inline(always)]
    unsafe fn mul(a: float32x4_t, b: float32x4_t) -> float32x4_t {
        unsafe { vmulq_f32(a, b) }
    }
    #[inline(always)]
    unsafe fn div(a: float32x4_t, b: float32x4_t) -> float32x4_t {
        unsafe { vdivq_f32(a, b) }
    }
    #[inline(always)]
    unsafe fn sqrt(a: float32x4_t) -> float32x4_t {
        unsafe { vsqrtq_f32(a) }
    }
    #[inline(always)]
    unsafe fn fma(a: float32x4_t, b: float32x4_t, c: float32x4_t) -> float32x4_t {
        unsafe { vfmaq_f32(c, a, b) }
    }
    // vmaxq/vminq give NaN where either side is NaN; a compare and select gives the second operand as x86 does.
    #[inline(always)]
    unsafe fn max(a: float32x4_t, b: float32x4_t) -> float32x4_t {
        unsafe { vbslq_f32(vcgtq_f32(a, b), a, b) }
    }
    #[inline(always)]
    unsafe fn min(a: float32x4_t, b: float32x4_t) -> float32x4_t {
        unsafe { vbslq_f32(vcltq_f32(a, b), a, b) }
    }
    #[inline(always)]
    unsafe fn if_greater(a: float32x4_t, b: float32x4_t, yes: float32x4_t, no: float32x4_t) -> float32x4_t {
        unsafe { vbslq_f32(vcgtq_f32(a, b), yes, no) }
    }
    #[inline(always)]
    unsafe fn if_at_most(a: float32x4_t, b: float32x4_t, yes: float32x4_t, no: float32x4_t) -> float32x4_t {
        unsafe { vbslq_f32(vcleq_f32(a, b), yes, no) }
    }
    #[inline(always)]
    unsafe fn transpose(from: *const f32, from_step: usize, to: *mut f32, to_step: usize) {
        unsafe {
            let row = |i: usize| vld1q_f32(from.add(i * from_step));
            let (even, odd) = (vtrn1q_f32(row(0), row(1)), vtrn2q_f32(row(0), row(1)));
            let (even2, odd2) = (vtrn1q_f32(row(2), row(3)), vtrn2q_f32(row(2), row(3)));
            let low = |a, b| vcombine_f32(vget_low_f32(a), vget_low_f32(b));
            let high = |a, b| vcombine_f32(vget_high_f32(a), vget_high_f32(b));
            for (i, column) in [low(even, even2), low(odd, odd2), high(even, even2), high(odd, odd2)].into_iter().enumerate() {
                vst1q_f32(to.add(i * to_step), column);
            }
        }
    }
    #[inline(always)]
    unsafe fn product(p: &Product<'_>) {
        unsafe { product(p) }
    }
}
