//! The engine's memory: one block per purpose, laid out ahead, handed to the threads as plain addresses.

/// Floats behind every buffer that a kernel may read past the end of a row (a whole vector beyond the last element).
pub(crate) const READ_AHEAD: usize = 64;

/// Alignment of buffers, in floats: a cache line and an AVX-512 vector.
pub(crate) const ALIGN: usize = 16;

/// Floats, zeroed at first, aligned to a cache line, with [`READ_AHEAD`] floats that exist but belong to nobody.
pub(crate) struct Block {
    lines: Box<[Line]>,
    len: usize,
}

#[repr(align(64))]
#[expect(dead_code, reason = "read and written through the block's slices")]
struct Line([f32; ALIGN]);

impl Block {
    /// `len` zeros. Pages that are never touched cost nothing: `vec![Line; n]` would write them all.
    pub fn zeroed(len: usize) -> Self {
        let lines = Box::<[Line]>::new_zeroed_slice((len + READ_AHEAD).div_ceil(ALIGN));
        // SAFETY: a line of zero bytes is sixteen zeros.
        Self { lines: unsafe { lines.assume_init() }, len }
    }

    /// The floats.
    pub fn as_slice(&self) -> &[f32] {
        // SAFETY: `Line` is 16 floats without padding, and `len` floats lie within `lines`.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.len) }
    }

    /// The floats, to change.
    pub fn as_mut_slice(&mut self) -> &mut [f32] {
        // SAFETY: as above, and the borrow is unique.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.len) }
    }

    /// The address of the first float, for kernels.
    pub fn at(&mut self) -> At {
        At(self.lines.as_mut_ptr().cast())
    }
}

/// An address that several threads may use at once. What keeps them apart is the cut of the tasks: two tasks of one
/// parallel region never write the same float, and none reads what another writes.
#[derive(Clone, Copy)]
pub(crate) struct At(*mut f32);

// SAFETY: an address alone does nothing; each use is an unsafe block that relies on the rule above.
unsafe impl Send for At {}
unsafe impl Sync for At {}

impl At {
    /// No address; for operands that are absent.
    pub const NONE: At = At(std::ptr::null_mut());

    /// The address of a slice that is only read.
    pub fn read(slice: &[f32]) -> At {
        At(slice.as_ptr().cast_mut())
    }

    /// The address of a slice.
    pub fn write(slice: &mut [f32]) -> At {
        At(slice.as_mut_ptr())
    }

    /// The address `floats` further on.
    ///
    /// # Safety
    /// The result must lie within the same block.
    #[inline(always)]
    pub unsafe fn add(self, floats: usize) -> At {
        At(unsafe { self.0.add(floats) })
    }

    /// The pointer itself.
    #[inline(always)]
    pub fn ptr(self) -> *mut f32 {
        self.0
    }

    /// Whether there is an address.
    #[inline(always)]
    pub fn is_some(self) -> bool {
        !self.0.is_null()
    }
}

/// Hands out non-overlapping ranges of a block before it is allocated.
#[derive(Default)]
pub(crate) struct Layout {
    len: usize,
}

impl Layout {
    /// The offset of `floats` new floats.
    pub fn take(&mut self, floats: usize) -> usize {
        let offset = self.len;
        self.len += floats.next_multiple_of(ALIGN);
        offset
    }

    /// Floats handed out.
    pub fn len(&self) -> usize {
        self.len
    }
}

/// A buffer that is needed from step `from` to step `to` (both included).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lifetime {
    pub from: usize,
    pub to: usize,
    pub floats: usize,
}

/// Offsets for buffers such that two that live at the same time never overlap (greedy: the largest first, each at the
/// lowest place that is free for its whole life), and the floats that they need together.
pub(crate) fn share(lifetimes: &[Lifetime]) -> (Vec<usize>, usize) {
    let mut order: Vec<usize> = (0..lifetimes.len()).collect();
    order.sort_by_key(|&i| std::cmp::Reverse(lifetimes[i].floats));
    let mut offsets = vec![0; lifetimes.len()];
    let mut placed: Vec<usize> = Vec::new();
    let mut total = 0;
    for i in order {
        let mine = lifetimes[i];
        let mut rivals: Vec<(usize, usize)> = placed
            .iter()
            .filter(|&&j| lifetimes[j].from <= mine.to && mine.from <= lifetimes[j].to)
            .map(|&j| (offsets[j], offsets[j] + lifetimes[j].floats.next_multiple_of(ALIGN)))
            .collect();
        rivals.sort_unstable();
        let mut offset = 0;
        for (start, end) in rivals {
            if offset + mine.floats.next_multiple_of(ALIGN) <= start {
                break;
            }
            offset = offset.max(end);
        }
        offsets[i] = offset;
        total = total.max(offset + mine.floats.next_multiple_of(ALIGN));
        placed.push(i);
    }
    (offsets, total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_that_live_together_never_overlap() {
        let mut draw = anmok_random::Stream::new(&[1]);
        for _ in 0..50 {
            let lifetimes: Vec<Lifetime> = (0..30)
                .map(|_| {
                    let from = draw.below(20) as usize;
                    Lifetime { from, to: from + draw.below(6) as usize, floats: 1 + draw.below(500) as usize }
                })
                .collect();
            let (offsets, total) = share(&lifetimes);
            for (i, a) in lifetimes.iter().enumerate() {
                assert!(offsets[i] + a.floats <= total);
                for (j, b) in lifetimes.iter().enumerate().skip(i + 1) {
                    let together = a.from <= b.to && b.from <= a.to;
                    let apart = offsets[i] + a.floats <= offsets[j] || offsets[j] + b.floats <= offsets[i];
                    assert!(!together || apart, "{a:?} {b:?}");
                }
            }
        }
    }
}
