//! Tensors as slices of numbers on the CPU, and the loops that the operations share.

use std::ops::{Deref, Range};
use std::sync::{Mutex, PoisonError};

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, InplaceOp1, Layout, Storage, StorageRef, Tensor};
use pulp::WithSimd;
use rayon::prelude::*;

use crate::error::Result;
use crate::real::Real;

/// The numbers of a contiguous tensor on the CPU.
pub(crate) struct Read<'a, T> {
    storage: StorageRef<'a>,
    start: usize,
    len: usize,
    numbers: std::marker::PhantomData<T>,
}

impl<T: Real> Deref for Read<'_, T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        let Storage::Cpu(storage) = &*self.storage else { unreachable!("checked by `read`") };
        let numbers = T::cpu_storage_as_slice(storage).expect("checked by `read`");
        &numbers[self.start..self.start + self.len]
    }
}

/// The numbers of `tensor`, which must be contiguous, on the CPU and of type `T`.
pub(crate) fn read<T: Real>(tensor: &Tensor) -> Result<Read<'_, T>> {
    let (storage, layout) = tensor.storage_and_layout();
    let Some((start, end)) = layout.contiguous_offsets() else {
        return Err(candle_core::Error::RequiresContiguous { op: "read" }.bt().into());
    };
    match &*storage {
        Storage::Cpu(numbers) => T::cpu_storage_as_slice(numbers)?,
        _ => return Err(candle_core::Error::Msg("not on the CPU".to_owned()).into()),
    };
    Ok(Read { storage, start, len: end - start, numbers: std::marker::PhantomData })
}

/// Lets `edit` change the numbers of `tensor` in place; the caller knows that nothing else uses it.
pub(crate) fn write<T: Real>(tensor: &Tensor, edit: impl FnOnce(&mut [T])) -> Result<()> {
    struct Edit<F>(Mutex<Option<F>>);

    impl<F> Edit<F> {
        fn run<T: Real>(&self, storage: &mut CpuStorage, layout: &Layout) -> candle_core::Result<()>
        where
            F: FnOnce(&mut [T]),
        {
            let (start, end) = layout
                .contiguous_offsets()
                .ok_or(candle_core::Error::RequiresContiguous { op: "write" })?;
            let found = storage.dtype();
            let numbers = T::slice_mut(storage).ok_or(candle_core::Error::UnexpectedDType {
                msg: "write",
                expected: T::DTYPE,
                got: found,
            })?;
            let edit = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
            edit.expect("called once")(&mut numbers[start..end]);
            Ok(())
        }
    }

    struct Typed<F, T>(Edit<F>, std::marker::PhantomData<T>);

    impl<F: FnOnce(&mut [T]), T: Real> InplaceOp1 for Typed<F, T> {
        fn name(&self) -> &'static str {
            "write"
        }

        fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> candle_core::Result<()> {
            self.0.run::<T>(storage, layout)
        }
    }

    let edit = Edit(Mutex::new(Some(edit)));
    Ok(tensor.inplace_op1(&Typed(edit, std::marker::PhantomData))?)
}

/// As [`write`], for two tensors at once.
pub(crate) fn write_two<T: Real>(
    a: &Tensor,
    b: &Tensor,
    edit: impl FnOnce(&mut [T], &mut [T]),
) -> Result<()> {
    let mut done = Ok(());
    write(a, |a| done = write(b, |b| edit(a, b)))?;
    done
}

/// A tensor of `shape` on the CPU, which `fill` writes row by row of its last dimension, in
/// parallel.
pub(crate) fn fill_rows<T: Real>(
    shape: &[usize],
    fill: impl Fn(usize, &mut [T]) + Sync,
) -> Result<Tensor> {
    let mut numbers = vec![T::ZERO; shape.iter().product()];
    for_rows(&mut numbers, shape.last().copied().unwrap_or(1), fill);
    Ok(Tensor::from_vec(numbers, shape, &candle_core::Device::Cpu)?)
}

