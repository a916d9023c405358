//! The one solve behind all closed forms, on random matrices, against what each of them was published
//! as, with explicit inverses, and what follows from their being one.

use std::sync::Arc;

use faer::Mat;
use retcon::edit::closed_form::solve::{Metric, solve};
use retcon::linalg::{Factor, NullSpace};
use retcon::model::random::Random;

use crate::references::{check, inverse, scaled};

/// How wide a key is here, and how wide a value.
const WIDTH: usize = 12;
const D: usize = 5;

/// Single precision is far away, and explicit inverses lose some digits of a double.
const TOLERANCE: f64 = 1e-9;

fn random(n: usize, m: usize, seed: u64) -> Mat<f64> {
    let mut random = Random::new(seed);
    Mat::from_fn(n, m, |_, _| random.normal())
}

fn identity(n: usize) -> Mat<f64> {
    Mat::identity(n, n)
}

fn none() -> Mat<f64> {
    Mat::zeros(WIDTH, 0)
}

/// A second moment of many keys, none of whose eigenvalues is near to the half.
fn moment() -> Mat<f64> {
    let keys = random(WIDTH, 60, 1);
    // The first directions have little.
    let keys = Mat::from_fn(WIDTH, 60, |i, j| if i < 5 { 0.1 } else { 1.5 } * keys[(i, j)]);
    scaled(1.0 / 60.0, &(&keys * keys.transpose()))
}

fn metric_of(c: &Mat<f64>) -> Metric {
    Metric::Moment(c.clone(), Factor::new(c, "it").unwrap())
}

fn null_space() -> (Metric, Mat<f64>) {
    let space = NullSpace::new(&moment(), 0.5, "it").unwrap();
    // The projector, from the eigenvectors outside.
    let eigen = moment().self_adjoint_eigen(faer::Side::Lower).unwrap();
    let large = |i: &usize| eigen.S().column_vector()[*i] >= 0.5;
    let mut p = identity(WIDTH);
    for i in (0..WIDTH).filter(large) {
        let u = Mat::from_fn(WIDTH, 1, |row, _| eigen.U()[(row, i)]);
        p -= &u * u.transpose();
    }
    assert_eq!(space.n_directions(), 5);
    (Metric::NullSpace(Arc::new(space)), p)
}

/// The change from residuals: what is solved for new keys, times these.
fn solved(metric: &Metric, mu: f64, keys: &Mat<f64>, past: &Mat<f64>, r: &Mat<f64>) -> Mat<f64> {
    r * solve(metric, mu, keys.as_ref(), past.as_ref(), None).unwrap().right
}

/// Counts of new and past keys: fewer than a key is wide, as many, and more; the null space has five
/// directions.
const COUNTS: [(usize, usize); 9] =
    [(1, 0), (3, 0), (3, 1), (4, 4), (12, 0), (7, 5), (20, 0), (15, 6), (2, 30)];

#[test]
fn a_change_is_that_of_the_gram_matrix_and_of_the_sum_over_keys() {
    let c = moment();
    let (space, p) = null_space();
    let mu = 0.7;
    for (n, n_past) in COUNTS {
        let (keys, past) = (random(WIDTH, n, 2), random(WIDTH, n_past, 3));
        let r = random(D, n, 4);
        let sum = &keys * keys.transpose() + &past * past.transpose();
        let all = Mat::from_fn(WIDTH, n_past + n, |i, j| {
            if j < n_past { past[(i, j)] } else { keys[(i, j - n_past)] }
        });
        let no_more =
            Mat::from_fn(D, n_past + n, |i, j| if j < n_past { 0.0 } else { r[(i, j - n_past)] });
        let of_sum = |bracket: Mat<f64>| &r * keys.transpose() * inverse(&bracket);
        let projected = inverse(&(&p * &sum + scaled(mu, &identity(WIDTH)))) * &p * &keys;
        let projected = &r * projected.transpose();
        for (name, metric, m, expected) in [
            (
                "identity",
                &Metric::Identity,
                identity(WIDTH),
                of_sum(&sum + scaled(mu, &identity(WIDTH))),
            ),
            ("moment", &metric_of(&c), inverse(&c), of_sum(&sum + scaled(mu, &c))),
            ("null space", &space, p.clone(), projected),
        ] {
            let found = solved(metric, mu, &keys, &past, &r);
            check(&format!("{name}, {n} and {n_past}, the sum"), &found, &expected, TOLERANCE);
            // Rs (Kᵀ M K + μ I)⁻¹ (M K)ᵀ over all keys, at the past of which nothing is missing.
            let gram = all.transpose() * &m * &all + scaled(mu, &identity(n + n_past));
            let expected = &no_more * inverse(&gram) * (&m * &all).transpose();
            check(
                &format!("{name}, {n} and {n_past}, the Gram matrix"),
                &found,
                &expected,
                TOLERANCE,
            );
        }
    }
}

