//! Lines as people copy them: out of terminals, mails, web pages, spreadsheets
//! and other programs' strings.
//!
//! Nothing here is on the way of a line that reads as it is; what is repaired is
//! parsed again, and believed no more than the line itself would be.

use memchr::memmem;

use super::fields::{ENRICHMENT, is_known};

/// A text may have been escaped that often over.
const PASSES: usize = 3;

/// The code of a character, and the character.
const WRITTEN: [(&[u8], &[u8]); 28] = [
    // Typographic quotes, spaces, and characters that are not there.
    ("\u{201c}".as_bytes(), b"\""),
    ("\u{201d}".as_bytes(), b"\""),
    ("\u{201e}".as_bytes(), b"\""),
    ("\u{201f}".as_bytes(), b"\""),
    ("\u{2033}".as_bytes(), b"\""),
    ("\u{ab}".as_bytes(), b"\""),
    ("\u{bb}".as_bytes(), b"\""),
    ("\u{ff02}".as_bytes(), b"\""),
    ("\u{2018}".as_bytes(), b"'"),
    ("\u{2019}".as_bytes(), b"'"),
    ("\u{201a}".as_bytes(), b"'"),
    ("\u{a0}".as_bytes(), b" "),
    ("\u{202f}".as_bytes(), b" "),
    ("\u{200b}".as_bytes(), b""),
    ("\u{feff}".as_bytes(), b""),
    // HTML.
    (b"&quot;", b"\""),
    (b"&#34;", b"\""),
    (b"&#034;", b"\""),
    (b"&#x22;", b"\""),
    (b"&ldquo;", b"\""),
    (b"&rdquo;", b"\""),
    (b"&apos;", b"'"),
    (b"&#39;", b"'"),
    (b"&#x27;", b"'"),
    (b"&nbsp;", b" "),
    (b"&lt;", b"<"),
    (b"&gt;", b">"),
    (b"&amp;", b"&"),
];

/// How loggers and terminals write auditd's separator (rsyslog's `#035` is octal).
const SEPARATORS: [&[u8]; 6] = [b"#035", b"^]", b"\\x1d", b"\\x1D", b"\\035", b"\\u001d"];

/// How they write the escape that colours begin with.
const ESCAPES: [&[u8]; 6] = [b"\x1b", b"#033", b"^[", b"\\x1b", b"\\033", b"\\u001b"];

/// Elements that a page puts around a line or within it.
const ELEMENTS: [&[u8]; 20] = [
    b"a", b"b", b"br", b"code", b"div", b"em", b"font", b"i", b"kbd", b"li", b"mark", b"p", b"pre",
    b"samp", b"span", b"strong", b"td", b"tr", b"tt", b"u",
];

/// The line without what was put around and into it; nothing where that is
/// nothing.
pub(super) fn mended(line: &[u8]) -> Option<Vec<u8>> {
    let mut text = line.to_vec();
    for _ in 0..PASSES {
        let next = characters(&text);
        if next == text {
            break;
        }
        text = next;
    }
    let text = quotes(text);
    let text = separators(ends(&text));
    (text != line).then_some(text)
}

/// The start of a line's own text: behind marks of quotation, of lists and of a
/// shell's prompt, and behind the name of the field that holds it.
fn ends(text: &[u8]) -> Vec<u8> {
    let mut text = text.trim_ascii();
    while let [
        b'>' | b'|' | b'*' | b'-' | b'+' | b'`' | b'"' | b'\'' | b',' | b'(' | b'[',
        rest @ ..,
    ] = text
    {
        // `[  12.3]` and `"key": "value"` begin so too.
        if text[0] == b'[' && !rest.starts_with(b"[") || after_key(text).is_some() {
            break;
        }
        text = rest.trim_ascii_start();
    }
    if let Some(value) = after_key(text) {
        text = value;
    }
    if let Some(at) = memmem::rfind(text, b"Time(s)").filter(|at| at + 7 == text.len()) {
        // logwatch: `…: 3 Time(s)`.
        let count = text[..at].trim_ascii_end();
        let digits = count.iter().rev().take_while(|byte| byte.is_ascii_digit());
        let rest = count[..count.len() - digits.count()].trim_ascii_end();
        text = rest.strip_suffix(b":").unwrap_or(rest);
    }
    loop {
        text = text.trim_ascii_end();
        match text {
            [
                rest @ ..,
                b'`' | b'\'' | b'|' | b',' | b';' | b')' | b']' | b'}' | b'*' | b'>' | b'\\',
            ] => {
                text = rest;
            }
            // The end of a string around the line.
            [rest @ .., b'"'] if quotes_in(text) % 2 == 1 => text = rest,
            _ => return text.to_vec(),
        }
    }
}

