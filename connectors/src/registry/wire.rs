//! Confluent's wire format: a zero byte, the schema's id, for Protobuf the message's place in its file, the data.

/// The id of the schema and what follows it; `None` if the bytes are not framed.
pub(super) fn split(framed: &[u8]) -> Option<(u32, &[u8])> {
    let (id, data) = framed.strip_prefix(&[0])?.split_first_chunk()?;
    Some((u32::from_be_bytes(*id), data))
}

/// The first number in `data`, zigzag in base 128, and what follows; `None` if it is cut off or too long.
pub(super) fn number(data: &[u8]) -> Option<(i64, &[u8])> {
    let mut bits = 0_u64;
    for (i, byte) in data.iter().enumerate().take(10) {
        let part = u64::from(byte & 0x7f);
        // The tenth byte has room for one bit.
        if i == 9 && part > 1 {
            return None;
        }
        bits |= part << (7 * i);
        if byte & 0x80 == 0 {
            return Some(((bits >> 1).cast_signed() ^ -(bits & 1).cast_signed(), &data[i + 1..]));
        }
    }
    None
}

/// The way to a message in its file, by its number at each level, and the message's data.
pub(super) fn message_path(data: &[u8]) -> Option<(Vec<usize>, &[u8])> {
    let (levels, mut data) = number(data)?;
    if levels == 0 {
        // The first message, by far the most common, is written short.
        return Some((vec![0], data));
    }
    let mut path = Vec::new();
    for _ in 0..usize::try_from(levels).ok()? {
        let (index, rest) = number(data)?;
        path.push(usize::try_from(index).ok()?);
        data = rest;
    }
    Some((path, data))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_a_zero_and_an_id() {
        assert_eq!(split(&[0, 0, 0, 1, 2, 7]), Some((258, &[7][..])));
        assert_eq!(split(&[0, 255, 255, 255, 255]), Some((u32::MAX, &[][..])));
        assert_eq!(split(&[0, 0, 0, 1]), None);
        assert_eq!(split(b"{\"id\":1}"), None);
        assert_eq!(split(&[]), None);
    }

    #[test]
    fn numbers_are_zigzag_and_bounded() {
        for (bytes, expected) in [
            (&[0][..], 0),
            (&[1], -1),
            (&[2], 1),
            (&[0xac, 2], 150),
            (&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1], i64::MIN),
            (&[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1], i64::MAX),
        ] {
            assert_eq!(number(bytes), Some((expected, &[][..])), "{bytes:?}");
        }
        assert_eq!(number(&[0x80]), None);
        assert_eq!(number(&[]), None);
        assert_eq!(number(&[0xff; 11]), None);
        assert_eq!(number(&[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 2]), None);
    }

    #[test]
    fn a_message_is_found_by_its_place() {
        assert_eq!(message_path(&[0, 9]), Some((vec![0], &[9][..])));
        assert_eq!(message_path(&[2, 0, 9]), Some((vec![0], &[9][..])));
        assert_eq!(message_path(&[4, 2, 4, 9]), Some((vec![1, 2], &[9][..])));
        assert_eq!(message_path(&[4, 2]), None);
        assert_eq!(message_path(&[1, 0]), None);
        assert_eq!(message_path(&[0xff, 0xff, 0xff, 0xff, 0x7f, 0]), None);
    }
}