/// Calls `each` with the index and the numbers of every row of `width` numbers, in parallel and
/// vectorized for the processor at hand.
pub(crate) fn for_rows<T: Real>(
    numbers: &mut [T],
    width: usize,
    each: impl Fn(usize, &mut [T]) + Sync,
) {
    if numbers.is_empty() {
        return;
    }
    let rows = rows_per_task(width);
    let task = |(task, rows_of_task): (usize, &mut [T])| {
        vectorized(
            #[inline(always)]
            || {
                for (row, numbers) in rows_of_task.chunks_exact_mut(width).enumerate() {
                    each(task * rows + row, numbers);
                }
            },
        );
    };
    if numbers.len() <= rows * width {
        task((0, numbers));
    } else {
        numbers.par_chunks_mut(rows * width).enumerate().for_each(task);
    }
}

/// Calls `each` with runs of `numbers` and their places, in parallel and vectorized.
pub(crate) fn for_runs<T: Real>(numbers: &mut [T], each: impl Fn(Range<usize>, &mut [T]) + Sync) {
    let len = rows_per_task(1);
    numbers.par_chunks_mut(len).enumerate().for_each(|(run, numbers)| {
        vectorized(
            #[inline(always)]
            || each(run * len..run * len + numbers.len(), numbers),
        );
    });
}

/// Calls `each` with runs of `a` and the same of `b`, which is as long, in parallel and vectorized.
pub(crate) fn for_runs_of_two<T: Real>(
    a: &mut [T],
    b: &mut [T],
    each: impl Fn(Range<usize>, &mut [T], &mut [T]) + Sync,
) {
    let len = rows_per_task(1);
    a.par_chunks_mut(len).zip(b.par_chunks_mut(len)).enumerate().for_each(|(run, (a, b))| {
        vectorized(
            #[inline(always)]
            || each(run * len..run * len + a.len(), a, b),
        );
    });
}

/// `sum += the sum of the rows`, each as long as `sum`, from the first to the last.
pub(crate) fn add_columns<T: Real>(sum: &mut [T], rows: &[T]) {
    vectorized(
        #[inline(always)]
        || {
            for row in rows.chunks_exact(sum.len().max(1)) {
                sum.iter_mut().zip(row).for_each(|(sum, &x)| *sum += x);
            }
        },
    );
}

/// Rows enough to be worth handing to another thread.
pub(crate) fn rows_per_task(width: usize) -> usize {
    /// About ten microseconds of work, at one or two operations a number.
    const NUMBERS_PER_TASK: usize = 16 * 1024;
    NUMBERS_PER_TASK.div_ceil(width.max(1))
}

/// Runs `work` compiled for the widest vectors that the processor has.
///
/// Only what is inlined into it is: a closure passed here, or to a loop of this file, is to be
/// `#[inline(always)]`, and so is what it calls.
#[inline(always)]
pub(crate) fn vectorized<R>(work: impl FnOnce() -> R) -> R {
    pulp::Arch::new().dispatch(work)
}

/// As [`vectorized`], for work that uses registers by name.
#[inline(always)]
pub(crate) fn in_registers<W: WithSimd>(work: W) -> W::Output {
    pulp::Arch::new().dispatch(work)
}

/// Tells the processor that memory at `place` will be read soon.
#[inline(always)]
pub(crate) fn prefetch<T>(place: &T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every such processor has the instruction, and it changes nothing.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(place).cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = place;
}

/// `a + b`, elementwise, for tensors of one shape. On the CPU candle's own sum would wake a second
/// pool of threads, whose members spin while they wait.
pub(crate) fn sum_of(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    if !a.device().is_cpu() {
        return Ok(a.add(b)?);
    }
    let (shape, a, b) = (a.shape(), a.contiguous()?, b.contiguous()?);
    crate::real::dispatch!(a.dtype(), T => {
        let mut sum = read::<T>(&a)?.to_vec();
        add(&mut sum, &read::<T>(&b)?);
        Ok(Tensor::from_vec(sum, shape, &candle_core::Device::Cpu)?)
    })
}

