//! Plain arrays: runs on every machine, and is the level that the others are compared with.

use super::Simd;

/// Eight floats in an array.
#[derive(Clone, Copy)]
pub(crate) struct Portable;

const LANES: usize = 8;

macro_rules! lanewise {
    ($name:ident($($arg:ident),+) = $value:expr) => {
        #[inline(always)]
        unsafe fn $name($($arg: [f32; LANES]),+) -> [f32; LANES] {
            std::array::from_fn(|i| { $(let $arg = $arg[i];)+ $value })
        }
    };
}

impl Simd for Portable {
    const LANES: usize = LANES;
    const TILE_ROWS: usize = 4;
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
}
