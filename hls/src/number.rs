//! Numbers as players parse them: the leading digits count and the rest is ignored.

pub(crate) fn parse_integer(text: &[u8]) -> Option<u64> {
    let text = text.trim_ascii_start();
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    std::str::from_utf8(text.get(..digits)?).ok()?.parse().ok()
}

/// Parses a decimal number. The result is never negative or infinite, so that sums of durations
/// need no check.
pub(crate) fn parse_decimal(text: &[u8]) -> Option<f64> {
    let text = text.trim_ascii_start();
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit() || **byte == b'.').count();
    let value: f64 = std::str::from_utf8(text.get(..digits)?).ok()?.parse().ok()?;
    value.is_finite().then_some(value)
}

/// `1920x1080`.
pub(crate) fn parse_resolution(text: &[u8]) -> Option<(u32, u32)> {
    let separator = text.iter().position(|byte| matches!(byte, b'x' | b'X'))?;
    let (width, height) =
        (parse_integer(text.get(..separator)?)?, parse_integer(text.get(separator + 1..)?)?);
    Some((width.try_into().ok()?, height.try_into().ok()?))
}

/// `length[@offset]`.
pub(crate) fn parse_byte_range(text: &[u8]) -> Option<(u64, Option<u64>)> {
    let length = parse_integer(text)?;
    let offset = memchr::memchr(b'@', text).and_then(|at| parse_integer(text.get(at + 1..)?));
    Some((length, offset))
}

/// Parses `0x…` of at most 128 bits.
pub(crate) fn parse_hexadecimal(text: &[u8]) -> Option<u128> {
    let text = std::str::from_utf8(text.trim_ascii()).ok()?;
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"))?;
    u128::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leading_digits_are_parsed() {
        for (text, expected) in [
            ("12", Some(12)),
            (" 7\t", Some(7)),
            ("6.5", Some(6)),
            ("", None),
            ("-1", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(parse_integer(text.as_bytes()), expected, "{text}");
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
            assert_eq!(parse_decimal(text.as_bytes()), expected, "{text}");
        }
        assert_eq!(parse_decimal("9".repeat(400).as_bytes()), None);
    }

    #[test]
    fn pairs_and_ranges() {
        assert_eq!(parse_resolution(b"1920x1080"), Some((1920, 1080)));
        assert_eq!(parse_resolution(b"1920"), None);
        assert_eq!(parse_byte_range(b"100@20"), Some((100, Some(20))));
        assert_eq!(parse_byte_range(b"100"), Some((100, None)));
        assert_eq!(parse_byte_range(b"@5"), None);
        assert_eq!(parse_hexadecimal(b"0x1F"), Some(31));
        assert_eq!(parse_hexadecimal(b"1F"), None);
    }
}