/// `sum += gradient`, elementwise and in place.
pub(crate) fn add_assign(sum: &Tensor, gradient: &Tensor) -> Result<()> {
    fn typed<T: Real>(sum: &Tensor, gradient: &Tensor) -> Result<()> {
        let gradient = read::<T>(gradient)?;
        let gradient = &*gradient;
        write(sum, |sum: &mut [T]| add(sum, gradient))
    }
    crate::real::dispatch!(sum.dtype(), T => typed::<T>(sum, gradient))
}

/// `sum += terms`, elementwise, in parallel.
pub(crate) fn add<T: Real>(sum: &mut [T], terms: &[T]) {
    let width = rows_per_task(1);
    sum.par_chunks_mut(width).zip(terms.par_chunks(width)).for_each(|(sum, terms)| {
        vectorized(
            #[inline(always)]
            || {
                for (sum, &term) in sum.iter_mut().zip(terms) {
                    *sum += term;
                }
            },
        );
    });
}

/// Partial sums kept apart so that a reduction vectorizes.
const LANES: usize = 16;

/// `sum_i a_i b_i`.
#[inline(always)]
pub(crate) fn dot<T: Real>(a: &[T], b: &[T]) -> T {
    // Twice the lanes: a single product of rows waits for its own additions.
    let (a, a_tail) = a[..b.len()].as_chunks::<{ 2 * LANES }>();
    let (b, b_tail) = b.as_chunks::<{ 2 * LANES }>();
    let mut sums = [T::ZERO; 2 * LANES];
    for (a, b) in a.iter().zip(b) {
        add_products(&mut sums, a, b);
    }
    let sums = std::array::from_fn(|lane| sums[lane] + sums[lane + LANES]);
    total_of(sums, a_tail, b_tail)
}

#[inline(always)]
fn add_products<T: Real, const N: usize>(sums: &mut [T; N], a: &[T; N], b: &[T; N]) {
    for ((sum, &a), &b) in sums.iter_mut().zip(a).zip(b) {
        *sum = a.mul_add(b, *sum);
    }
}

/// The sum of the lanes, in halves: a chain of 16 additions would take as long as a short row.
#[inline(always)]
fn across<T: Real>(x: [T; LANES]) -> T {
    let x: [T; 8] = std::array::from_fn(|i| x[i] + x[i + 8]);
    let x: [T; 4] = std::array::from_fn(|i| x[i] + x[i + 4]);
    (x[0] + x[2]) + (x[1] + x[3])
}

#[inline(always)]
fn total_of<T: Real>(sums: [T; LANES], a: &[T], b: &[T]) -> T {
    let tail: T = a.iter().zip(b).map(|(&a, &b)| a * b).sum();
    tail + across(sums)
}

/// `sum_i a_i`.
#[inline(always)]
pub(crate) fn sum<T: Real>(a: &[T]) -> T {
    reduce(
        [a],
        #[inline(always)]
        |[a]| a,
    )
}

/// `sum_i term(x_0i, x_1i, ...)` for slices `x` of the same length.
#[inline(always)]
pub(crate) fn reduce<T: Real, const N: usize>(x: [&[T]; N], term: impl Fn([T; N]) -> T) -> T {
    let n = x[0].len();
    let x = x.map(|x| x[..n].as_chunks::<LANES>());
    let mut lanes = [T::ZERO; LANES];
    for chunk in 0..n / LANES {
        let x = x.map(|x| &x.0[chunk]);
        for (lane, sum) in lanes.iter_mut().enumerate() {
            *sum += term(x.map(|x| x[lane]));
        }
    }
    let tail: T = (0..n % LANES).map(|i| term(x.map(|x| x.1[i]))).sum();
    tail + across(lanes)
}

/// The largest number, or minus infinity.
#[inline(always)]
pub(crate) fn max<T: Real>(a: &[T]) -> T {
    let mut lanes = [T::NEG_INFINITY; LANES];
    let chunks = a.chunks_exact(LANES);
    let tail = chunks.remainder().iter().fold(T::NEG_INFINITY, |max, &a| max.larger(a));
    for a in chunks {
        for lane in 0..LANES {
            lanes[lane] = lanes[lane].larger(a[lane]);
        }
    }
    lanes.into_iter().fold(tail, T::larger)
}
