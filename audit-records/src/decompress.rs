//! Logs that logrotate has compressed are read as they are.

use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::StreamingDecoder;

/// How an input is compressed, by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip (RFC 1952).
    Gzip,
    /// Zstandard (RFC 8878).
    Zstd,
}

impl Compression {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "uncompressed",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }
}

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// What `input` holds once decompressed, and how it was compressed.
///
/// # Errors
/// Those of the first read.
pub fn decompressed<'a>(
    mut input: impl Read + Send + 'a,
) -> io::Result<(Compression, Box<dyn Read + Send + 'a>)> {
    let mut head = [0; 4];
    let mut length = 0;
    while length < head.len() {
        match input.read(&mut head[length..]) {
            Ok(0) => break,
            Ok(count) => length += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        // A slow pipe's first bytes are enough to know that they are text.
        if !GZIP_MAGIC.starts_with(&head[..length.min(2)])
            && !ZSTD_MAGIC.starts_with(&head[..length])
        {
            break;
        }
        if head.starts_with(&GZIP_MAGIC) {
            break;
        }
    }
    let whole = io::Cursor::new(head).take(length as u64).chain(input);
    let head = &head[..length];
    Ok(if head.starts_with(&GZIP_MAGIC) {
        (
            Compression::Gzip,
            Box::new(MultiGzDecoder::new(BufReader::new(whole))),
        )
    } else if head == ZSTD_MAGIC {
        (
            Compression::Zstd,
            Box::new(Zstd::Between(BufReader::new(whole))),
        )
    } else {
        (Compression::None, Box::new(whole))
    })
}

/// Zstandard frames one after the other, as `zstd` and `cat` make them.
enum Zstd<R: BufRead> {
    Between(R),
    Within(Box<StreamingDecoder<R, ruzstd::decoding::FrameDecoder>>),
    Done,
}

impl<R: BufRead> Read for Zstd<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            match std::mem::replace(self, Self::Done) {
                Self::Done => return Ok(0),
                Self::Between(mut rest) => {
                    if rest.fill_buf()?.is_empty() {
                        return Ok(0);
                    }
                    let decoder = StreamingDecoder::new(rest).map_err(io::Error::other)?;
                    *self = Self::Within(Box::new(decoder));
                }
                Self::Within(mut decoder) => {
                    let count = decoder.read(buffer)?;
                    if count > 0 {
                        *self = Self::Within(decoder);
                        return Ok(count);
                    }
                    *self = Self::Between(decoder.into_inner());
                }
            }
        }
    }
}
