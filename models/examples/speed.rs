//! How fast a model scores: `speed MODEL TEXTS fp32|bf16|int8 THREADS [BATCH]`, one JSON line.
//!
//! In: a file of texts, one a line. They are scored in its order in batches (32), once for warming up and then for at least
//! three seconds. Out: texts and tokens a second, processor seconds per thousand texts, the process's greatest memory.
//! `benches/score.py` runs it next to its peers.

use groundswell_models::torch::{DeviceChoice, Precision};
use groundswell_models::{Scorer, TorchOptions, TorchScorer};
use std::error::Error;
use std::path::Path;
use std::time::{Duration, Instant};

const AT_LEAST: Duration = Duration::from_secs(3);

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [model, texts, precision, threads, rest @ ..] = args.as_slice() else {
        return Err("usage: speed MODEL TEXTS fp32|bf16|int8 THREADS [BATCH]".into());
    };
    let precision = match precision.as_str() {
        "fp32" => Precision::Fp32,
        "bf16" => Precision::Bf16,
        "int8" => Precision::Int8,
        other => return Err(format!("precision is \"{other}\"; known are fp32, bf16 and int8").into()),
    };
    let options = TorchOptions {
        device: DeviceChoice::Cpu,
        threads: threads.parse()?,
        precision,
    };
    let batch = rest.first().map_or(Ok(32), |n| n.parse())?;
    let file = std::fs::read_to_string(texts)?;
    let texts: Vec<&str> = file.lines().collect();
    let scorer = TorchScorer::open(Path::new(model), options)?;
    let pass = || -> Result<usize, Box<dyn Error>> {
        let batches = texts.chunks(batch).map(|texts| scorer.forward(texts));
        Ok(batches.map(|b| b.map(|b| b.tokens)).sum::<Result<usize, _>>()?)
    };
    pass()?;
    let (began, cpu_before) = (Instant::now(), cpu_seconds()?);
    let (mut scored, mut tokens) = (0u32, 0.0);
    while began.elapsed() < AT_LEAST {
        tokens += f64::from(u32::try_from(pass()?)?);
        scored += u32::try_from(texts.len())?;
    }
    let (wall, cpu, scored) = (
        began.elapsed().as_secs_f64(),
        cpu_seconds()? - cpu_before,
        f64::from(scored),
    );
    let line = serde_json::json!({
        "engine": format!("groundswell {}", precision.name()),
        "threads": options.threads,
        "texts_per_s": scored / wall,
        "tokens_per_text": tokens / scored,
        "cpu_s_per_1000": 1000.0 * cpu / scored,
        "texts_per_cpu_s": scored / cpu,
        "rss_mib": peak_mib()?,
    });
    println!("{line}");
    Ok(())
}

/// Processor seconds of all threads so far; Linux counts in hundredths.
fn cpu_seconds() -> Result<f64, Box<dyn Error>> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks = fields.skip(11).take(2).map(str::parse::<u32>);
    Ok(f64::from(ticks.sum::<Result<u32, _>>()?) / 100.0)
}

fn peak_mib() -> Result<u64, Box<dyn Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line
        .unwrap_or_default()
        .trim()
        .trim_end_matches("kB")
        .trim()
        .parse::<u64>()?;
    Ok(kib >> 10)
}
