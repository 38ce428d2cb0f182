//! Models that cannot be promoted or compared: through the command line, at a running pipeline.

use crate::program::{Running, groundswell, run};

/// Every refusal with its words, and the pipeline goes on.
pub fn refused() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    crate::config::pipeline(folder, "serve: {http: \"127.0.0.1:0\"}\n");
    let text = std::fs::read_to_string(folder.join("p.yaml")).unwrap();
    let models = "live: fixture, shadow: [{fixture: contrary, share: 0}]";
    std::fs::write(folder.join("p.yaml"), text.replace("live: fixture", models)).unwrap();
    let running = Running::start(groundswell(folder, ["run", "p.yaml"]), "serving http://");
    let url = format!("http://{}", running.addr());
    let models = |args: &[&str]| {
        let at = ["--url", url.as_str()];
        let all = ["models"].iter().chain(args).chain(&at).copied();
        run(groundswell(folder, all.collect::<Vec<_>>()))
    };
    let listed = || models(&["list"]).stdout;
    let began = std::time::Instant::now();
    while !listed().contains("\"scored\": 1") {
        assert!(began.elapsed() < crate::program::PATIENCE, "{}", listed());
    }
    for (args, says) in [
        (
            &["promote", "contrery"][..],
            &["404", "there is no model \"contrery\"", "did you mean \"contrary\"?"][..],
        ),
        (&["compare", "0123456789"], &["404", "there is no model \"0123456789\""]),
        (&["promote", "fixture"], &["409", "\"fixture\" is live already"]),
        (
            &["promote", "fixture", "--force"],
            &["409", "\"fixture\" is live already"],
        ),
        (&["rollback"], &["409", "nothing to roll back to"]),
        (
            &["promote", "contrary"],
            &["409", "has not answered 1 of the 1 texts", "force"],
        ),
    ] {
        let ended = models(args);
        assert_eq!(ended.code, Some(1), "{args:?}: {}", ended.stderr);
        for word in says {
            assert!(
                ended.stderr.contains(word),
                "{args:?} should say {word:?}: {}",
                ended.stderr
            );
        }
    }
    let forced = models(&["promote", "contrary", "--force"]);
    assert_eq!(forced.code, Some(0), "{}", forced.stderr);
    assert!(forced.stdout.contains("\"missing\": 1"), "{}", forced.stdout);
    let back = models(&["rollback"]);
    assert!(
        back.stdout.contains("\"missing\": 0"),
        "{} {}",
        back.stdout,
        back.stderr
    );
    let ended = running.stop();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
    let gone = models(&["list"]);
    assert_eq!(gone.code, Some(3), "{}", gone.stderr);
}
