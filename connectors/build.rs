//! Compiles again when the console was built: its files become part of the binary.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // Watching a path that does not exist would make every build a new one; its parent shows when it appears.
    let dist = "console/dist";
    let watched = if std::path::Path::new(dist).exists() {
        dist
    } else {
        "console"
    };
    println!("cargo:rerun-if-changed={watched}");
}
