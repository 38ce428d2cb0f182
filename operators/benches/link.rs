//! Time to link one text: by length, by size of the dictionary, exact alone and with the fuzzy rule.
//!
//! The texts name nobody, so the fuzzy rule always runs: its worst ordinary case. Exact must grow in step with the text.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use groundswell_core::record::Entity;
use groundswell_core::spec::LinkSpec;
use groundswell_operators::matcher::Matcher;
use std::hint::black_box;

const FIRST: [&str; 25] = [
    "james", "kevin", "tristan", "richard", "stephen", "harrison", "matthew", "timofey", "andre", "klay", "maria",
    "anna", "sophie", "daenerys", "arya", "sandra", "cirie", "parvati", "jeremy", "tyson", "natalie", "michele", "zoe",
    "adam", "ben",
];
const SYLLABLES: [&str; 20] = [
    "son", "ber", "man", "lov", "ing", "ston", "har", "wil", "gar", "mor", "den", "ker", "ros", "val", "ford", "ley",
    "tan", "dor", "sha", "quin",
];
const WORDS: [&str; 30] = [
    "the", "game", "was", "so", "good", "tonight", "i", "cannot", "believe", "that", "shot", "what", "an", "ending",
    "nobody", "expected", "this", "season", "to", "finish", "like", "it", "did", "and", "now", "everyone", "is",
    "talking", "about", "it",
];

/// Made-up people: a first and a last name, with the last name as an alias.
fn dictionary(size: usize) -> Vec<Entity> {
    (0..size)
        .map(|i| {
            let last: String = [7, 150, 3_000]
                .map(|n| SYLLABLES[(i * 13 + i / n) % SYLLABLES.len()])
                .concat();
            let name = format!("{} {last}", FIRST[i % FIRST.len()]);
            let aliases = vec![format!("{last}{i}"), format!("x{i}")];
            Entity {
                id: format!("e{i}"),
                name,
                aliases,
                ..Entity::default()
            }
        })
        .collect()
}

fn text(length: usize) -> String {
    let mut text: String = (0..)
        .map(|i: usize| WORDS[(i * i + i / 7) % WORDS.len()])
        .flat_map(|w| [w, " "])
        .take(length)
        .collect();
    text.truncate(length);
    text
}

fn link(c: &mut Criterion) {
    for (mode, fuzzy_min) in [("exact", None), ("exact and fuzzy", Some(85))] {
        let mut group = c.benchmark_group(mode);
        for size in [500, 5_000] {
            let entities = dictionary(size);
            let matcher = Matcher::build(
                entities.iter(),
                &LinkSpec {
                    fuzzy_min,
                    ..LinkSpec::default()
                },
            );
            for length in [75, 300, 1_200, 4_800] {
                let text = text(length);
                assert!(matcher.link(&text).is_empty(), "the texts name nobody");
                group.throughput(Throughput::Bytes(length as u64));
                group.bench_with_input(
                    BenchmarkId::new(format!("{size} entities"), length),
                    &text,
                    |b, text| {
                        b.iter(|| black_box(matcher.link(black_box(text))));
                    },
                );
            }
        }
        group.finish();
    }
    let mut group = c.benchmark_group("build");
    group.sample_size(10);
    for size in [500, 5_000] {
        let entities = dictionary(size);
        group.bench_function(format!("{size} entities"), |b| {
            b.iter(|| black_box(Matcher::build(black_box(&entities).iter(), &LinkSpec::default())));
        });
    }
    group.finish();
}

criterion_group!(benches, link);
criterion_main!(benches);
