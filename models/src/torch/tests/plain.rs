//! The tiny bundle computed with loops over f64: slow, and as the textbook has it.

use crate::testing::{EPS, FEATURES, HEADS, LAYERS, Matrix, Tensors, Tiny, WIDTH};

type Rows = Vec<Vec<f64>>;

/// What the model must say about one text.
pub struct Expected {
    pub sentiment: Vec<f64>,
    pub toxicity: f64,
    pub sarcasm: f64,
    pub emotion: usize,
}

/// The probabilities for the tokens of one text.
pub fn probabilities(tiny: &Tiny, ids: &[i64]) -> Expected {
    let weights = changed(tiny);
    let states = hidden(&weights, ids);
    let features: Vec<f64> = FEATURES.iter().flat_map(|layer| mean(&states[*layer])).collect();
    let head = |task: &str| {
        let inner = linear(&tiny.heads, &format!("{task}.fc1"), &features)
            .into_iter()
            .map(gelu)
            .collect::<Vec<_>>();
        linear(&tiny.heads, &format!("{task}.fc2"), &inner)
    };
    let emotion = head("emotion");
    Expected {
        sentiment: softmax(&head("sentiment").iter().map(|x| x / 1.3).collect::<Vec<_>>()),
        toxicity: 1.0 / (1.0 + (-head("toxicity")[0]).exp()),
        sarcasm: 1.0 / (1.0 + (-head("sarcasm")[0] / 0.8).exp()),
        emotion: (0..6).max_by(|a, b| emotion[*a].total_cmp(&emotion[*b])).expect("six"),
    }
}

/// The base with the delta applied.
fn changed(tiny: &Tiny) -> Tensors {
    let mut weights = tiny.base.clone();
    for (name, change) in &tiny.delta {
        let Some(whole) = name.strip_suffix(".lora_a") else {
            if !name.ends_with(".lora_b") {
                weights.insert(name.clone(), change.clone());
            }
            continue;
        };
        let b = &tiny.delta[&format!("{whole}.lora_b")];
        let (rank, columns) = (change.shape[0], change.shape[1]);
        let base = weights.get_mut(whole).expect("known");
        for (place, value) in base.data.iter_mut().enumerate() {
            let (row, column) = (place / columns, place % columns);
            *value += (0..rank)
                .map(|k| b.data[row * rank + k] * change.data[k * columns + column])
                .sum::<f32>();
        }
    }
    weights
}

fn hidden(weights: &Tensors, ids: &[i64]) -> Vec<Rows> {
    let table = |name: &str, row: usize| row_of(&weights[&format!("embeddings.{name}.weight")], row);
    let embedded = ids.iter().enumerate().map(|(position, id)| {
        let word = table("word_embeddings", usize::try_from(*id).expect("an id"));
        let sum = add(
            &add(&word, &table("position_embeddings", position)),
            &table("token_type_embeddings", 0),
        );
        norm(weights, "embeddings", &sum)
    });
    let mut states: Vec<Rows> = vec![embedded.collect()];
    for layer in 0..LAYERS {
        let next = block(weights, &format!("encoder.layer.{layer}"), &states[layer]);
        states.push(next);
    }
    states
}

fn block(weights: &Tensors, at: &str, x: &Rows) -> Rows {
    let project = |part: &str| -> Rows {
        x.iter()
            .map(|row| linear(weights, &format!("{at}.{part}"), row))
            .collect()
    };
    let (q, k, v) = (
        project("attention.self.query"),
        project("attention.self.key"),
        project("attention.self.value"),
    );
    let size = WIDTH / HEADS;
    let mut mixed = vec![vec![0.0; WIDTH]; x.len()];
    for head in 0..HEADS {
        let of = |row: &[f64]| row[head * size..(head + 1) * size].to_vec();
        for (i, out) in mixed.iter_mut().enumerate() {
            let scores: Vec<f64> = k
                .iter()
                .map(|key| dot(&of(&q[i]), &of(key)) / (size as f64).sqrt())
                .collect();
            for (p, value) in softmax(&scores).into_iter().zip(&v) {
                for (slot, component) in out[head * size..(head + 1) * size].iter_mut().zip(of(value)) {
                    *slot += p * component;
                }
            }
        }
    }
    mixed
        .iter()
        .zip(x)
        .map(|(row, residual)| {
            let dense = linear(weights, &format!("{at}.attention.output.dense"), row);
            let attended = norm(weights, &format!("{at}.attention.output"), &add(&dense, residual));
            let inner: Vec<f64> = linear(weights, &format!("{at}.intermediate.dense"), &attended)
                .into_iter()
                .map(gelu)
                .collect();
            let outer = linear(weights, &format!("{at}.output.dense"), &inner);
            norm(weights, &format!("{at}.output"), &add(&outer, &attended))
        })
        .collect()
}

fn row_of(matrix: &Matrix, row: usize) -> Vec<f64> {
    let width = matrix.shape[1];
    matrix.data[row * width..(row + 1) * width]
        .iter()
        .map(|x| f64::from(*x))
        .collect()
}

fn vector(matrix: &Matrix) -> Vec<f64> {
    matrix.data.iter().map(|x| f64::from(*x)).collect()
}

fn linear(weights: &Tensors, name: &str, x: &[f64]) -> Vec<f64> {
    let (weight, bias) = (
        &weights[&format!("{name}.weight")],
        vector(&weights[&format!("{name}.bias")]),
    );
    (0..weight.shape[0])
        .map(|row| dot(&row_of(weight, row), x) + bias[row])
        .collect()
}

fn norm(weights: &Tensors, name: &str, x: &[f64]) -> Vec<f64> {
    let n = x.len() as f64;
    let mean = x.iter().sum::<f64>() / n;
    let variance = x.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n;
    let part = |part: &str| vector(&weights[&format!("{name}.LayerNorm.{part}")]);
    let (weight, bias) = (part("weight"), part("bias"));
    x.iter()
        .zip(weight.iter().zip(bias))
        .map(|(v, (w, b))| (v - mean) / (variance + EPS).sqrt() * w + b)
        .collect()
}

fn mean(rows: &Rows) -> Vec<f64> {
    (0..WIDTH)
        .map(|column| rows.iter().map(|row| row[column]).sum::<f64>() / rows.len() as f64)
        .collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

fn add(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(x, y)| x + y).collect()
}

fn softmax(x: &[f64]) -> Vec<f64> {
    let exponentials: Vec<f64> = x.iter().map(|v| v.exp()).collect();
    let sum: f64 = exponentials.iter().sum();
    exponentials.into_iter().map(|e| e / sum).collect()
}

fn gelu(x: f64) -> f64 {
    0.5 * x * (1.0 + libm::erf(x / std::f64::consts::SQRT_2))
}
