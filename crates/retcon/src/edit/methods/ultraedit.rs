//! `ultraedit`: from keys and gradients to a change, by one pass forward and back; nothing is searched.
//!
//! Changes: the chosen MLP matrices, each by a matrix whose rank is at most the tokens of the objects.
//! Equation: with inputs `h` and output gradients `g` of a module at the positions that predict the
//! objects, brought to mean 0 and deviation 1 as `h~`, `g~` by running statistics, `v = -rate ‖h~‖² g~` and
//! `Δᵀ = (Hᵀ H + I)⁻¹ Hᵀ V`.
//! Source: Gu et al. 2025, "UltraEdit" (arXiv 2505.14679), section 3.
//! Deviations: the running variance adds up squared distances as it should (the code multiplies an
//! unbiased variance with the number of rows); statistics belong to a module, not to a shape, and
//! travel in the delta; an input whose statistics know fewer than two rows is left as it is.

use std::collections::BTreeMap;

use candle_core::{Device, Tensor};
use faer::Mat;
use retcon_kernels::autograd::Var;
use retcon_kernels::rows::{gather_rows, scatter_add_rows};
use retcon_model::tap::Tap;
use retcon_model::{Delta, Model, Part, Site, Spot, Update, WeightId};
use serde::{Deserialize, Serialize};

use crate::ctx::{Ctx, Progress};
use crate::data::Fact;
use crate::edit::closed_form::solve::{Metric, solve};
use crate::edit::scope::{Blocks, Scope, Target};
use crate::edit::{Editor, Method, at_least_one, delta, positive, record, settings, to_value};
use crate::error::{Error, Result};
use crate::linalg::{check_finite, to_mat, to_tensor};
use crate::tokens::{Packed, Query, query};

/// The entry in [`crate::edit::METHODS`].
pub const METHOD: Method = Method {
    name: "ultraedit",
    summary: "a change from keys and gradients by one pass, without a search or a subject",
    source: "Gu et al. 2025, arXiv 2505.14679",
    settings: &[
        (
            "blocks",
            "blocks that change: auto (a sixth of them, from six tenths of the depth), 3, 4-7",
        ),
        ("components", "which of their matrices: mlp-up (with the gate), mlp-down, mlp"),
        ("rate", "how far a value goes against its gradient"),
        ("turn", "facts that are solved for together"),
        ("batch", "facts whose mean loss makes a gradient"),
    ],
    defaults: || to_value(&Settings::default()),
    swept: true,
    make: |given| {
        let settings: Settings = settings("ultraedit", &Settings::default(), given)?;
        settings.check()?;
        Ok(Box::new(UltraEdit(settings)))
    },
};

/// What can be set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Blocks that change.
    pub blocks: Blocks,
    /// Which of their matrices.
    pub components: Vec<Target>,
    /// How far a value goes against its gradient.
    pub rate: f64,
    /// Facts that are solved for together.
    pub turn: usize,
    /// Facts whose mean loss makes a gradient.
    pub batch: usize,
}

impl Default for Settings {
    fn default() -> Self {
        let (blocks, components) = (Blocks::Auto, vec![Target::MlpUp]);
        Self { blocks, components, rate: 1e-6, turn: 100, batch: 10 }
    }
}

impl Settings {
    fn check(&self) -> Result<()> {
        positive("rate", self.rate)?;
        at_least_one("turn", self.turn)?;
        at_least_one("batch", self.batch)
    }
}

/// The editor.
#[derive(Clone, Debug)]
pub struct UltraEdit(pub Settings);

impl Editor for UltraEdit {
    fn edit(&self, ctx: &Ctx<'_>, model: &Model, facts: &[Fact]) -> Result<Delta> {
        if facts.is_empty() {
            return Err(Error::NoFacts);
        }
        let modules = self.modules(model)?;
        let mut current = model.clone();
        let mut seen = Running::of(model, &modules)?;
        let mut factors: BTreeMap<WeightId, (Vec<Tensor>, Vec<Tensor>)> = BTreeMap::new();
        for (turn, facts_of_turn) in facts.chunks(self.0.turn).enumerate() {
            let (done, total) = (turn * self.0.turn, facts.len());
            ctx.report(&Progress::new("solving", done, total))?;
            let rows = self.rows(&current, &modules, facts_of_turn)?;
            for module in &modules {
                let Rows { inputs, gradients } = &rows[&module.id];
                let seen = seen.get_mut(&module.id).expect("one for each module");
                let (left, right) = self.solved(seen, inputs, gradients)?;
                let what = format!("the change to {}", module.id);
                check_finite(left.as_ref(), &what)?;
                let device = model.device();
                let (left, right) =
                    (to_tensor(left.as_ref(), device)?, to_tensor(right.as_ref(), device)?);
                let update = Update::LowRank { left: left.clone(), right: right.clone() };
                current = current.with_updates(&BTreeMap::from([(module.id, update)]))?;
                let pieces = factors.entry(module.id).or_default();
                pieces.0.push(left);
                pieces.1.push(right);
            }
        }
        let mut updates = BTreeMap::new();
        for (id, (left, right)) in factors {
            let update =
                Update::LowRank { left: Tensor::cat(&left, 1)?, right: Tensor::cat(&right, 0)? };
            updates.insert(id, update.smallest()?);
        }
        let record = record(ctx, METHOD.name, &self.0, facts, serde_json::Value::Null);
        let mut delta = delta(model, updates, facts, record)?;
        for (id, seen) in &seen {
            delta.state.insert(format!("{id}.seen"), seen.to_tensor()?);
        }
        Ok(delta)
    }
}