fn quotes_in(text: &[u8]) -> usize {
    memchr::memchr_iter(b'"', text).count()
}

/// What follows `key: "`, `"key": "` or `key="` at the very beginning, where key
/// is no field of a record. A program's tag comes after a time, never there.
fn after_key(text: &[u8]) -> Option<&[u8]> {
    let bare = text.strip_prefix(b"\"").unwrap_or(text);
    let end = bare
        .iter()
        .position(|byte| !byte.is_ascii_alphanumeric() && !b"_.@-".contains(byte))?;
    let (key, rest) = bare.split_at(end);
    if key.is_empty() || is_known(key) {
        return None;
    }
    let rest = rest.strip_prefix(b"\"").unwrap_or(rest).trim_ascii_start();
    let rest = rest
        .strip_prefix(b":")
        .or_else(|| rest.strip_prefix(b"="))?;
    let rest = rest.trim_ascii_start();
    let value = rest
        .strip_prefix(b"\"")
        .or_else(|| rest.strip_prefix(b"'"))?;
    Some(value)
}

/// Colours, elements, entities and typographic characters.
fn characters(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    // Only where the text's own quotes are escaped.
    let escaped = memmem::find(text, b"=\\\"").is_some();
    while let Some((&first, after)) = rest.split_first() {
        if let Some(behind) = colour(rest).or_else(|| element(rest)) {
            rest = behind;
        } else if let Some(behind) = separator(rest) {
            plain.push(ENRICHMENT);
            rest = behind;
        } else if let Some((written, meant)) = WRITTEN.iter().find(|one| rest.starts_with(one.0)) {
            plain.extend_from_slice(meant);
            rest = &rest[written.len()..];
        } else if escaped && let [b'\\', next @ (b'"' | b'\\' | b'/'), behind @ ..] = rest {
            plain.push(*next);
            rest = behind;
        } else {
            plain.push(first);
            rest = after;
        }
    }
    plain
}

/// What follows a terminal's colour.
fn colour(text: &[u8]) -> Option<&[u8]> {
    let escape = ESCAPES.iter().find(|escape| text.starts_with(escape))?;
    let inside = text[escape.len()..].strip_prefix(b"[")?;
    let end = inside
        .iter()
        .position(|byte| !byte.is_ascii_digit() && !b";?:".contains(byte))?;
    inside[end]
        .is_ascii_alphabetic()
        .then(|| &inside[end + 1..])
}

/// What follows an element's tag.
fn element(text: &[u8]) -> Option<&[u8]> {
    let inside = text.strip_prefix(b"<")?;
    let inside = inside.strip_prefix(b"/").unwrap_or(inside);
    let name = inside
        .iter()
        .position(|byte| !byte.is_ascii_alphanumeric())?;
    if !ELEMENTS.contains(&&inside[..name]) || !matches!(inside[name], b'>' | b' ' | b'/') {
        return None;
    }
    let end = memchr::memchr(b'>', inside)?;
    Some(&inside[end + 1..])
}

/// What follows auditd's separator, which comes before a name in capitals.
fn separator(text: &[u8]) -> Option<&[u8]> {
    let written = SEPARATORS.iter().find(|one| text.starts_with(one))?;
    let behind = &text[written.len()..];
    behind
        .first()
        .is_some_and(u8::is_ascii_uppercase)
        .then_some(behind)
}

/// Quotes that are doubled (a table's cell) or single.
fn quotes(text: Vec<u8>) -> Vec<u8> {
    if memmem::find(&text, b"apparmor=\"\"").is_some()
        || memmem::find(&text, b"comm=\"\"").is_some()
    {
        let mut plain = Vec::with_capacity(text.len());
        let mut rest = &text[..];
        while let Some((&first, after)) = rest.split_first() {
            plain.push(first);
            rest = after
                .strip_prefix(b"\"")
                .filter(|_| first == b'"')
                .unwrap_or(after);
        }
        return plain;
    }
    if memmem::find(&text, b"apparmor='").is_some() || memmem::find(&text, b"comm='").is_some() {
        return text
            .into_iter()
            .map(|byte| if byte == b'\'' { b'"' } else { byte })
            .collect();
    }
    text
}

