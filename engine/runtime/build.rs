//! Lets the binaries, examples and tests of this crate find LibTorch at run time. Linker arguments do not propagate from
//! `groundswell-models`, so they are repeated here; a program that embeds the engine needs the same lines.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    if std::env::var_os("CARGO_FEATURE_TORCH").is_none() {
        return;
    }
    // The folder behind the link: binaries go on working wherever they and the checkout are, while the cache is there.
    if let Some(libtorch) = std::env::var_os("LIBTORCH").and_then(|path| std::fs::canonicalize(path).ok()) {
        println!("cargo:rustc-link-arg=-Wl,-rpath,{}/lib", libtorch.display());
    }
}
