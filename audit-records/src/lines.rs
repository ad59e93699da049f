//! Lines of a log within bounded memory.

use std::io::{self, Read};

use memchr::{memchr, memchr_iter};

use super::MAX_LINE;

/// Room for one line of the greatest length and what a read brings beside it.
const BUFFER: usize = 2 * MAX_LINE;

/// A line, without its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// Its number, from 1.
    pub number: u64,
    /// Its bytes; of a line that is too long, the first [`MAX_LINE`] of them.
    pub bytes: &'a [u8],
    /// Whether it was longer than [`MAX_LINE`], the rest having been skipped.
    pub too_long: bool,
}

/// What became of a request for bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// Here they are.
    Bytes(Vec<u8>),
    /// More than [`MAX_LINE`]: they were skipped.
    TooMany,
    /// The input ended before.
    Ended,
}

/// Splits a stream into lines, never holding more than a fixed buffer: a line of
/// ten gigabytes is one line that is too long.
#[derive(Debug)]
pub struct Lines<R> {
    input: R,
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    /// Lines handed out so far.
    number: u64,
    /// Bytes taken from `input` so far.
    offset: u64,
    finished: bool,
    /// An error that came while there were still lines to hand out.
    error: Option<io::Error>,
    held: Vec<u8>,
    /// Where the last line is in the buffer; none where it was too long and
    /// is in `held`.
    last: Option<(usize, usize)>,
    last_too_long: bool,
}

impl<R: Read> Lines<R> {
    /// Over `input`, which needs no separate buffer.
    pub fn new(input: R) -> Self {
        Self {
            input,
            buffer: vec![0; BUFFER].into_boxed_slice(),
            start: 0,
            end: 0,
            number: 0,
            offset: 0,
            finished: false,
            error: None,
            held: Vec::new(),
            last: None,
            last_too_long: false,
        }
    }

    /// The number of the last line handed out.
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// Bytes read from the input so far (decompressed ones, where it was).
    pub const fn offset(&self) -> u64 {
        self.offset
    }

    /// The input.
    pub const fn get_ref(&self) -> &R {
        &self.input
    }