/// Puts auditd's separator where it was lost: `code=0x50000ARCH=x86_64 …`.
fn separators(text: Vec<u8>) -> Vec<u8> {
    const FIRST: [&[u8]; 4] = [b"ARCH=", b"SAUID=", b"AUID=", b"UID="];
    if memchr::memchr(ENRICHMENT, &text).is_some() {
        return text;
    }
    let found = FIRST
        .iter()
        .filter_map(|name| memmem::find(&text, name))
        .min();
    match found {
        Some(at)
            if at > 0
                && (text[at - 1].is_ascii_alphanumeric() && !text[at - 1].is_ascii_uppercase()) =>
        {
            let mut parted = text[..at].to_vec();
            parted.push(ENRICHMENT);
            parted.extend_from_slice(&text[at..]);
            parted
        }
        _ => text,
    }
}

/// The parts of an event that is on one line
/// (`type=PROCTITLE msg=audit(…) : … type=AVC msg=audit(…) : …`): only those
/// whose stamp is the first one's, since a value may hold the text of a head.
pub(super) fn parts(line: &[u8]) -> Option<Vec<&[u8]>> {
    const HEAD: &[u8] = b"msg=audit(";
    let first = memmem::find(line, HEAD)? + HEAD.len();
    let length = memchr::memchr(b')', line.get(first..)?)?;
    let stamp = &line[first..=first + length];
    let mut starts = Vec::new();
    for at in memmem::find_iter(line, b" type=") {
        let name = &line[at + b" type=".len()..];
        let Some(end) = memchr::memchr(b' ', name) else {
            break;
        };
        let same = name[end + 1..]
            .strip_prefix(HEAD)
            .is_some_and(|rest| rest.starts_with(stamp));
        if same {
            starts.push(at + 1);
        }
    }
    let begin = memmem::rfind(&line[..first], b"type=")?;
    starts.retain(|at| *at > begin);
    if starts.is_empty() {
        return None;
    }
    let mut parts = Vec::with_capacity(starts.len() + 1);
    let mut from = 0;
    for at in starts {
        parts.push(line[from..at].trim_ascii_end());
        from = at;
    }
    parts.push(&line[from..]);
    Some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(line: &str) -> String {
        mended(line.as_bytes()).map_or(String::new(), |found| {
            String::from_utf8_lossy(&found).into_owned()
        })
    }

    const PLAIN: &str = r#"audit: type=1400 audit(1.1:1): apparmor="DENIED" comm="c" capname="x""#;

    #[test]
    fn what_was_put_around_a_line_is_taken_off() {
        for (around, name) in [
            (format!("`{PLAIN}`"), "back-ticks"),
            (format!("> > {PLAIN}"), "a mail's quotation"),
            (format!("<code>{PLAIN}</code><br/>"), "elements"),
            (format!("{PLAIN}: 3 Time(s)"), "logwatch"),
            (format!("\u{1b}[33m{PLAIN}\u{1b}[0m"), "colours"),
            (format!("#033[33m{PLAIN}#033[0m"), "colours by rsyslog"),
            (PLAIN.replace('"', "\u{201d}"), "typographic quotes"),
            (PLAIN.replace('"', "&quot;"), "entities"),
            (PLAIN.replace('"', "&amp;quot;"), "entities twice"),
            (
                format!("\"{}\"", PLAIN.replace('"', "\"\"")),
                "a table's cell",
            ),
            (format!("text: \"{}\"", PLAIN.replace('"', "\\\"")), "YAML"),
            (
                format!("\"msg\": \"{}\",", PLAIN.replace('"', "\\\"")),
                "JSON's field",
            ),
            (format!("log='{PLAIN}'"), "a shell's variable"),
        ] {
            assert_eq!(text(&around), PLAIN, "{name}");
        }
        assert_eq!(mended(PLAIN.as_bytes()), None);
    }

    #[test]
    fn the_separator_in_every_spelling_and_in_none() {
        for separator in ["#035", "^]", "\\x1d", ""] {
            let line = format!("code=0x50000{separator}ARCH=x86_64 SYSCALL=prctl");
            assert_eq!(text(&line), "code=0x50000\u{1d}ARCH=x86_64 SYSCALL=prctl");
        }
    }

    #[test]
    fn an_event_on_one_line_is_parted_by_its_own_stamp_alone() {
        let line = b"type=A msg=audit(1.1:1): x=1 type=B msg=audit(1.1:1): y=2 type=C msg=audit(1.1:2): z=3";
        let found = parts(line).expect("two parts");
        assert_eq!(found.len(), 2);
        assert!(found[1].starts_with(b"type=B") && found[1].ends_with(b"z=3"));
        assert_eq!(parts(b"type=A msg=audit(1.1:1): x=1"), None);
    }
}
