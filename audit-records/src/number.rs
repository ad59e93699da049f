//! Numbers as audit records write them.

/// A decimal number of digits alone; nothing on overflow or any other byte.
#[inline]
pub(super) fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 20 {
        return None;
    }
    let mut value: u64 = 0;
    if digits.len() < 20 {
        // Cannot overflow.
        for &digit in digits {
            let step = digit.wrapping_sub(b'0');
            if step > 9 {
                return None;
            }
            value = value * 10 + u64::from(step);
        }
        return Some(value);
    }
    for &digit in digits {
        let step = digit.wrapping_sub(b'0');
        if step > 9 {
            return None;
        }
        value = value.checked_mul(10)?.checked_add(u64::from(step))?;
    }
    Some(value)
}

/// A decimal number that may be negative.
pub(super) fn signed(text: &[u8]) -> Option<i32> {
    let (digits, negative) = match text {
        [b'-', rest @ ..] => (rest, true),
        _ => (text, false),
    };
    let value = i64::try_from(decimal(digits)?).ok()?;
    i32::try_from(if negative { -value } else { value }).ok()
}

/// A hexadecimal number, with or without `0x`.
pub(super) fn hexadecimal(text: &[u8]) -> Option<u64> {
    let digits = text.strip_prefix(b"0x").unwrap_or(text);
    if digits.is_empty() || digits.len() > 16 {
        return None;
    }
    let mut value = 0;
    for &digit in digits {
        value = value << 4 | u64::from(nibble(digit)?);
    }
    Some(value)
}

/// The value of one hexadecimal digit, in either case.
pub(super) const fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

/// Takes the digits that `text` begins with: their value and what follows.
pub(super) fn leading(text: &[u8]) -> Option<(u64, &[u8])> {
    let end = text
        .iter()
        .position(|byte| !byte.is_ascii_digit())
        .unwrap_or(text.len());
    Some((decimal(&text[..end])?, &text[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits() {
        assert_eq!(decimal(b"18446744073709551615"), Some(u64::MAX));
        assert_eq!(decimal(b"18446744073709551616"), None);
        assert_eq!(decimal(b""), None);
        assert_eq!(decimal(b"+1"), None);
        assert_eq!(signed(b"-13"), Some(-13));
        assert_eq!(signed(b"-"), None);
        assert_eq!(signed(b"-2147483648"), Some(i32::MIN));
        assert_eq!(signed(b"2147483648"), None);
        assert_eq!(hexadecimal(b"0xffffffffffffffff"), Some(u64::MAX));
        assert_eq!(hexadecimal(b"c000003e"), Some(0xc000_003e));
        assert_eq!(hexadecimal(b"0x"), None);
        assert_eq!(leading(b"12ab"), Some((12, &b"ab"[..])));
        assert_eq!(leading(b"ab"), None);
    }
}
