//! Numbers as players read them: the digits at the front count, the rest is ignored.

pub(crate) fn integer(text: &[u8]) -> Option<u64> {
    let text = text.trim_ascii_start();
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    std::str::from_utf8(text.get(..digits)?).ok()?.parse().ok()
}

/// Never negative, never infinite: whoever adds durations up need not ask.
pub(crate) fn decimal(text: &[u8]) -> Option<f64> {
    let text = text.trim_ascii_start();
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit() || **byte == b'.').count();
    let value: f64 = std::str::from_utf8(text.get(..digits)?).ok()?.parse().ok()?;
    value.is_finite().then_some(value)
}

/// `1920x1080`.
pub(crate) fn pair(text: &[u8]) -> Option<(u32, u32)> {
    let cross = text.iter().position(|byte| matches!(byte, b'x' | b'X'))?;
    let (width, height) = (integer(text.get(..cross)?)?, integer(text.get(cross + 1..)?)?);
    Some((width.try_into().ok()?, height.try_into().ok()?))
}

/// `length[@offset]`.
pub(crate) fn byte_range(text: &[u8]) -> Option<(u64, Option<u64>)> {
    let length = integer(text)?;
    let offset = memchr::memchr(b'@', text).and_then(|at| integer(text.get(at + 1..)?));
    Some((length, offset))
}

/// The same of a map: from the start where nothing is said.
pub(crate) fn map_range(text: &[u8]) -> Option<(u64, u64)> {
    let (length, offset) = byte_range(text)?;
    Some((length, offset.unwrap_or(0)))
}

/// `0x…`, at most 128 bits of it.
pub(crate) fn hexadecimal(text: &[u8]) -> Option<u128> {
    let text = std::str::from_utf8(text.trim_ascii()).ok()?;
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"))?;
    u128::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_front_counts() {
        for (text, expected) in [
            ("12", Some(12)),
            (" 7\t", Some(7)),
            ("6.5", Some(6)),
            ("", None),
            ("-1", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(integer(text.as_bytes()), expected, "{text}");
        }
        for (text, expected) in [
            ("6.006,", Some(6.006)),
            ("6", Some(6.0)),
            ("0", Some(0.0)),
            (".5", Some(0.5)),
            ("1.2.3", None),
            ("-1", None),
            ("inf", None),
        ] {
            assert_eq!(decimal(text.as_bytes()), expected, "{text}");
        }
        assert_eq!(decimal("9".repeat(400).as_bytes()), None);
    }

    #[test]
    fn pairs_and_ranges() {
        assert_eq!(pair(b"1920x1080"), Some((1920, 1080)));
        assert_eq!(pair(b"1920"), None);
        assert_eq!(byte_range(b"100@20"), Some((100, Some(20))));
        assert_eq!(byte_range(b"100"), Some((100, None)));
        assert_eq!(byte_range(b"@5"), None);
        assert_eq!(hexadecimal(b"0x1F"), Some(31));
        assert_eq!(hexadecimal(b"1F"), None);
    }
}
