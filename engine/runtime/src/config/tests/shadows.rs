//! Mistakes about models beside the live one.

use super::mistakes::table;

#[test]
fn shadow_mistakes() {
    table(&[
        (
            "models: {live: fixture, shadow: [{path: x}]}",
            "4:41: models.shadow[0].path: no model folder at FOLDER/x",
        ),
        (
            "models: {live: fixture, shadow: [{share: 0.5}]}",
            "4:34: models.shadow[0]: missing key \"path\"; for example path: models/next",
        ),
        (
            "models: {live: fixture, shadow: [{fixture: b, share: 1.5}]}",
            "4:54: models.shadow[0].share: must be between 0 and 1, not 1.5",
        ),
        (
            "models: {live: {path: models/social}, shadow: [{path: models/social, name: b}]}",
            "4:48: models.shadow[0]: this is the live model itself; a shadow is another folder, or another precision",
        ),
        (
            "models: {live: fixture, shadow: [{fixture: b}, {fixture: b, name: c}]}",
            "4:48: models.shadow[1]: this is the same model as \"b\"",
        ),
        (
            "models: {live: fixture, shadow: [{fixture: b, name: fixture}]}",
            "4:34: models.shadow[0]: another model is called \"fixture\" too; give this one a `name` of its own",
        ),
        (
            "models: {live: fixture, shadow: [{fixture: b, path: models/social}]}",
            "4:53: models.shadow[0].path: a shadow has a `path` or a `fixture`, not both",
        ),
        (
            "models: {live: fixture, shadow: [{fixture: b, name: a b}]}",
            "4:53: models.shadow[0].name: \"a b\" is not a name; use letters, digits, \"_\", \"-\" or \".\"; at most 63",
        ),
        (
            "models: {shadow: [{fixture: b}]}",
            "4:18: models.shadow: there is no live model to compare with: models.live is \"given\"; name a model in models.live, or leave the shadows out",
        ),
        (
            "models: {live: fixture, rescore_rate: 0}",
            "4:39: models.rescore_rate: must be between 1 and 1000000, not 0",
        ),
        (
            "alerts: {model_changes: drop}",
            "4:25: alerts.model_changes: unknown value \"drop\"; known: mute, deliver",
        ),
    ]);
}
