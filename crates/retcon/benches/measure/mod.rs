//! How benchmarks measure time and memory.

use std::error::Error;
use std::time::Instant;

pub(crate) type Outcome<T> = Result<T, Box<dyn Error>>;

/// Seconds of each of `repeats` runs, after some that don't count.
pub(crate) fn timed(repeats: usize, mut work: impl FnMut() -> Outcome<()>) -> Outcome<Vec<f64>> {
    const WARM_UP: usize = 3;
    let mut times = Vec::new();
    for run in 0..WARM_UP + repeats {
        let clock = Instant::now();
        work()?;
        if run >= WARM_UP {
            times.push(clock.elapsed().as_secs_f64());
        }
    }
    Ok(times)
}

pub(crate) fn median(times: &[f64]) -> f64 {
    let mut times = times.to_vec();
    times.sort_by(f64::total_cmp);
    let n = times.len();
    (times[(n - 1) / 2] + times[n / 2]) / 2.0
}

pub(crate) fn best(times: &[f64]) -> f64 {
    times.iter().copied().fold(f64::INFINITY, f64::min)
}

/// The most memory that this process has held, on Linux.
pub(crate) fn peak_rss_mb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok());
    kib.unwrap_or_default() / 1024.0
}
