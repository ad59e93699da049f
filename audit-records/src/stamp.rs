//! The head of a record: `audit(1795458347.188:2):`.

use super::epoch::Epoch;
use super::number::{decimal, leading};
use super::outcome::Malformed;

/// When, and which event since boot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) epoch: Option<Epoch>,
    pub(super) serial: Option<u64>,
    /// Whether the time was a printed date (`ausearch -i`), whose zone is not
    /// reported: it is then read as UTC.
    pub(super) interpreted: bool,
}

/// Reads what follows `audit(`; gives the stamp and the body after `):`.
pub(super) fn parse(after_paren: &[u8]) -> Result<(Stamp, &[u8]), Malformed> {
    match numeric(after_paren) {
        Some(found) => Ok(found),
        None => printed(after_paren)
            .or_else(|| elided(after_paren))
            .ok_or(Malformed::BadStamp),
    }
}

/// A stamp that somebody left out or took the dot from: the record stays, its
/// time is not known. A stamp that is merely cut is none of these.
fn elided(text: &[u8]) -> Option<(Stamp, &[u8])> {
    let close = memchr::memchr(b')', text.get(..48).unwrap_or(text))?;
    let inside = &text[..close];
    let body = body(&text[close + 1..])?;
    let (time, serial) = match memchr::memrchr(b':', inside) {
        Some(colon) => (&inside[..colon], decimal(&inside[colon + 1..])),
        None => (inside, None),
    };
    // 1474720530785: ten digits of seconds and three of a second, or so.
    let is_run = time.len() >= 10 && time.iter().all(u8::is_ascii_digit);
    let is_masked = memchr::memmem::find(time, b"..").is_some()
        || memchr::memmem::find(time, "\u{2026}".as_bytes()).is_some()
        || time
            .iter()
            .any(|byte| matches!(byte, b'x' | b'X' | b'*' | b'#' | b'?' | b'<' | b'_'))
        || time
            .iter()
            .all(|byte| !byte.is_ascii_digit() && *byte != b'.');
    (is_run && serial.is_some() || is_masked).then_some((
        Stamp {
            epoch: None,
            serial,
            interpreted: false,
        },
        body,
    ))
}

fn numeric(text: &[u8]) -> Option<(Stamp, &[u8])> {
    let (seconds, rest) = leading(text)?;
    let (millis, rest) = fraction(rest.strip_prefix(b".")?)?;
    let (serial, rest) = leading(rest.strip_prefix(b":")?)?;
    let body = body(rest.strip_prefix(b")")?)?;
    let stamp = Stamp {
        epoch: Some(Epoch::from_parts(seconds, millis)?),
        serial: Some(serial),
        interpreted: false,
    };
    Some((stamp, body))
}

/// The first three of any number of decimals.
fn fraction(text: &[u8]) -> Option<(u64, &[u8])> {
    let end = text
        .iter()
        .position(|byte| !byte.is_ascii_digit())
        .unwrap_or(text.len());
    let digits = &text[..end];
    let millis = match *digits {
        [] => return None,
        [a] => decimal(&[a])? * 100,
        [a, b] => decimal(&[a, b])? * 10,
        [a, b, c, ..] => decimal(&[a, b, c])?,
    };
    Some((millis, &text[end..]))
}

/// What follows the colon; the kernel writes `): `, `ausearch -i` ` ) : `.
fn body(after_paren: &[u8]) -> Option<&[u8]> {
    Some(
        after_paren
            .trim_ascii_start()
            .strip_prefix(b":")?
            .trim_ascii_start(),
    )
}

/// A date as the C library's `%x %T` prints it, in the locales that logs are
/// commonly read in: `11/24/2026`, `11/24/26`, `2026-11-24`, `24.11.2026`.
fn printed(text: &[u8]) -> Option<(Stamp, &[u8])> {
    let close = memchr::memchr(b')', text.get(..48).unwrap_or(text))?;
    let inside = &text[..close];
    let space = memchr::memchr(b' ', inside)?;
    let (year, month, day) = date(&inside[..space])?;

    let (hour, rest) = leading(&inside[space + 1..])?;
    let (minute, rest) = leading(rest.strip_prefix(b":")?)?;
    let (second, rest) = leading(rest.strip_prefix(b":")?)?;
    let (millis, rest) = fraction(rest.strip_prefix(b".")?)?;
    let serial = decimal(rest.strip_prefix(b":")?)?;
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let seconds = days(year, month, day)? * 86_400 + hour * 3600 + minute * 60 + second;
    let stamp = Stamp {
        epoch: Some(Epoch::from_parts(seconds, millis)?),
        serial: Some(serial),
        interpreted: true,
    };
    Some((stamp, body(&text[close + 1..])?))
}

