//! `ft` and fine-tuning as it was published beside other methods: rows of settings of `finetune.rs`.
//!
//! Changes: the weights of the chosen components of the chosen blocks.
//! Equation: `min_θ Σ_{x ∈ D_M} (1/|o|) Σ_i -log p_θ(o_i | x, o_<i)` subject to
//! `‖θ - θ0‖ <= radius`, by Adam, projected onto the ball after every step; one ball per tensor.
//! Source: Zhu et al. 2020, "Modifying Memories in Transformer Models" (arXiv 2012.00363),
//! equation 1 and its "FTM with constraint", for `ft`; each of the others names its own.
//! Deviations: the paper has one ball over all weights; a ball per tensor bounds each of them, whatever
//! the scope. `ft` visits facts breadth first in mini-batches, which keeps later facts from undoing
//! earlier ones (LocFT-BF, arXiv 2509.22072). The others have absolute numbers, as their sources give
//! them; a norm constraint can't be switched off by a wrong type, and the weight decay of `ft-w` is
//! used, which its published code leaves at zero by mistake. That decay is decoupled (AdamW): a share of
//! the weight, times the step size, comes off in every step, where the published code hands it to
//! `torch.optim.Adam`, which adds it, times the weight, to the gradient.

use crate::edit::finetune::{Constraint, Objective, Order, SETTINGS, Settings, Unit, make};
use crate::edit::scope::Target;
use crate::edit::{Method, to_value};

/// What all but `ft` have in common: ROME's baseline.
fn base() -> Settings {
    Settings {
        unit: Unit::Absolute,
        learning_rate: 5e-4,
        steps: 25,
        batch: 128,
        stop_loss: Some(1e-2),
        constraint: Constraint::None,
        ..Settings::default()
    }
}

fn ft_l() -> Settings {
    let (constraint, radius) = (Constraint::Linf, Some(5e-4));
    Settings { objective: Objective::Bag, constraint, radius, ..base() }
}

fn ft_m() -> Settings {
    Settings { order: Order::Depth, batch: 1, ..base() }
}

fn ft_w() -> Settings {
    Settings {
        components: vec![Target::Attention, Target::Mlp, Target::Norms],
        objective: Objective::Bag,
        batch: 64,
        weight_decay: 1.169,
        weight_decay_power: -0.8703,
        ..base()
    }
}

fn locft_bf() -> Settings {
    Settings { batch: 100, eos: true, ..base() }
}

/// The entry of `ft` in [`crate::edit::METHODS`].
pub const FT: Method = Method {
    name: "ft",
    summary: "fine-tuning on the new facts alone, inside a ball around the old weights",
    source: "Zhu et al. 2020, arXiv 2012.00363: FTM with constraint",
    settings: SETTINGS,
    defaults: || to_value(&Settings::default()),
    swept: false,
    make: |given| make("ft", &Settings::default(), given),
};

/// The entry of `ft-l` in [`crate::edit::METHODS`].
pub const FT_L: Method = Method {
    name: "ft-l",
    summary: "fine-tuning in a small box, all tokens of the object right after the prompt",
    source: "Meng et al. 2022, arXiv 2202.05262: FT+L",
    settings: SETTINGS,
    defaults: || to_value(&ft_l()),
    swept: false,
    make: |given| make("ft-l", &ft_l(), given),
};

/// The entry of `ft-m` in [`crate::edit::METHODS`].
pub const FT_M: Method = Method {
    name: "ft-m",
    summary: "fine-tuning on the object's tokens, one fact after another",
    source: "Zhang et al. 2024, arXiv 2401.01286: FT-M of EasyEdit",
    settings: SETTINGS,
    defaults: || to_value(&ft_m()),
    swept: false,
    make: |given| make("ft-m", &ft_m(), given),
};

/// The entry of `ft-w` in [`crate::edit::METHODS`].
pub const FT_W: Method = Method {
    name: "ft-w",
    summary: "fine-tuning of a whole block with weight decay by the number of facts",
    source: "Meng et al. 2023, arXiv 2210.07229: FT-W",
    settings: SETTINGS,
    defaults: || to_value(&ft_w()),
    swept: false,
    make: |given| make("ft-w", &ft_w(), given),
};

/// The entry of `locft-bf` in [`crate::edit::METHODS`].
pub const LOCFT_BF: Method = Method {
    name: "locft-bf",
    summary: "fine-tuning of one matrix, breadth first, with the end of the text behind the object",
    source: "LocFT-BF, arXiv 2509.22072",
    settings: SETTINGS,
    defaults: || to_value(&locft_bf()),
    swept: false,
    make: |given| make("locft-bf", &locft_bf(), given),
};
