//! What the machine can do at most: multiply-adds in registers and copying, measured; with them a layer's time can be
//! judged (the roofline model: Williams, Waterman and Patterson, CACM 2009).

use super::memory::{At, Block};
use super::simd::{Kernel, Level, Simd, dispatch};
use std::hint::black_box;
use std::sync::Barrier;
use std::time::{Duration, Instant};

/// The rates of all threads together.
#[derive(Debug, Clone, PartialEq)]
pub struct Machine {
    /// Threads that were at work.
    pub threads: usize,
    /// Floating-point operations per second of multiply-adds that touch no memory (a multiply-add is two).
    pub flops_per_second: f64,
    /// Copying, the smallest working set first.
    pub copying: Vec<Copying>,
}

/// How fast memory of one size is copied.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Copying {
    /// What each thread reads and writes, both together.
    pub working_set: usize,
    /// Bytes read and bytes written per second.
    pub bytes_per_second: f64,
}

/// From the first-level cache to memory that no cache holds.
const WORKING_SETS: [usize; 7] = [16 << 10, 64 << 10, 256 << 10, 1 << 20, 4 << 20, 16 << 20, 64 << 20];

/// Working sets of all threads together are not larger than this.
const MOST_MEMORY: usize = 256 << 20;

/// What is measured is the best of some short rounds: whoever else uses the machine only takes away.
const ROUNDS: usize = 8;
const ROUND: Duration = Duration::from_millis(3);

/// Measures this machine at `level` with all `threads` at work at once; takes some tenths of a second. `None` where the
/// machine does not have the level.
pub fn measure(level: Level, threads: usize) -> Option<Machine> {
    if !Level::available().contains(&level) {
        return None;
    }
    let threads = threads.max(1);
    let sets = WORKING_SETS.into_iter().enumerate().filter(|&(index, bytes)| index == 0 || bytes.saturating_mul(threads) <= MOST_MEMORY);
    let copying = sets.map(|(_, working_set)| Copying { working_set, bytes_per_second: copies(level, threads, working_set) });
    Some(Machine {
        threads,
        flops_per_second: match level {
            Level::Portable | Level::Avx2 => multiply_adds::<12>(level, threads),
            Level::Avx512 | Level::Neon => multiply_adds::<24>(level, threads),
        },
        copying: copying.collect(),
    })
}

impl Machine {
    /// Bytes per second that can be had on maps of so many bytes, the threads sharing them: those of the smallest working
    /// set that is not smaller.
    pub fn bytes_per_second(&self, bytes: f64) -> f64 {
        let each = bytes / self.threads as f64;
        let holds = self.copying.iter().find(|copying| copying.working_set as f64 >= each);
        holds.or(self.copying.last()).map_or(f64::INFINITY, |copying| copying.bytes_per_second)
    }
}

/// The most that all threads together do in a second. Each has work of its own, made by `prepare`, which does a little
/// and says how much that was.
fn best_rate<W: FnMut() -> f64>(threads: usize, prepare: impl Fn() -> W + Sync) -> f64 {
    let (together, prepare) = (&Barrier::new(threads), &prepare);
    let rounds = move || {
        let mut work = prepare();
        // Memory is there from its first use on, and wide vector units need a moment to wake.
        work();
        std::array::from_fn::<f64, ROUNDS, _>(|_| {
            together.wait();
            let (begin, mut done) = (Instant::now(), 0.0);
            while begin.elapsed() < ROUND {
                done += work();
            }
            done / begin.elapsed().as_secs_f64()
        })
    };
    let of_threads: Vec<[f64; ROUNDS]> = std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(rounds)).collect();
        running.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    });
    (0..ROUNDS).map(|round| of_threads.iter().map(|rates| rates[round]).sum()).fold(0.0, f64::max)
}

/// Multiply-adds between two looks at the clock, for each of the sums: some tens of microseconds.
const REPEATS: usize = 8192;

