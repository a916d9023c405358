//! How positions turn queries and keys: `rope_theta` and `rope_scaling`, as transformers reads them
//! (`modeling_rope_utils.py`).

use retcon_kernels::rope::Pairing;

use crate::checkpoint::Config;
use crate::error::Result;
use crate::spec::{Rotary, Scaling};

/// The fraction of each head that is rotated, or else `usual`.
pub(super) fn rotated(config: &Config, usual: f64) -> Result<f64> {
    match config.get_or("partial_rotary_factor", usual)? {
        partial if (0.0..=1.0).contains(&partial) => Ok(partial),
        other => Err(config.bad("partial_rotary_factor", "from 0 to 1", other.to_string())),
    }
}

/// A rotary embedding of the fraction `partial` of each head.
pub(super) fn rotary(config: &Config, d_head: usize, partial: f64) -> Result<Rotary> {
    let rotary = Rotary {
        theta: config.get_or("rope_theta", 1e4)?,
        width: (d_head as f64 * partial) as usize / 2 * 2,
        pairing: Pairing::Halves,
        scaling: Scaling::None,
        amplitude: 1.0,
    };
    stretched(config, config.section("rope_scaling")?, rotary)
}

/// Rotates the blocks that are `local` by wavelengths of their own, of `theta` where nothing is said, and
/// stretched by themselves if at all.
pub(super) fn localize(
    config: &Config,
    blocks: &mut [Rotary],
    local: &[bool],
    theta: f64,
) -> Result<()> {
    let theta = config.get_or("rope_local_base_freq", theta)?;
    let section = match config.section("rope_parameters")? {
        Some(parameters) => parameters.section("sliding_attention")?,
        None => None,
    };
    for (rotary, _) in blocks.iter_mut().zip(local).filter(|(_, local)| **local) {
        let plain = Rotary { theta, scaling: Scaling::None, amplitude: 1.0, ..rotary.clone() };
        *rotary = stretched(config, section.clone(), plain)?;
    }
    Ok(())
}

/// `rotary` with its wavelengths stretched as `section` of the settings `config` says.
fn stretched(config: &Config, section: Option<Config>, rotary: Rotary) -> Result<Rotary> {
    let Some(section) = section else { return Ok(rotary) };
    let (scaling, amplitude) = match kind(&section)?.as_str() {
        // `dynamic` stretches texts longer than those that are taken here.
        "default" | "none" | "dynamic" => (Scaling::None, 1.0),
        "linear" => (Scaling::Linear(section.get("factor")?), 1.0),
        "llama3" => (llama3(config, &section)?, 1.0),
        "yarn" => yarn(config, &section)?,
        LONG => longrope(config, &section, rotary.width / 2)?,
        other => {
            let expected = "default, dynamic, linear, llama3, longrope or yarn";
            return Err(section.bad("rope_type", expected, other));
        }
    };
    Ok(Rotary { scaling, amplitude, ..rotary })
}

/// The positions that are taken of `n`: longer texts would be rotated by other factors from their first
/// token on where there are some for long and some for short ones.
pub(super) fn n_positions(config: &Config, n: usize) -> Result<usize> {
    match config.section("rope_scaling")? {
        Some(section) if kind(&section)? == LONG => Ok(n.min(original(config, &section)?)),
        _ => Ok(n),
    }
}

const LONG: &str = "longrope";

fn kind(section: &Config) -> Result<String> {
    // Files of Phi 3 say `su` or `yarn` of it, too.
    if section.value("short_factor").is_some() {
        return Ok(LONG.to_owned());
    }
    match section.find("rope_type")? {
        Some(kind) => Ok(kind),
        None => section.get_or("type", "default".to_owned()),
    }
}

/// The positions of pretraining, which count before those that the scaling itself has.
fn original(config: &Config, section: &Config) -> Result<usize> {
    const KEY: &str = "original_max_position_embeddings";
    let n: usize = match (config.find(KEY)?, section.find(KEY)?) {
        (Some(n), _) | (None, Some(n)) => n,
        (None, None) => config.get("max_position_embeddings")?,
    };
    if n < 2 { Err(section.bad(KEY, "at least 2", n.to_string())) } else { Ok(n) }
}

fn llama3(config: &Config, section: &Config) -> Result<Scaling> {
    Ok(Scaling::Llama3 {
        factor: section.get("factor")?,
        low: section.get("low_freq_factor")?,
        high: section.get("high_freq_factor")?,
        original: original(config, section)? as f64,
    })
}

/// Peng et al. 2023 (arXiv 2309.00071), section 3.
fn yarn(config: &Config, section: &Config) -> Result<(Scaling, f64)> {
    let n_positions: usize = config.get("max_position_embeddings")?;
    let original = original(config, section)? as f64;
    let factor = section.get_or("factor", n_positions as f64 / original)?;
    // Equation 15, which DeepSeek's models weigh.
    let amplitude =
        |weight: f64| if factor > 1.0 { 1.0 + 0.1 * weight * f64::ln(factor) } else { 1.0 };
    let weights = (section.get_or("mscale", 0.0)?, section.get_or("mscale_all_dim", 0.0)?);
    let usual = match weights {
        (one, all) if one != 0.0 && all != 0.0 => amplitude(one) / amplitude(all),
        _ => amplitude(1.0),
    };
    let scaling = Scaling::Yarn {
        factor,
        fast: section.get_or("beta_fast", 32.0)?,
        slow: section.get_or("beta_slow", 1.0)?,
        original,
        whole: section.get_or("truncate", true)?,
    };
    let usual = usual * section.get_or("attention_factor_times", 1.0)?;
    Ok((scaling, section.get_or("attention_factor", usual)?))
}

/// Ding et al. 2024 (arXiv 2402.13753), with the factors for texts within the positions of pretraining.
fn longrope(config: &Config, section: &Config, n_pairs: usize) -> Result<(Scaling, f64)> {
    const KEY: &str = "short_factor";
    let factors: Vec<f64> = section.get(KEY)?;
    if factors.len() != n_pairs {
        let expected = format!("one for each of {n_pairs} pairs");
        return Err(section.bad(KEY, expected, factors.len().to_string()));
    }
    let original = original(config, section)? as f64;
    let longer = config.get::<usize>("max_position_embeddings")? as f64 / original;
    let factor = section.get_or("factor", longer)?;
    let usual = if factor > 1.0 { (1.0 + factor.ln() / original.ln()).sqrt() } else { 1.0 };
    Ok((Scaling::Factors(factors), section.get_or("attention_factor", usual)?))
}