/// A matrix that changes, and where its input and its output pass.
struct Module {
    id: WeightId,
    input: Site,
    output: Site,
}

/// The inputs and output gradients of a module, a row a token.
struct Rows {
    inputs: Mat<f64>,
    gradients: Mat<f64>,
}

impl UltraEdit {
    fn modules(&self, model: &Model) -> Result<Vec<Module>> {
        let spec = model.spec();
        if spec.groups.is_some() {
            return Err(Error::SharedBlocks { family: spec.family });
        }
        let blocks = match &self.0.blocks {
            Blocks::Auto => {
                let first = spec.n_blocks * 6 / 10;
                let n = (spec.n_blocks / 6).max(1);
                Blocks::These((first..first + n).map(|block| block as isize).collect())
            }
            blocks => blocks.clone(),
        };
        let scope = Scope { blocks, components: self.0.components.clone() };
        let module = |id: WeightId| {
            let (input, output) = match id.part {
                Part::Up => (Spot::MlpIn, Spot::MlpUp),
                Part::Gate => (Spot::MlpIn, Spot::MlpGate),
                Part::Down => (Spot::MlpKey, Spot::MlpOut),
                _ => return None,
            };
            let site = |spot| Site::Block(id.block.unwrap_or_default(), spot);
            Some(Module { id, input: site(input), output: site(output) })
        };
        let modules: Vec<_> = scope.weights(model)?.into_iter().filter_map(module).collect();
        if modules.is_empty() {
            return Err(Error::bad_setting("components", "mlp, mlp-up or mlp-down", scope));
        }
        Ok(modules)
    }

    /// Inputs and gradients of all modules, all at the same weights.
    fn rows(
        &self,
        model: &Model,
        modules: &[Module],
        facts: &[Fact],
    ) -> Result<BTreeMap<WeightId, Rows>> {
        let n_blocks = model.spec().n_blocks;
        let queries = facts.iter().map(|fact| query(model, &fact.prompt, &fact.target_new));
        let queries = queries.collect::<Result<Vec<Query>>>()?;
        let mut rows: BTreeMap<WeightId, (Vec<Tensor>, Vec<Tensor>)> = BTreeMap::new();
        for queries in queries.chunks(self.0.batch) {
            let packed = Packed::new(queries)?;
            let mut watch = Watch {
                modules,
                rows: &packed.rows,
                inputs: BTreeMap::new(),
                outputs: BTreeMap::new(),
            };
            let h = model.embed(&packed.batch, &mut ())?;
            let h = model.blocks(0..n_blocks, h, &mut watch)?;
            let x = model.finish(n_blocks, h, &packed.rows, &mut ())?;
            // The mean over all tokens, so that a long object counts more.
            let n_tokens = packed.rows.len() as f64;
            let shares: Vec<f64> =
                packed.of_query.iter().map(|rows| rows.len() as f64 / n_tokens).collect();
            let scored = packed.score(model, &x, &shares)?;
            let vars: Vec<&Var> = modules.iter().map(|module| &watch.outputs[&module.id]).collect();
            let gradients = scored.loss.gradients(&vars)?;
            for (module, gradient) in modules.iter().zip(gradients) {
                let (inputs, all) = rows.entry(module.id).or_default();
                inputs.push(watch.inputs[&module.id].clone());
                all.push(gradient);
            }
        }
        let joined = |parts: &[Tensor]| to_mat(&Tensor::cat(parts, 0)?);
        let joined = |(id, (inputs, gradients)): (WeightId, (Vec<Tensor>, Vec<Tensor>))| {
            Ok((id, Rows { inputs: joined(&inputs)?, gradients: joined(&gradients)? }))
        };
        rows.into_iter().map(joined).collect()
    }