/// Year, month and day, whatever their order.
fn date(text: &[u8]) -> Option<(u64, u64, u64)> {
    let separator = *text
        .iter()
        .find(|byte| matches!(byte, b'/' | b'-' | b'.'))?;
    let mut parts = text.split(|&byte| byte == separator);
    let first = decimal(parts.next()?)?;
    let second = decimal(parts.next()?)?;
    let third = decimal(parts.next()?)?;
    if parts.next().is_some() {
        return None;
    }
    let full_year = |year: u64| if year < 100 { year + 2000 } else { year };
    let (year, month, day) = match separator {
        b'-' => (first, second, third),
        b'.' => (full_year(third), second, first),
        // Month first is American and the C locale's; British day-first dates
        // show themselves by a month beyond 12.
        _ if first > 12 => (full_year(third), second, first),
        _ => (full_year(third), first, second),
    };
    let plausible =
        (1970..=9999).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day);
    plausible.then_some((year, month, day))
}

/// Days from 1970-01-01 in the Gregorian calendar (counting years from March,
/// so the leap day comes last).
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    let (shifted_year, shifted_month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let leap_days = shifted_year / 4 - shifted_year / 100 + shifted_year / 400;
    let day_of_year = (153 * shifted_month + 2) / 5 + day - 1;
    (shifted_year * 365 + leap_days + day_of_year).checked_sub(719_468)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(text: &[u8]) -> Option<(u64, u64, bool, &[u8])> {
        let (stamp, body) = parse(text).ok()?;
        Some((
            stamp.epoch?.millis(),
            stamp.serial?,
            stamp.interpreted,
            body,
        ))
    }

    #[test]
    fn numeric_stamps() {
        assert_eq!(
            millis(b"1795458347.188:2): apparmor=\"DENIED\""),
            Some((1_795_458_347_188, 2, false, &b"apparmor=\"DENIED\""[..])),
        );
        assert_eq!(
            millis(b"0000000000.000:0000):  x"),
            Some((0, 0, false, &b"x"[..]))
        );
        assert_eq!(
            millis(b"1.5:4294967295):x"),
            Some((1500, 4_294_967_295, false, &b"x"[..]))
        );
        assert_eq!(millis(b"1.123456:9): x"), Some((1123, 9, false, &b"x"[..])));
    }

    #[test]
    fn printed_stamps() {
        // date -u -d @1795460747
        for head in [
            "11/23/2026",
            "11/23/26",
            "2026-11-23",
            "23.11.2026",
            "23/11/2026",
        ] {
            let text = format!("{head} 19:05:47.188:2) : x");
            assert_eq!(
                millis(text.as_bytes()),
                Some((1_795_460_747_188, 2, true, &b"x"[..])),
                "{head}"
            );
        }
        assert_eq!(days(1970, 1, 1), Some(0));
        assert_eq!(days(2000, 2, 29), Some(11_016));
        assert_eq!(days(2000, 3, 1), Some(11_017));
    }

    #[test]
    fn elided_stamps_leave_the_record() {
        for (text, serial) in [
            ("1474720530785:35364): x", Some(35_364)),
            ("...): x", None),
            ("...:12): x", Some(12)),
            ("14747XXXXX.XXX:12): x", Some(12)),
            ("<stamp>): x", None),
            ("): x", None),
        ] {
            let wanted = Stamp {
                epoch: None,
                serial,
                interpreted: false,
            };
            assert_eq!(parse(text.as_bytes()), Ok((wanted, &b"x"[..])), "{text}");
        }
    }

    #[test]
    fn broken_stamps() {
        for text in [
            "",
            "1795458347",
            "1.2",
            "1.2:3",
            "1.2:3)",
            ".1:2): x",
            "1.:2): x",
            "1.1:): x",
            "-1.1:1): x",
            "99999999999999999999.1:1): x",
            "99999999999999999.1:1): x",
            "13/13/2026 1:1:1.1:1) : x",
            "11/24/2026 25:00:00.1:1) : x",
            "11/24/2026 : x",
            "1.1:99999999999999999999): x",
            "123456789:1): x",
        ] {
            assert_eq!(parse(text.as_bytes()), Err(Malformed::BadStamp), "{text}");
        }
    }
}
