//! Fine-tuning as it was published beside other methods: rows of settings of `finetune.rs`.
//!
//! Numbers are absolute, as their sources give them.
//! Deviations: a step and the test whether it is needed are of a batch, as in the sources; the norm
//! constraint is a ball that can't be switched off by a wrong type, and the weight decay of `ft-w` is
//! used, which its published code leaves at zero by mistake.

use super::finetune::{Constraint, Objective, Order, SETTINGS, Settings, Unit, make};
use super::scope::Target;
use super::{Method, to_value};

/// What all of them have in common: ROME's baseline.
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

/// The entry of `ft-l` in [`super::METHODS`].
pub const FT_L: Method = Method {
    name: "ft-l",
    summary: "fine-tuning in a small box, all tokens of the object right after the prompt",
    source: "Meng et al. 2022, arXiv 2202.05262: FT+L",
    settings: SETTINGS,
    defaults: || to_value(&ft_l()),
    editor: |given| make("ft-l", &ft_l(), given),
};

/// The entry of `ft-m` in [`super::METHODS`].
pub const FT_M: Method = Method {
    name: "ft-m",
    summary: "fine-tuning on the object's tokens, one fact after another",
    source: "Zhang et al. 2024, arXiv 2401.01286: FT-M of EasyEdit",
    settings: SETTINGS,
    defaults: || to_value(&ft_m()),
    editor: |given| make("ft-m", &ft_m(), given),
};

/// The entry of `ft-w` in [`super::METHODS`].
pub const FT_W: Method = Method {
    name: "ft-w",
    summary: "fine-tuning of a whole block with weight decay by the number of facts",
    source: "Meng et al. 2023, arXiv 2210.07229: FT-W",
    settings: SETTINGS,
    defaults: || to_value(&ft_w()),
    editor: |given| make("ft-w", &ft_w(), given),
};

/// The entry of `locft-bf` in [`super::METHODS`].
pub const LOCFT_BF: Method = Method {
    name: "locft-bf",
    summary: "fine-tuning of one matrix, breadth first, with the end of the text behind the object",
    source: "LocFT-BF, arXiv 2509.22072",
    settings: SETTINGS,
    defaults: || to_value(&locft_bf()),
    editor: |given| make("locft-bf", &locft_bf(), given),
};