    /// The next line. What was read before an error is handed out first, a last
    /// line without an end too.
    ///
    /// # Errors
    /// The input's own, once all lines before it are handed out.
    pub fn next_line(&mut self) -> io::Result<Option<Line<'_>>> {
        let mut searched = 0;
        loop {
            let window = &self.buffer[self.start..self.end];
            if let Some(found) = memchr(b'\n', &window[searched..]) {
                let length = searched + found;
                if length > MAX_LINE {
                    return Ok(Some(self.take_line(MAX_LINE, length + 1, true)));
                }
                return Ok(Some(self.take_line(length, length + 1, false)));
            }
            searched = window.len();
            if searched > MAX_LINE {
                return Ok(Some(self.too_long()));
            }
            if !self.fill() {
                if searched == 0 {
                    return self.end_of_input();
                }
                return Ok(Some(self.take_line(searched, searched, false)));
            }
        }
    }

    /// The last line handed out again, until the next one is asked for.
    pub(super) fn last_line(&self) -> Line<'_> {
        Line {
            number: self.number,
            bytes: match self.last {
                Some((start, end)) => &self.buffer[start..end],
                None => &self.held,
            },
            too_long: self.last_too_long,
        }
    }

    /// Whether the next line begins with `head`; nothing at the end.
    ///
    /// # Errors
    /// The input's own, where no line is left before it.
    pub(super) fn peek_starts_with(&mut self, head: &[u8]) -> io::Result<Option<bool>> {
        loop {
            let window = &self.buffer[self.start..self.end];
            let known = window.len().min(head.len());
            if !window.is_empty() && (known == head.len() || window[..known] != head[..known]) {
                return Ok(Some(window.starts_with(head)));
            }
            if !self.fill() {
                return match (self.has_buffered(), self.error.take()) {
                    (true, error) => {
                        self.error = error;
                        Ok(Some(false))
                    }
                    (false, Some(error)) => Err(error),
                    (false, None) => Ok(None),
                };
            }
        }
    }

    /// The next `length` bytes whatever they are, counting the line ends among
    /// them.
    pub(super) fn take_bytes(&mut self, length: u64) -> Taken {
        let mut wanted = length;
        let mut taken = Vec::new();
        while wanted > 0 {
            if self.start == self.end && !self.fill() {
                return Taken::Ended;
            }
            let available = self.end - self.start;
            let step = usize::try_from(wanted).map_or(available, |rest| rest.min(available));
            let part = &self.buffer[self.start..self.start + step];
            self.number += memchr_iter(b'\n', part).count() as u64;
            if length <= MAX_LINE as u64 {
                taken.extend_from_slice(part);
            }
            self.start += step;
            wanted -= step as u64;
        }
        if length <= MAX_LINE as u64 {
            Taken::Bytes(taken)
        } else {
            Taken::TooMany
        }
    }

    /// Whether the next byte is at hand, so asking for a line waits for no
    /// input.
    pub const fn has_buffered(&self) -> bool {
        self.start < self.end
    }

    fn take_line(&mut self, length: usize, consumed: usize, too_long: bool) -> Line<'_> {
        let begin = self.start;
        self.start += consumed;
        self.number += 1;
        self.last = Some((begin, begin + length));
        self.last_too_long = too_long;
        self.last_line()
    }

    /// Keeps the beginning of a line and skips to its end.
    fn too_long(&mut self) -> Line<'_> {
        self.held.clear();
        self.held
            .extend_from_slice(&self.buffer[self.start..self.start + MAX_LINE]);
        loop {
            if let Some(found) = memchr(b'\n', &self.buffer[self.start..self.end]) {
                self.start += found + 1;
                break;
            }
            self.start = self.end;
            if !self.fill() {
                break;
            }
        }
        self.number += 1;
        self.last = None;
        self.last_too_long = true;
        self.last_line()
    }

    /// Reads on; false at the end, or where an error waits for its turn.
    fn fill(&mut self) -> bool {
        if self.finished {
            return false;
        }
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        loop {
            match self.input.read(&mut self.buffer[self.end..]) {
                Ok(0) => {
                    self.finished = true;
                    return false;
                }
                Ok(count) => {
                    self.end += count;
                    self.offset += count as u64;
                    return true;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.finished = true;
                    self.error = Some(error);
                    return false;
                }
            }
        }
    }

    fn end_of_input(&mut self) -> io::Result<Option<Line<'_>>> {
        match self.error.take() {
            Some(error) => Err(error),
            None => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(input: impl Read) -> (Vec<(u64, usize, bool)>, Option<io::Error>) {
        let mut lines = Lines::new(input);
        let mut found = Vec::new();
        loop {
            match lines.next_line() {
                Ok(Some(line)) => found.push((line.number, line.bytes.len(), line.too_long)),
                Ok(None) => return (found, None),
                Err(error) => return (found, Some(error)),
            }
        }
    }

    #[test]
    fn lines_with_and_without_an_end() {
        let (found, error) = all(&b"one\n\nthree"[..]);
        assert_eq!(found, [(1, 3, false), (2, 0, false), (3, 5, false)]);
        assert!(error.is_none());
        assert!(all(&b""[..]).0.is_empty());
    }

    #[test]
    fn a_line_without_end_is_one_line_and_takes_no_memory() {
        let endless = io::repeat(b'x').take(64 << 20).chain(&b"\nnext\n"[..]);
        let (found, _) = all(endless);
        assert_eq!(found, [(1, MAX_LINE, true), (2, 4, false)]);
    }

    #[test]
    fn the_longest_line_is_whole_and_one_longer_is_not_however_they_are_read() {
        /// Reads a few bytes at a time, so the end of the line comes late.
        struct Slow<R>(R);
        impl<R: Read> Read for Slow<R> {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                let room = buffer.len().min(4096);
                self.0.read(&mut buffer[..room])
            }
        }
        let of = |length: usize| [vec![b'x'; length], b"\n".to_vec()].concat();
        for (length, too_long) in [
            (MAX_LINE - 1, false),
            (MAX_LINE, false),
            (MAX_LINE + 1, true),
        ] {
            let wanted = [(1, length.min(MAX_LINE), too_long)];
            assert_eq!(all(&of(length)[..]).0, wanted);
            assert_eq!(all(Slow(&of(length)[..])).0, wanted);
        }
    }

    #[test]
    fn what_was_read_before_an_error_is_handed_out_first() {
        struct Fails;
        impl Read for Fails {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("gone"))
            }
        }
        let (found, error) = all((&b"one\ntw"[..]).chain(Fails));
        assert_eq!(found, [(1, 3, false), (2, 2, false)]);
        assert_eq!(error.map(|e| e.to_string()).as_deref(), Some("gone"));
    }

    #[test]
    fn bytes_count_their_line_ends() {
        let mut lines = Lines::new(&b"a\nb\nc\nd\n"[..]);
        assert_eq!(lines.take_bytes(5), Taken::Bytes(b"a\nb\nc".to_vec()));
        assert_eq!(lines.number(), 2);
        assert_eq!(lines.take_bytes(u64::MAX), Taken::Ended);
    }
}
