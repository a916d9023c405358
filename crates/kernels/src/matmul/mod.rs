//! Matrix products that add to what is there, over strided views: nothing is transposed or copied.

mod input;
mod panels;
mod source;
mod transposed;
mod view;

pub(crate) use input::{Input, apply};
pub(crate) use source::Source;
pub(crate) use transposed::apply_transposed;
pub(crate) use view::{Mat, MatMut, Parts};

use crate::autograd::Onto;
use crate::real::Real;

/// How many threads work on a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Threads {
    /// The calling one.
    One,
    /// All of the pool.
    All,
}

/// `c = a b`, or `c += a b` where `onto` is a sum.
pub(crate) fn matmul<T: Real>(
    c: MatMut<'_, T>,
    onto: Onto,
    a: Mat<'_, T>,
    b: Mat<'_, T>,
    threads: Threads,
) {
    scaled_matmul(c, onto, T::ONE, a, b, threads);
}

/// `c = factor a b`, or `c += factor a b` where `onto` is a sum.
pub(crate) fn scaled_matmul<T: Real>(
    c: MatMut<'_, T>,
    onto: Onto,
    factor: T,
    a: Mat<'_, T>,
    b: Mat<'_, T>,
    threads: Threads,
) {
    assert!(
        a.n_cols == b.n_rows && c.n_rows == a.n_rows && c.n_cols == b.n_cols,
        "a product of {}x{} and {}x{} into {}x{}",
        a.n_rows,
        a.n_cols,
        b.n_rows,
        b.n_cols,
        c.n_rows,
        c.n_cols,
    );
    let parallelism = match threads {
        Threads::One => gemm::Parallelism::None,
        Threads::All => gemm::Parallelism::Rayon(0),
    };
    // SAFETY: the views cover memory that they borrow (checked when made), `c` exclusively, and
    // the shapes fit.
    unsafe {
        gemm::gemm(
            c.n_rows,
            c.n_cols,
            a.n_cols,
            c.numbers,
            1,
            c.row_stride as isize,
            onto == Onto::Sum,
            a.numbers,
            a.col_stride as isize,
            a.row_stride as isize,
            b.numbers,
            b.col_stride as isize,
            b.row_stride as isize,
            T::ONE,
            factor,
            false,
            false,
            false,
            parallelism,
        );
    }
}

#[cfg(test)]
mod tests {
    use candle_core::quantized::GgmlDType;
    use candle_core::{Device, Tensor};

    use super::*;
    use crate::stored::{Format, Stored};

    fn numbers(n: usize, seed: usize) -> Vec<f64> {
        (0..n).map(|i| (((i * 7919 + seed * 104_729) % 1009) as f64 - 504.0) / 504.0).collect()
    }

    fn check(n: usize, d_in: usize, d_out: usize, onto: Onto) {
        let (x, w, dy) = (numbers(n * d_in, 1), numbers(d_out * d_in, 2), numbers(n * d_out, 3));
        let start = if onto == Onto::Sum { 0.5 } else { 0.0 };
        let (mut y, mut dx) = (vec![start; n * d_out], vec![start; n * d_in]);
        let w_mat = Mat::packed(&w, d_in);
        apply(MatMut::packed(&mut y, d_out), onto, Mat::packed(&x, d_in), &w_mat, Threads::All);
        apply_transposed(
            MatMut::packed(&mut dx, d_in),
            onto,
            Mat::packed(&dy, d_out),
            &w_mat,
            Threads::All,
        );
        for row in 0..n {
            for o in 0..d_out {
                let exact: f64 = (0..d_in).map(|i| x[row * d_in + i] * w[o * d_in + i]).sum();
                assert!((y[row * d_out + o] - start - exact).abs() < 1e-9);
            }
            for i in 0..d_in {
                let exact: f64 = (0..d_out).map(|o| dy[row * d_out + o] * w[o * d_in + i]).sum();
                assert!((dx[row * d_in + i] - start - exact).abs() < 1e-9);
            }
        }
    }

    #[test]
    fn products_of_few_and_many_rows_are_the_sums_that_they_should_be() {
        for n in [1, 3, 8, 16, 17, 41, 600] {
            for (d_in, d_out) in [(1, 1), (19, 130), (64, 33)] {
                check(n, d_in, d_out, Onto::Zeros);
                check(n, d_in, d_out, Onto::Sum);
            }
        }
    }

    /// What is decoded on use gives the very sums that the same numbers, lying ready, give.
    #[test]
    fn encoded_weights_are_multiplied_as_what_they_say() {
        let (d_in, d_out) = (96, 50);
        let dense = numbers(d_out * d_in, 1).into_iter().map(|x| x as f32).collect();
        let dense = Tensor::from_vec(dense, (d_out, d_in), &Device::Cpu).unwrap();
        for format in [Format::BF16, Format::F16, Format::Ggml(GgmlDType::Q8_0)] {
            let stored = Stored::encode(&dense, format).unwrap();
            let ready = stored.to_vec_f32();
            let ready = Mat::packed(&ready, d_in);
            for n in [1, 3, 16, 30, 41, 70] {
                let narrow = |n, seed| numbers(n, seed).into_iter().map(|x| x as f32).collect();
                let (x, dy): (Vec<f32>, Vec<f32>) = (narrow(n * d_in, 2), narrow(n * d_out, 3));
                let (x, dy) = (Mat::packed(&x, d_in), Mat::packed(&dy, d_out));
                for onto in [Onto::Zeros, Onto::Sum] {
                    let start = if onto == Onto::Sum { 0.5 } else { 0.0 };
                    let mut y = [(); 2].map(|()| vec![start; n * d_out]);
                    apply(MatMut::packed(&mut y[0], d_out), onto, x, &stored, Threads::All);
                    apply(MatMut::packed(&mut y[1], d_out), onto, x, &ready, Threads::All);
                    assert_eq!(y[0], y[1], "{format}, {n} rows");
                    for (i, &y) in y[0].iter().enumerate() {
                        let (x, w) = (x.row(i / d_out), ready.row(i % d_out));
                        let exact: f64 = x.iter().zip(w).map(|(&x, &w)| f64::from(x * w)).sum();
                        assert!((f64::from(y - start) - exact).abs() < 1e-4, "{format}, {n} rows");
                    }
                    let mut dx = [(); 2].map(|()| vec![start; n * d_in]);
                    let [of_stored, of_ready] = &mut dx;
                    let of_stored = MatMut::packed(of_stored, d_in);
                    apply_transposed(of_stored, onto, dy, &stored, Threads::All);
                    let of_ready = MatMut::packed(of_ready, d_in);
                    apply_transposed(of_ready, onto, dy, &ready, Threads::All);
                    for (a, b) in dx[0].iter().zip(&dx[1]) {
                        // Many rows are packed a run of the weight at a time.
                        let slack = if n > 64 { 1e-5 } else { 0.0 };
                        assert!((a - b).abs() <= slack, "{format}, {n} rows: {a} {b}");
                    }
                }
            }
        }
    }
}
