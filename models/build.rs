//! Lets this crate's tests find LibTorch at run time. Linker arguments do not propagate: a final binary needs the same
//! lines in its own build script (`engine/runtime/build.rs`).

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
