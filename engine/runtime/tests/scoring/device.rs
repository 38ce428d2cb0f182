//! Where a model is to run, on the command line.

use std::process::Command;

#[test]
fn a_device_that_is_none_is_a_usage_error() {
    let folder = tempfile::tempdir().unwrap();
    for device in ["gpu", "cuda:", "cuda:-1", "cuda:x", "CPU"] {
        let ended = Command::new(env!("CARGO_BIN_EXE_groundswell"))
            .args(["score", "--model"])
            .arg(folder.path())
            .args(["--device", device])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(2), "{device}: {said}");
        assert!(said.contains("write auto, cpu, or cuda:N"), "{said}");
    }
}
