//! Files that nobody writes by hand: none may crash or hang the reader.

use super::super::load;
use super::{folder, parse_in};

fn only_error(text: &str) -> String {
    let errors = parse_in(folder().path(), text).expect_err("is an error");
    assert_eq!(errors.errors().len(), 1, "{errors}");
    errors.to_string()
}

#[test]
fn deep_nesting() {
    assert_eq!(
        only_error(&"[".repeat(10_000)),
        "pipeline.yaml:1:256: nested deeper than 32 levels"
    );
    assert_eq!(
        only_error(&"{a: ".repeat(10_000)),
        "pipeline.yaml:1:1021: nested deeper than 32 levels"
    );
    assert_eq!(
        only_error(&"- ".repeat(10_000)),
        "pipeline.yaml:1:65: nested deeper than 32 levels"
    );
    let block: String = (0..10_000).map(|i| format!("{}a:\n", " ".repeat(i % 2_000))).collect();
    assert!(parse_in(folder().path(), &block).is_err());
}

#[test]
fn alias_bombs_and_long_files() {
    let mut bomb = "a: &a [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for (this, last) in [("b", "a"), ("c", "b"), ("d", "c"), ("e", "d"), ("f", "e")] {
        bomb += &format!("{this}: &{this} [{}]\n", vec![format!("*{last}"); 10].join(", "));
    }
    assert_eq!(only_error(&bomb), "pipeline.yaml:5:12: e[1]: more than 20000 values");
    assert_eq!(
        only_error("a: &a [*a]"),
        "pipeline.yaml:1:8: a[0]: an alias inside the value it stands for"
    );
    let long: String = (0..30_000).map(|i| format!("k{i}: 1\n")).collect();
    assert_eq!(
        only_error(&long),
        "pipeline.yaml:20000:9: k19999: more than 20000 values"
    );
}

#[test]
fn many_mistakes_are_counted() {
    let text: String = (0..150).map(|i| format!("k{i}: 1\n")).collect();
    let errors = parse_in(folder().path(), &text).expect_err("unknown keys");
    assert_eq!(errors.errors().len(), 153);
    let shown = errors.to_string();
    assert_eq!(shown.lines().count(), 101);
    assert!(shown.ends_with("\nand 53 more"), "{shown}");
}

#[test]
fn files_that_are_no_text() {
    let folder = folder();
    let path = folder.path().join("p.yaml");
    let shown = path.display();
    let error = |bytes: &[u8]| {
        std::fs::write(&path, bytes).expect("written");
        load(&path).expect_err("is an error").to_string()
    };
    assert_eq!(
        error(b"name: \xff\xfe\x00"),
        format!("{shown}: not UTF-8 text (at byte 6); a pipeline file is YAML text")
    );
    assert_eq!(
        error(&vec![b' '; (1 << 20) + 1]),
        format!("{shown}: larger than 1048576 bytes; a pipeline file is YAML text, not data")
    );
    assert_eq!(
        error(b""),
        format!("{shown}:1:1: the file is empty; a pipeline needs at least a name, sources and views")
    );
    let gone = load(&folder.path().join("gone.yaml")).expect_err("missing").to_string();
    assert!(
        gone.ends_with("gone.yaml: cannot read the pipeline file: No such file or directory (os error 2)"),
        "{gone}"
    );
    assert!(
        load(folder.path())
            .expect_err("a folder")
            .to_string()
            .contains("cannot read the pipeline file")
    );
    // Control characters are text to UTF-8, but not to YAML or to a terminal.
    assert!(
        !error(b"na\x00me: \x1b[31m\x07\n")
            .chars()
            .any(|c| c.is_control() && c != '\n')
    );
}

#[test]
fn a_byte_order_mark_and_windows_line_ends_are_fine() {
    let text =
        "\u{feff}name: a\r\nsources: {g: {type: generator}}\r\nviews:\r\n  v: {group_by: [], window: {tumble: 1s}}\r\n";
    assert!(parse_in(folder().path(), text).is_ok());
}

/// Random damage to a right file: any answer but a crash will do.
#[test]
fn damaged_files_never_panic() {
    let folder = folder();
    let whole: Vec<char> = include_str!("whole.yaml").chars().collect();
    parse_in(folder.path(), &whole.iter().collect::<String>()).expect("right before the damage");
    let odd: Vec<char> = "{}[]:-,&*!|>'\"%@`#?\t\n \\$\u{0}\u{feff}\u{2028}é<0~"
        .chars()
        .collect();
    let mut state = 1u64;
    let mut next = |n: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap_or(0) % n
    };
    for _ in 0..3_000 {
        let mut text = whole.clone();
        for _ in 0..=next(4) {
            let at = next(text.len());
            match next(4) {
                0 => text[at] = odd[next(odd.len())],
                1 => text.insert(at, odd[next(odd.len())]),
                2 => drop(text.remove(at)),
                _ => text.truncate(at.max(1)),
            }
        }
        if let Err(errors) = parse_in(folder.path(), &text.into_iter().collect::<String>()) {
            assert!(!errors.to_string().contains("fault of the program"), "{errors}");
        }
    }
}
