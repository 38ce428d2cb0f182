//! What can be wrong with a bundle, each with the place and what to do.

use std::path::PathBuf;

/// Why a bundle cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// A file of the bundle is not there.
    #[error("{what} is missing: there is no \"{}\"", path.display())]
    Missing {
        /// What the file is.
        what: &'static str,
        /// Where it was expected.
        path: PathBuf,
    },
    /// The base model is nowhere.
    #[error(
        "the base model \"{package}\" is missing (looked in {}); run `make setup`",
        list(looked)
    )]
    BaseMissing {
        /// The package.
        package: String,
        /// All places.
        looked: Vec<PathBuf>,
    },
    /// The manifest names a base package this build does not know.
    #[error(
        "the base model \"{package}\" is not known; known is \"{known}\", and base.path takes a folder of your own"
    )]
    BaseUnknown {
        /// The package.
        package: String,
        /// The one there is.
        known: &'static str,
    },
    /// A file cannot be read.
    #[error("cannot read \"{}\": {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The manifest is of another format.
    #[error("\"{}\" has format {format}; this version of Groundswell reads format {known}", path.display())]
    Format {
        /// The manifest.
        path: PathBuf,
        /// Its format.
        format: u32,
        /// The format that is known.
        known: u32,
    },
    /// The manifest, or a JSON file of the base model, says something wrong.
    #[error("{place}: {why}")]
    Manifest {
        /// File, and line and column where known.
        place: String,
        /// What is wrong.
        why: String,
    },
    /// A file is not the one the bundle was made with.
    #[error(
        "\"{}\" has SHA-256 {actual}, the bundle was made with {expected}; fetch it again (delete it and run `make setup`) \
         or use the bundle that belongs to it",
        path.display()
    )]
    Digest {
        /// The file.
        path: PathBuf,
        /// Digest in the manifest.
        expected: String,
        /// Digest found.
        actual: String,
    },
    /// A file is cut short or not safetensors at all.
    #[error("\"{}\" is not a whole safetensors file: {why}", path.display())]
    Safetensors {
        /// The file.
        path: PathBuf,
        /// What the reader said.
        why: String,
    },
    /// Weights in a format that is a program.
    #[error(
        "\"{}\" is a pickle, which runs code when it is read, and is never opened; save the model as safetensors: \
         `model.save_pretrained(folder, safe_serialization=True)`",
        path.display()
    )]
    Pickle {
        /// The file.
        path: PathBuf,
    },
    /// A folder without a manifest whose config does not tell what the model says.
    #[error("\"{}\": {why}", path.display())]
    Labels {
        /// The config file or the manifest.
        path: PathBuf,
        /// What is not known, and what to write.
        why: String,
    },
    /// A tensor is not there.
    #[error("\"{}\" has no tensor \"{name}\"", path.display())]
    TensorMissing {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
    },
    /// A tensor nobody asked for: a typing error, or a file of another model.
    #[error("\"{}\" has a tensor \"{name}\" that belongs to no {owner}", path.display())]
    TensorUnknown {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// What it could have belonged to.
        owner: &'static str,
    },
    /// A tensor has the wrong shape.
    #[error("tensor \"{name}\" in \"{}\" has shape {actual:?}, expected {expected:?}", path.display())]
    Shape {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// Its shape.
        actual: Vec<usize>,
        /// The right shape.
        expected: Vec<usize>,
    },
    /// A low-rank change of something that is no matrix.
    #[error("\"{name}\" in \"{}\" adds a product to a tensor of shape {shape:?}; only matrices take one", path.display())]
    NotAMatrix {
        /// The file.
        path: PathBuf,
        /// The entry.
        name: String,
        /// The shape of what it would change.
        shape: Vec<usize>,
    },
    /// A tensor is replaced and added to.
    #[error("\"{}\" changes \"{name}\" twice: it has a tensor of that name and a pair \"{name}.lora_a\", \"{name}.lora_b\"; \
             leave one out", path.display())]
    ChangedTwice {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
    },
    /// A tensor does not hold floating-point numbers.
    #[error("tensor \"{name}\" in \"{}\" holds {kind}, expected 16- or 32-bit floating point", path.display())]
    Kind {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// What it holds.
        kind: String,
    },
    /// The encoder is of a kind this build cannot run.
    #[error("\"{}\": {why}", path.display())]
    Encoder {
        /// Its config file.
        path: PathBuf,
        /// What is not supported.
        why: String,
    },
    /// The tokenizer cannot be built.
    #[error("\"{}\" is not a usable tokenizer: {why}", path.display())]
    Tokenizer {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// The device the configuration asks for is not there.
    #[error("device \"{0}\" is not available: {1}; use `device: auto` or `cpu`")]
    Device(String, String),
    /// 8-bit integers on a GPU.
    #[error("precision int8 is for the CPU; use `precision: bf16` on a GPU, or `device: cpu`")]
    Precision,
    /// LibTorch refused the weights.
    #[error("LibTorch cannot load the model: {0}")]
    Torch(String),
}

fn list(paths: &[PathBuf]) -> String {
    paths
        .iter()
        .map(|p| format!("\"{}\"", p.display()))
        .collect::<Vec<_>>()
        .join(", ")
}
