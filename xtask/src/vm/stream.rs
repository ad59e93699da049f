//! What comes from the guest's serial port: output, and markers within it.

/// Something that the guest's first process says.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// User space is up.
    Ready,
    /// A job began.
    Begin(String),
    /// Bytes that the current job wrote.
    Output(Vec<u8>),
    /// A job ended with this code.
    End(String, u8),
    /// Nothing more will come.
    Bye,
}

/// Splits the bytes at the markers, wherever reads happen to cut them.
pub struct Splitter {
    start: Vec<u8>,
    pending: Vec<u8>,
}

/// No marker is longer; a job's name is part of it.
const LONGEST_MARKER: usize = 512;
const SEPARATOR: u8 = 0x1e;

impl Splitter {
    /// A splitter for the markers of this nonce.
    pub fn new(nonce: &str) -> Self {
        Self {
            start: format!("\u{1e}{nonce} ").into_bytes(),
            pending: Vec::new(),
        }
    }

    /// Takes what was read, returns what is certain by now.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Event> {
        self.pending.extend_from_slice(bytes);
        let mut events = Vec::new();
        loop {
            let Some(start) = find(&self.pending, &self.start) else {
                let kept = self.possible_start();
                self.output(kept, &mut events);
                return events;
            };
            self.output(start, &mut events);
            let body = self.start.len();
            let Some(length) = self.pending[body..]
                .iter()
                .position(|byte| *byte == SEPARATOR)
            else {
                if self.pending.len() > LONGEST_MARKER {
                    self.output(body, &mut events);
                    continue;
                }
                return events;
            };
            let text = String::from_utf8_lossy(&self.pending[body..body + length]).into_owned();
            events.extend(parse(&text));
            self.pending.drain(..=body + length);
        }
    }

    /// Where a marker may begin that isn't complete yet.
    fn possible_start(&self) -> usize {
        let longest = self.start.len().min(self.pending.len());
        (0..=longest)
            .rev()
            .find(|length| self.pending.ends_with(&self.start[..*length]))
            .map_or(self.pending.len(), |length| self.pending.len() - length)
    }

    fn output(&mut self, length: usize, events: &mut Vec<Event>) {
        if length > 0 {
            events.push(Event::Output(self.pending.drain(..length).collect()));
        }
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack
        .windows(needle.len())
        .position(|window| window == needle)
}

fn parse(text: &str) -> Option<Event> {
    let words: Vec<&str> = text.split(' ').collect();
    match words.as_slice() {
        ["ready"] => Some(Event::Ready),
        ["begin", name] => Some(Event::Begin((*name).to_owned())),
        ["end", name, code] => Some(Event::End((*name).to_owned(), code.parse().ok()?)),
        ["bye"] => Some(Event::Bye),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &[u8] =
        b"\x1en0 ready\x1e\x1en0 begin a\x1eone\x1e\x00\xfftwo\x1en0 end a 3\x1e\x1en0 bye\x1e";

    #[test]
    fn markers_are_found_in_binary_output_however_it_is_cut() {
        for size in 1..STREAM.len() {
            let mut splitter = Splitter::new("n0");
            let mut output = Vec::new();
            let mut others = Vec::new();
            for chunk in STREAM.chunks(size) {
                for event in splitter.push(chunk) {
                    match event {
                        Event::Output(bytes) => output.extend(bytes),
                        event => others.push(event),
                    }
                }
            }
            assert_eq!(output, b"one\x1e\x00\xfftwo");
            assert_eq!(
                others,
                [
                    Event::Ready,
                    Event::Begin("a".into()),
                    Event::End("a".into(), 3),
                    Event::Bye
                ]
            );
        }
    }
}
