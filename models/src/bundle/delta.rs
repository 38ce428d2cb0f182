//! What a bundle changes of its base: whole tensors, and low-rank additions.
//!
//! An entry named like a tensor of the base replaces it. A pair `<name>.lora_a` `[r, in]` and `<name>.lora_b` `[out, r]`
//! stands for the base's `<name>` plus `lora_b · lora_a`, any scale already multiplied in. Both may be in one file, but
//! not for one tensor. Names, kinds and shapes are checked here, before anything is computed.

use super::names::Shaped;
use super::{Blob, BundleError, Stored};
use std::path::Path;

/// One tensor of the base, changed. Names are those of the tensors in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The tensor is replaced by the one of the same name.
    Replaced {
        /// The tensor.
        name: String,
    },
    /// `b · a` is added to the tensor.
    LowRank {
        /// The tensor.
        name: String,
        /// `[r, in]`
        a: String,
        /// `[out, r]`
        b: String,
    },
}

const A: &str = ".lora_a";
const B: &str = ".lora_b";

/// The changes in a file, checked against the names and shapes of the base.
pub(super) fn changes(file: &Blob, base: &[Shaped]) -> Result<Vec<Change>, BundleError> {
    let (path, stored) = (&file.path, Stored::of([file])?);
    let mut changes = Vec::new();
    for name in stored.names() {
        if let Some(whole) = name.strip_suffix(A) {
            let (a, b) = (name.to_owned(), format!("{whole}{B}"));
            check_pair(path, &stored, base, whole, [&a, &b])?;
            changes.push(Change::LowRank {
                name: whole.into(),
                a,
                b,
            });
        } else if let Some(whole) = name.strip_suffix(B) {
            // Its shape is checked with the other half, which must be there.
            stored.floats(&format!("{whole}{A}"))?;
        } else {
            stored.check(name, shape_of(path, base, name, name)?)?;
            changes.push(Change::Replaced { name: name.into() });
        }
    }
    Ok(changes)
}

fn check_pair(
    path: &Path,
    stored: &Stored<'_>,
    base: &[Shaped],
    whole: &str,
    [a, b]: [&str; 2],
) -> Result<(), BundleError> {
    let shape = shape_of(path, base, whole, a)?;
    let &[out, input] = shape else {
        return Err(BundleError::NotAMatrix {
            path: path.into(),
            name: a.into(),
            shape: shape.to_vec(),
        });
    };
    if stored.has(whole) {
        return Err(BundleError::ChangedTwice {
            path: path.into(),
            name: whole.into(),
        });
    }
    let rank = stored.floats(a)?.shape().first().copied().unwrap_or(0).max(1);
    stored.check(a, &[rank, input])?;
    stored.check(b, &[out, rank])
}

/// The shape of the base tensor that the entry `entry` changes.
fn shape_of<'a>(path: &Path, base: &'a [Shaped], name: &str, entry: &str) -> Result<&'a [usize], BundleError> {
    match base.iter().find(|(known, _)| known == name) {
        Some((_, shape)) => Ok(shape),
        None => Err(BundleError::TensorUnknown {
            path: path.into(),
            name: entry.into(),
            owner: "part of the base model",
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Matrix, Tensors, write_tensors};
    use safetensors::Dtype;

    const WEIGHT: &str = "layer.weight";

    fn changes_in(entries: &[(&str, &[usize])]) -> Result<Vec<Change>, String> {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("delta.safetensors");
        let tensors: Tensors = entries
            .iter()
            .map(|(name, shape)| {
                let (shape, n) = (shape.to_vec(), shape.iter().product());
                (
                    (*name).to_owned(),
                    Matrix {
                        shape,
                        data: vec![0.5; n],
                    },
                )
            })
            .collect();
        write_tensors(&path, &tensors, Dtype::F32);
        let file = Blob::read(path, "the delta").expect("written");
        let base = [(WEIGHT.to_owned(), vec![6, 4]), ("layer.bias".to_owned(), vec![6])];
        changes(&file, &base).map_err(|e| e.to_string())
    }

    #[test]
    fn whole_tensors_and_pairs_may_be_in_one_file() {
        let found = changes_in(&[
            ("layer.bias", &[6]),
            ("layer.weight.lora_a", &[2, 4]),
            ("layer.weight.lora_b", &[6, 2]),
        ]);
        let (a, b) = (format!("{WEIGHT}.lora_a"), format!("{WEIGHT}.lora_b"));
        let name = "layer.bias".to_owned();
        let expected = [
            Change::Replaced { name },
            Change::LowRank {
                name: WEIGHT.into(),
                a,
                b,
            },
        ];
        assert_eq!(found.expect("good"), expected);
    }

    #[test]
    fn what_does_not_fit_is_told_by_name() {
        type Entries<'a> = &'a [(&'a str, &'a [usize])];
        let cases: [(Entries<'_>, &str); 8] = [
            (&[("layer.weight", &[4, 6])], "\"layer.weight\" in"),
            (
                &[("layer.wait", &[6, 4])],
                "\"layer.wait\" that belongs to no part of the base model",
            ),
            (
                &[("layer.wait.lora_a", &[2, 4]), ("layer.wait.lora_b", &[6, 2])],
                "\"layer.wait.lora_a\" that belongs to no part of the base model",
            ),
            (
                &[("layer.weight.lora_a", &[2, 4])],
                "has no tensor \"layer.weight.lora_b\"",
            ),
            (
                &[("layer.weight.lora_b", &[6, 2])],
                "has no tensor \"layer.weight.lora_a\"",
            ),
            (
                &[("layer.weight.lora_a", &[2, 4]), ("layer.weight.lora_b", &[6, 3])],
                "has shape [6, 3], expected [6, 2]",
            ),
            (
                &[("layer.bias.lora_a", &[2, 4]), ("layer.bias.lora_b", &[6, 2])],
                "\"layer.bias.lora_a\" in",
            ),
            (
                &[
                    ("layer.weight", &[6, 4]),
                    ("layer.weight.lora_a", &[2, 4]),
                    ("layer.weight.lora_b", &[6, 2]),
                ],
                "changes \"layer.weight\" twice",
            ),
        ];
        for (entries, why) in cases {
            let said = changes_in(entries).expect_err("refused");
            assert!(said.contains(why), "{entries:?}: {said}");
        }
    }
}
