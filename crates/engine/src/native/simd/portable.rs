//! Plain arrays: runs on every machine, and is the level that the others are compared with.

use super::super::gemm::{self, Product};
use super::Simd;

/// Four floats in an array: what every machine's vector registers hold.
#[derive(Clone, Copy)]
pub(crate) struct Portable;

const LANES: usize = 4;

macro_rules! lanewise {
    ($name:ident($($arg:ident),+) = $value:expr) => {
        #[inline(always)]
        unsafe fn $name($($arg: [f32; LANES]),+) -> [f32; LANES] {
            std::array::from_fn(|i| { $(let $arg = $arg[i];)+ $value })
        }
    };
}

#[inline(never)]
unsafe fn product(p: &Product<'_>) {
    unsafe { gemm::product::<Portable>(p) }
}

impl Simd for Portable {
    const LANES: usize = LANES;
    const TILE_ROWS: usize = 6;
    const TILE_VECTORS: usize = 2;
    const TRANSPOSED: usize = LANES;
    type V = [f32; LANES];

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self::V {
        [value; LANES]
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self::V {
        unsafe { from.cast::<[f32; LANES]>().read_unaligned() }
    }

    #[inline(always)]
    unsafe fn store(to: *mut f32, v: Self::V) {
        unsafe { to.cast::<[f32; LANES]>().write_unaligned(v) }
    }

    #[inline(always)]
    unsafe fn load_partial(from: *const f32, count: usize) -> Self::V {
        std::array::from_fn(|i| if i < count { unsafe { *from.add(i) } } else { 0.0 })
    }

    #[inline(always)]
    unsafe fn store_partial(to: *mut f32, v: Self::V, count: usize) {
        for (i, value) in v.into_iter().enumerate().take(count) {
            unsafe { *to.add(i) = value }
        }
    }

    lanewise!(add(a, b) = a + b);
    lanewise!(sub(a, b) = a - b);
    lanewise!(mul(a, b) = a * b);
    lanewise!(div(a, b) = a / b);
    lanewise!(sqrt(a) = a.sqrt());
    // Not `mul_add`: without the instruction that is a library call, a hundred times slower.
    lanewise!(fma(a, b, c) = a * b + c);
    lanewise!(max(a, b) = if a > b { a } else { b });
    lanewise!(min(a, b) = if a < b { a } else { b });
    lanewise!(if_greater(a, b, yes, no) = if a > b { yes } else { no });
    lanewise!(if_at_most(a, b, yes, no) = if a <= b { yes } else { no });
    #[inline(always)]
    unsafe fn transpose(from: *const f32, from_step: usize, to: *mut f32, to_step: usize) {
        for row in 0..LANES {
            for col in 0..LANES {
                unsafe { *to.add(col * to_step + row) = *from.add(row * from_step + col) };
            }
        }
    }
    #[inline(always)]
    unsafe fn product(p: &Product<'_>) {
        unsafe { product(p) }
    }
}