/// The smallest change for which all keys give their values, and earlier keys what they gave.
#[test]
fn without_softness_keys_give_their_values_and_past_ones_what_they_gave() {
    let (space, p) = null_space();
    for (n, n_past) in [(1, 0), (3, 0), (3, 1)] {
        let (keys, past) = (random(WIDTH, n, 2), random(WIDTH, n_past, 3));
        let r = random(D, n, 4);
        for metric in [&Metric::Identity, &metric_of(&moment()), &space] {
            let change = solved(metric, 0.0, &keys, &past, &r);
            check("new keys", &(&change * &keys), &r, TOLERANCE);
            assert!((&change * &past).norm_max() < 1e-9);
        }
        let change = solved(&space, 0.0, &keys, &past, &r);
        check("inside of the null space", &(&change * &p), &change, TOLERANCE);
    }
}

/// EMMET with one edit, and ROME: `Δ = r (C⁻¹ k)ᵀ / (kᵀ C⁻¹ k)`.
#[test]
fn one_edit_without_softness_is_romes() {
    let (k, r) = (random(WIDTH, 1, 2), random(D, 1, 4));
    let c = inverse(&moment());
    let u = &c * &k;
    let expected = &r * u.transpose() * faer::Scale(1.0 / (k.transpose() * &u)[(0, 0)]);
    let metric = metric_of(&moment());
    check("ROME", &solved(&metric, 0.0, &k, &none(), &r), &expected, TOLERANCE);
    // As it was published, the bare prompt's key in the denominator.
    let bare = random(WIDTH, 1, 5);
    let expected = &r * u.transpose() * faer::Scale(1.0 / (bare.transpose() * &u)[(0, 0)]);
    let through = Some(bare.as_ref());
    let right = solve(&metric, 0.0, k.as_ref(), none().as_ref(), through).unwrap().right;
    check("ROME as published", &(&r * right), &expected, TOLERANCE);
}

/// Consequence 1: EMMET's `D + α I` with `C' = λ C` is MEMIT with `α λ`.
#[test]
fn emmets_stabilized_form_is_memit_in_one_block() {
    let (alpha, lambda) = (0.1, 30.0);
    let (k, r) = (random(WIDTH, 4, 2), random(D, 4, 4));
    let c = inverse(&scaled(lambda, &moment()));
    let d = k.transpose() * &c * &k + scaled(alpha, &identity(4));
    let expected = &r * inverse(&d) * k.transpose() * &c;
    let found = solved(&metric_of(&moment()), alpha * lambda, &k, &none(), &r);
    check("EMMET", &found, &expected, TOLERANCE);
}

/// Consequence 2: one edit is written to the share `a / (a + μ)`, `a = kᵀ M k`.
#[test]
fn one_edit_is_written_to_a_share() {
    let (k, r, mu) = (random(WIDTH, 1, 2), random(D, 1, 4), 3.0);
    let (space, p) = null_space();
    for (metric, m) in [
        (Metric::Identity, identity(WIDTH)),
        (metric_of(&moment()), inverse(&moment())),
        (space, p),
    ] {
        let a = (k.transpose() * m * &k)[(0, 0)];
        let written = solved(&metric, mu, &k, &none(), &r) * &k;
        check("the share", &written, &scaled(a / (a + mu), &r), TOLERANCE);
    }
}

/// Consequence 3: `W_t = W_{t−1} + (V_t − W_{t−1} K_t) K_tᵀ (λ C + Σ K Kᵀ)⁻¹`, in any order and split.
#[test]
fn batch_after_batch_with_past_keys_is_one_solve_for_all() {
    let (c, lambda, n) = (moment(), 2.0, 9);
    let (w, k, v) = (random(D, WIDTH, 5), random(WIDTH, n, 2), random(D, n, 4));
    let sum = scaled(lambda, &c) + &k * k.transpose();
    let expected = (&v - &w * &k) * k.transpose() * inverse(&sum);
    let orders: [Vec<usize>; 2] = [(0..n).collect(), (0..n).rev().collect()];
    for order in orders {
        for size in [1, 2, 4, 9] {
            let mut now = w.clone();
            let mut past = none();
            for batch in order.chunks(size) {
                let chosen =
                    |x: &Mat<f64>| Mat::from_fn(x.nrows(), batch.len(), |i, j| x[(i, batch[j])]);
                let (keys, values) = (chosen(&k), chosen(&v));
                let missing = values - &now * &keys;
                now += solved(&metric_of(&c), lambda, &keys, &past, &missing);
                past = Mat::from_fn(WIDTH, past.ncols() + batch.len(), |i, j| {
                    if j < past.ncols() { past[(i, j)] } else { keys[(i, j - past.ncols())] }
                });
            }
            check(&format!("batches of {size}"), &(now - &w), &expected, TOLERANCE);
        }
    }
}

