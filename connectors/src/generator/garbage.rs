//! Broken records, as they come from real producers.

use super::dice::Dice;

/// One of the ways a record can be broken; none of them decodes.
pub(super) fn record(dice: &mut Dice, number: u64) -> Vec<u8> {
    let good =
        format!(r#"{{"id":"g{number}","source":"twitter","text":"garbage","created_at":1767225600000,"version":1}}"#);
    match dice.below(14) {
        0 => good.as_bytes()[..good.len() / 2].to_vec(),
        1 => b"\xc3\x28 not utf-8 \xff".to_vec(),
        2 => good.replace("1767225600000", "1767225600").into_bytes(),
        3 => good.replace("1767225600000", "NaN").into_bytes(),
        4 => good.replace("1767225600000", "-86400000").into_bytes(),
        5 => good.replace("1767225600000", "\"last tuesday\"").into_bytes(),
        6 => good.replace("\"text\":\"garbage\",", "").into_bytes(),
        7 => good.replace("\"garbage\"", "42").into_bytes(),
        8 => good.replace(&format!("g{number}"), &"x".repeat(10_000)).into_bytes(),
        9 => good.replace(&format!("g{number}"), "").into_bytes(),
        10 => format!(
            "{{\"id\":\"g{number}\",\"deep\":{}{}}}",
            "[".repeat(500),
            "]".repeat(500)
        )
        .into_bytes(),
        11 => b"<html><body>502 Bad Gateway</body></html>".to_vec(),
        12 => format!("[{good}]").into_bytes(),
        _ => good.replace("1}", "1,\"score\":1e999}").into_bytes(),
    }
}