/// Flops per second with `N` sums at once: enough to hide the latency of a multiply-add behind the others, and few enough
/// for the level's registers.
fn multiply_adds<const N: usize>(level: Level, threads: usize) -> f64 {
    let prepare = || {
        move || {
            // Values that the compiler does not know, so that it can neither work anything out ahead nor find two sums equal.
            let start = black_box(std::array::from_fn::<f32, N, _>(|i| i as f32));
            let [factor, addend] = black_box([0.5, 1.0]);
            let mut result = [0.0; 16];
            // SAFETY: the level is one of the machine's, and the result has room for a vector of any level.
            unsafe { dispatch(level, MultiplyAdds { start: &start, factor, addend, result: result.as_mut_ptr() }) };
            black_box(result);
            (2 * REPEATS * N * level.lanes()) as f64
        }
    };
    best_rate(threads, prepare)
}

struct MultiplyAdds<'a, const N: usize> {
    start: &'a [f32; N],
    factor: f32,
    addend: f32,
    result: *mut f32,
}

impl<const N: usize> Kernel for MultiplyAdds<'_, N> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        unsafe {
            let (factor, addend) = (S::splat(self.factor), S::splat(self.addend));
            let mut sums = [addend; N];
            for (sum, &start) in sums.iter_mut().zip(self.start) {
                *sum = S::splat(start);
            }
            for _ in 0..REPEATS {
                // The sum is a factor: without a fused instruction `factor * addend` would be worked out once, before the loop.
                for sum in &mut sums {
                    *sum = S::fma(*sum, factor, addend);
                }
            }
            let mut total = addend;
            for sum in sums {
                total = S::add(total, sum);
            }
            S::store(self.result, total);
        }
    }
}

/// Bytes read and written per second.
fn copies(level: Level, threads: usize, working_set: usize) -> f64 {
    let floats = working_set / 2 / size_of::<f32>();
    let repeats = (1_usize << 20).div_ceil(working_set);
    let prepare = || {
        let (mut from, mut to) = (Block::zeroed(floats), Block::zeroed(floats));
        // Pages that were never written are all one page of zeros.
        from.as_mut_slice().fill(1.0);
        move || {
            // SAFETY: the level is one of the machine's; both blocks have `floats` floats, a multiple of `STRIDE`.
            unsafe { dispatch(level, Copy { from: from.at(), to: to.at(), floats, repeats }) };
            (repeats * working_set) as f64
        }
    };
    best_rate(threads, prepare)
}

/// Floats that are copied per turn of the loop: four vectors of the widest level.
const STRIDE: usize = 64;

struct Copy {
    from: At,
    to: At,
    floats: usize,
    /// Between two looks at the clock, which would weigh on a small working set.
    repeats: usize,
}

impl Kernel for Copy {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        for _ in 0..self.repeats {
            for turn in (0..self.floats).step_by(STRIDE) {
                for vector in (turn..turn + STRIDE).step_by(S::LANES) {
                    unsafe { S::store(self.to.ptr().add(vector), S::load(self.from.ptr().add(vector))) };
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_level_of_the_machine_has_rates() {
        for level in Level::available() {
            let machine = measure(level, 2).expect("an available level");
            assert_eq!((machine.threads, machine.copying.len()), (2, WORKING_SETS.len()));
            let rates = machine.copying.iter().map(|copying| copying.bytes_per_second).chain([machine.flops_per_second]);
            rates.for_each(|rate| assert!(rate.is_finite() && rate > 0.0, "{level:?}: {machine:?}"));
        }
    }

    #[test]
    fn a_level_of_another_machine_is_not_measured() {
        let absent = if cfg!(target_arch = "x86_64") { Level::Neon } else { Level::Avx2 };
        assert_eq!(measure(absent, 1), None);
    }

    #[test]
    fn maps_are_copied_as_fast_as_the_memory_that_holds_them() {
        let copying = [(8, 50.0), (64, 20.0)].map(|(working_set, bytes_per_second)| Copying { working_set, bytes_per_second });
        let machine = Machine { threads: 2, flops_per_second: 100.0, copying: copying.to_vec() };
        assert_eq!([16.0, 17.0, 1000.0].map(|bytes| machine.bytes_per_second(bytes)), [50.0, 20.0, 20.0]);
    }
}