    /// The factors of a change, `[d_out, n]` and `[n, d_in]`.
    fn solved(
        &self,
        seen: &mut Running,
        inputs: &Mat<f64>,
        gradients: &Mat<f64>,
    ) -> Result<(Mat<f64>, Mat<f64>)> {
        let (n, d_in, d_out) = (inputs.nrows(), inputs.ncols(), gradients.ncols());
        let both = Mat::from_fn(n, d_in + d_out, |i, j| {
            if j < d_in { inputs[(i, j)] } else { gradients[(i, j - d_in)] }
        });
        seen.add(&both);
        let scaled = seen.normalized(&both);
        let length = |i: usize| (0..d_in).map(|j| scaled[(i, j)].powi(2)).sum::<f64>();
        let values =
            Mat::from_fn(d_out, n, |j, i| -self.0.rate * length(i) * scaled[(i, d_in + j)]);
        let keys = inputs.transpose().to_owned();
        let nothing = Mat::zeros(d_in, 0);
        let solved = solve(&Metric::Identity, 1.0, keys.as_ref(), nothing.as_ref(), None)?;
        Ok((values, solved.right))
    }
}

/// Looks at the inputs of modules, and adds an unknown zero to their outputs.
struct Watch<'a> {
    modules: &'a [Module],
    rows: &'a [u32],
    inputs: BTreeMap<WeightId, Tensor>,
    outputs: BTreeMap<WeightId, Var>,
}

impl Tap for Watch<'_> {
    fn at(&mut self, site: Site, mut x: Var) -> retcon_model::Result<Var> {
        for module in self.modules {
            if module.input == site {
                self.inputs.insert(module.id, gather_rows(&x, self.rows)?.into_value());
            }
            if module.output == site {
                let (width, value) = (x.value().dim(1)?, x.value());
                let zero = Tensor::zeros((self.rows.len(), width), value.dtype(), value.device())?;
                let zero = Var::unknown(zero);
                x = scatter_add_rows(&x, self.rows, &zero)?;
                self.outputs.insert(module.id, zero);
            }
        }
        Ok(x)
    }
}

/// The mean and the variance of numbers that come row by row, over all edits so far.
struct Running {
    n: f64,
    mean: Vec<f64>,
    /// Sums of squared distances from the mean.
    squares: Vec<f64>,
}

impl Running {
    /// What the edits that `model` carries have seen.
    fn of(model: &Model, modules: &[Module]) -> Result<BTreeMap<WeightId, Self>> {
        let one = |module: &Module| {
            let shape = module.id.part.shape(model.spec());
            let name = format!("{}.seen", module.id);
            let last = model.deltas().iter().rev().find_map(|delta| delta.state.get(&name));
            let width = shape[0] + shape[1];
            let fresh = Self { n: 0.0, mean: vec![0.0; width], squares: vec![0.0; width] };
            let seen = match last {
                Some(tensor) => Self::from_tensor(&name, tensor, width)?,
                None => fresh,
            };
            Ok((module.id, seen))
        };
        modules.iter().map(one).collect()
    }

    /// Adds rows (Chan, Golub and LeVeque 1983).
    fn add(&mut self, rows: &Mat<f64>) {
        let n = rows.nrows() as f64;
        let total = self.n + n;
        for j in 0..rows.ncols() {
            let mean = (0..rows.nrows()).map(|i| rows[(i, j)]).sum::<f64>() / n;
            let squares: f64 = (0..rows.nrows()).map(|i| (rows[(i, j)] - mean).powi(2)).sum();
            let away = mean - self.mean[j];
            self.squares[j] += squares + self.n * n / total * away.powi(2);
            self.mean[j] += n / total * away;
        }
        self.n = total;
    }

    fn normalized(&self, rows: &Mat<f64>) -> Mat<f64> {
        if self.n < 2.0 {
            return rows.clone();
        }
        /// As in the published code, for numbers that never change.
        const EPS: f64 = 1e-12;
        let deviation = |j: usize| (self.squares[j] / (self.n - 1.0)).sqrt() + EPS;
        Mat::from_fn(rows.nrows(), rows.ncols(), |i, j| {
            (rows[(i, j)] - self.mean[j]) / deviation(j)
        })
    }

    /// Three rows: how many, the mean, the sums of squares.
    fn to_tensor(&self) -> Result<Tensor> {
        let width = self.mean.len();
        let counts = vec![self.n; width];
        let numbers = counts.iter().chain(&self.mean).chain(&self.squares).map(|&x| x as f32);
        Ok(Tensor::from_vec(numbers.collect::<Vec<_>>(), (3, width), &Device::Cpu)?)
    }

    /// Of deltas that were joined, the last three rows, which know all that came before.
    fn from_tensor(name: &str, tensor: &Tensor, width: usize) -> Result<Self> {
        let first = match *tensor.dims() {
            [n, found] if found == width && n > 0 && n.is_multiple_of(3) => n - 3,
            _ => {
                let (name, expected) = (name.to_owned(), format!("[3 an edit, {width}]"));
                return Err(Error::WrongState { name, expected, found: tensor.dims().to_vec() });
            }
        };
        let rows = to_mat(tensor)?;
        let row = |i: usize| (0..width).map(|j| rows[(first + i, j)]).collect();
        Ok(Self { n: rows[(first, 0)], mean: row(1), squares: row(2) })
    }
}
