//! What all commands share: where output goes, how models are loaded, whether to stop.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, bail};
use candle_core::{DType, Device};
use retcon::{Options, Precision};
use serde::Serialize;
use tracing_subscriber::EnvFilter;

use crate::args::{Common, DtypeName};
use crate::failure::{CANCELED, usage};

/// Becomes true where the user presses Ctrl-C, or the process is told to end.
static CANCEL: AtomicBool = AtomicBool::new(false);

/// What all commands share.
pub(crate) struct Shell {
    /// Whether the result is a JSON object.
    pub(crate) json: bool,
    /// Whether stderr shows errors only.
    pub(crate) quiet: bool,
    /// How models are loaded.
    pub(crate) options: Options,
    /// Ends work where it becomes true.
    pub(crate) cancel: &'static AtomicBool,
}

impl Shell {
    /// Sets up logging, threads and the answer to Ctrl-C, all of which exist once a process.
    pub(crate) fn new(common: &Common) -> Result<Self> {
        log(common)?;
        if let Some(n) = common.threads {
            // Each has a stack, and all of them meet in every product.
            const MOST: usize = 1024;
            if n.get() > MOST {
                bail!(usage(format!("--threads: expected at most {MOST}, found: {n}")));
            }
            let pool = rayon::ThreadPoolBuilder::new().num_threads(n.get());
            pool.build_global().context("cannot start the threads")?;
        }
        ctrlc::set_handler(|| {
            if CANCEL.swap(true, Ordering::Relaxed) {
                leave();
            }
        })
        .context("cannot listen for Ctrl-C")?;
        let precision = match common.dtype {
            DtypeName::Stored => Precision::Stored,
            DtypeName::F32 => Precision::As(DType::F32),
            DtypeName::Bf16 => Precision::As(DType::BF16),
            DtypeName::F16 => Precision::As(DType::F16),
        };
        let options = Options { device: device(&common.device)?, precision, ..Options::default() };
        Ok(Self { json: common.json, quiet: common.quiet, options, cancel: &CANCEL })
    }

    /// Writes a result for people; nothing with `--json`.
    pub(crate) fn say(&self, text: impl AsRef<str>) -> Result<()> {
        if !self.json {
            writeln!(io::stdout().lock(), "{}", text.as_ref())?;
        }
        Ok(())
    }

    /// Writes the result for programs; nothing without `--json`.
    pub(crate) fn emit(&self, result: &impl Serialize) -> Result<()> {
        if self.json {
            let text = serde_json::to_string_pretty(result)?;
            writeln!(io::stdout().lock(), "{text}")?;
        }
        Ok(())
    }

    /// Writes a message beside the results.
    pub(crate) fn note(&self, text: impl AsRef<str>) -> Result<()> {
        if !self.quiet {
            writeln!(io::stderr().lock(), "{}", text.as_ref())?;
        }
        Ok(())
    }

    /// Stops here where the user wants it.
    ///
    /// # Errors
    /// [`retcon::Error::Canceled`].
    pub(crate) fn check(&self) -> Result<()> {
        if self.cancel.load(Ordering::Relaxed) {
            bail!(retcon::Error::Canceled);
        }
        Ok(())
    }
}

/// What a second Ctrl-C does, while something goes on that can't be interrupted.
#[expect(clippy::disallowed_methods, reason = "the user insists; files are written atomically")]
fn leave() -> ! {
    std::process::exit(CANCELED.into())
}

fn log(common: &Common) -> Result<()> {
    let level = match (common.quiet, common.verbose) {
        (true, _) => "error",
        (_, 0) => "warn",
        (_, 1) => "info",
        (_, 2) => "debug",
        _ => "trace",
    };
    let filter = match std::env::var("RETCON_LOG") {
        Ok(directives) => {
            EnvFilter::try_new(directives).map_err(|error| usage(format!("RETCON_LOG: {error}")))?
        }
        // What libraries beneath ours say is seldom for our users.
        Err(_) => EnvFilter::new(format!("warn,retcon={level},retcon_model={level}")),
    };
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(console::colors_enabled_stderr())
        .with_target(common.verbose > 1)
        .without_time();
    subscriber.try_init().map_err(|error| anyhow::anyhow!("cannot log: {error}"))
}

fn device(name: &str) -> Result<Device> {
    let (kind, number) = name.split_once(':').unwrap_or((name, "0"));
    let number: usize = number.parse().map_err(|_| {
        usage(format!("--device: expected a number after `{kind}:`, found: {name}"))
    })?;
    match kind {
        "cpu" => Ok(Device::Cpu),
        "cuda" if !candle_core::utils::cuda_is_available() => {
            bail!("this program was built without CUDA: build it with `--features cuda`")
        }
        "metal" if !candle_core::utils::metal_is_available() => {
            bail!("this program was built without Metal: build it with `--features metal`")
        }
        "cuda" => Device::new_cuda(number).with_context(|| format!("cannot use device {name}")),
        "metal" => Device::new_metal(number).with_context(|| format!("cannot use device {name}")),
        _ => bail!(usage(format!("--device: expected cpu, cuda, cuda:N or metal, found: {name}"))),
    }
}