/// Consequence 4: in the coordinates of the null space it is the published solve, which is not symmetric.
#[test]
fn alphaedit_in_coordinates_is_the_published_solve() {
    let (space, p) = null_space();
    // Ascending, so that those of the null space come first.
    let eigen = moment().self_adjoint_eigen(faer::Side::Lower).unwrap();
    let u = eigen.U().get(.., ..5);
    for (n, n_past) in [(2, 0), (2, 2), (6, 9)] {
        let (k, past, r) = (random(WIDTH, n, 2), random(WIDTH, n_past, 3), random(D, n, 4));
        let l2 = 10.0;
        let sum = &k * k.transpose() + &past * past.transpose();
        let bracket = &p * &sum + scaled(l2, &identity(WIDTH));
        let published = (inverse(&bracket) * &p * &k * r.transpose()).transpose().to_owned();
        // Δ = (U Y)ᵀ with (a₊ a₊ᵀ + L2 I) Y = a Rsᵀ.
        let inside = u.transpose() * &sum * u + scaled(l2, &identity(u.ncols()));
        let y = inverse(&inside) * u.transpose() * &k * r.transpose();
        let coordinates = (u * y).transpose().to_owned();
        check("both", &coordinates, &published, TOLERANCE);
        check("AlphaEdit", &solved(&space, l2, &k, &past, &r), &published, TOLERANCE);
    }
}

/// Consequence 5: UltraEdit's `(Hᵀ H + I)⁻¹ Hᵀ V`, with a key a row, is `Hᵀ (H Hᵀ + I)⁻¹ V`.
#[test]
fn ultraedits_primal_is_its_dual() {
    for n in [3, 40] {
        let (h, v) = (random(n, WIDTH, 2), random(n, D, 4));
        let primal = inverse(&(h.transpose() * &h + identity(WIDTH))) * h.transpose() * &v;
        let dual = h.transpose() * inverse(&(&h * h.transpose() + identity(n))) * &v;
        let [keys, values] = [&h, &v].map(|rows| rows.transpose().to_owned());
        let found = solved(&Metric::Identity, 1.0, &keys, &none(), &values).transpose().to_owned();
        check("primal", &found, &primal, TOLERANCE);
        check("dual", &found, &dual, TOLERANCE);
    }
}

#[test]
fn what_had_to_be_added_where_keys_are_the_same_is_told() {
    let keys = random(WIDTH, 3, 8);
    let twice = Mat::from_fn(WIDTH, 4, |i, j| keys[(i, j.min(2))]);
    let ridge = |metric: &Metric, keys: &Mat<f64>| {
        solve(metric, 0.0, keys.as_ref(), none().as_ref(), None).unwrap().ridge
    };
    assert_eq!(ridge(&Metric::Identity, &keys), 0.0);
    assert!(ridge(&Metric::Identity, &twice) > 0.0);
    // A moment of fewer keys than they are wide is singular itself.
    let few = random(WIDTH, 6, 9);
    let few = metric_of(&(&few * few.transpose()));
    assert!(ridge(&few, &keys) > 0.0 && ridge(&metric_of(&moment()), &keys) == 0.0);
    let (space, _) = null_space();
    assert_eq!((space.n_free(), few.n_free()), (Some(5), None));
}

/// For one key it was that of a matrix of one number, always 1.
#[test]
fn the_condition_is_that_of_the_metric_too() {
    let condition = |metric: &Metric, mu: f64, n: usize| {
        let keys = random(WIDTH, n, 2);
        solve(metric, mu, keys.as_ref(), none().as_ref(), None).unwrap().condition
    };
    let c = moment();
    let of = |matrix: &Mat<f64>| Factor::new(matrix, "it").unwrap().condition();
    assert!(of(&c) > 10.0);
    assert_eq!(condition(&metric_of(&c), 0.0, 1), of(&c));
    assert_eq!(condition(&Metric::Identity, 0.0, 1), 1.0);
    let keys = random(WIDTH, 3, 2);
    let gram = of(&(keys.transpose() * &keys));
    // The same sums in another order.
    assert!((condition(&Metric::Identity, 0.0, 3) / gram - 1.0).abs() < 1e-9);
    // With more keys than they are wide only their sum is solved with.
    let keys = random(WIDTH, 20, 2);
    let sum = of(&(&keys * keys.transpose() + scaled(0.7, &c)));
    assert!((condition(&metric_of(&c), 0.7, 20) / sum - 1.0).abs() < 1e-9);
}
