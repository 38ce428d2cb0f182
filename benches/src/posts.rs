//! Posts, revisions and deletions from a fixed seed, as JSON Lines, the entities they name, and views of them.

use groundswell_core::spec::{GraphSpec, GroupColumn, LinkSpec, Measure, ViewSpec, WeightSpec, WindowSpec};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::fmt::Write as _;

const SEED: u64 = 42;

fn word(n: u64) -> String {
    format!("w{n:x}")
}

/// A hundred entities of two words each.
pub fn aliases() -> Result<String, std::fmt::Error> {
    let mut text = "alias,entity\n".to_owned();
    for n in 0..100 {
        writeln!(text, "{},e{n}\n{},e{n}", word(n * 37), word(n * 37 + 5))?;
    }
    Ok(text)
}

/// Two thirds new posts, the others revisions of their votes and a few deletions. Of a hundred posts `hot` name one entity,
/// the same for all of them.
pub fn posts(events: usize, hot: u32) -> Result<String, std::fmt::Error> {
    let mut random = ChaCha8Rng::seed_from_u64(SEED);
    let (mut text, mut known) = (String::new(), 0u64);
    for version in 1..=events {
        let (what, new) = (random.random_range(0..100), known);
        let id = match known {
            0 => new,
            _ if what < 67 => new,
            _ => random.random_range(0..known),
        };
        known += u64::from(id == new);
        if what >= 98 && id != new {
            writeln!(text, "{{\"id\":\"p{id}\",\"deleted\":true,\"version\":{version}}}")?;
            continue;
        }
        // A post's words and time are its own, whatever comes again.
        let mut own = ChaCha8Rng::seed_from_u64(SEED ^ id.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let mut words: Vec<String> = (0..12).map(|_| word(own.random_range(0..5_000))).collect();
        if own.random_range(0..100) < hot {
            words[0] = word(37);
        }
        let (thread, author) = (own.random_range(0..50), own.random_range(0..2_000));
        let created = 1_700_000_000_000u64 + id * 150;
        let sentiment = f64::from(own.random_range(-1_000..=1_000)) / 1_000.0;
        writeln!(
            text,
            "{{\"id\":\"p{id}\",\"thread\":\"t{thread}\",\"author\":\"a{author}\",\"text\":\"{}\",\"score\":{},\
             \"created_at\":{created},\"observed_at\":{},\"sentiment\":{sentiment},\"version\":{version}}}",
            words.join(" "),
            random.random_range(0..500),
            created + version as u64,
        )?;
    }
    Ok(text)
}

/// Views by thread and entity, each with a window of its own length.
pub fn graph(views: usize) -> GraphSpec {
    let view = |n: usize| ViewSpec {
        name: format!("view_{n}"),
        group_by: vec![GroupColumn::Thread, GroupColumn::Entity],
        window: WindowSpec::Tumble {
            size: 60_000 * i64::try_from(n + 1).unwrap_or(1),
        },
        measures: vec![Measure::Posts, Measure::Weight, Measure::Sentiment],
        keep: None,
        extras: groundswell_core::spec::Extras::default(),
    };
    GraphSpec {
        name: "scale".into(),
        views: (0..views).map(view).collect(),
        link: LinkSpec {
            fuzzy_min: None,
            inherit_from_parent: false,
            ..LinkSpec::default()
        },
        weight: WeightSpec::Log1p,
        scoring: Default::default(),
        events: None,
        numbers: Vec::new(),
        ties: false,
    }
}
