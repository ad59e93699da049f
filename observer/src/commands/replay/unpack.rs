//! A bound on what a small file may unpack to.

use std::{
    io::{self, Read},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::audit::{Compression, decompressed};

/// Logs pack to a tenth, and of one line repeated to a hundredth.
const RATIO: u64 = 256;
/// So much is unpacked whatever it came from.
pub const FREE: u64 = 64 << 20;

/// What `input` holds once decompressed: of a packed one these bytes and 256 times
/// its size, which no log reaches, or all.
///
/// # Errors
/// Those of the first read.
pub fn unpacked<'a>(
    input: impl Read + Send + 'a,
    free: Option<u64>,
) -> io::Result<(Compression, Box<dyn Read + Send + 'a>)> {
    let packed = Arc::new(AtomicU64::new(0));
    let counted = Counted {
        input,
        count: Arc::clone(&packed),
    };
    let (compression, plain) = decompressed(counted)?;
    Ok(match (compression, free) {
        (Compression::None, _) | (_, None) => (compression, plain),
        (_, Some(free)) => {
            let bound = Bound {
                input: plain,
                packed,
                free,
                count: 0,
            };
            (compression, Box::new(bound))
        }
    })
}

struct Counted<R> {
    input: R,
    count: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        self.count.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

struct Bound<R> {
    input: R,
    packed: Arc<AtomicU64>,
    free: u64,
    count: u64,
}

impl<R: Read> Read for Bound<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let packed = self.packed.load(Ordering::Relaxed);
        if self.count > self.free.saturating_add(packed.saturating_mul(RATIO)) {
            return Err(io::Error::other(format!(
                "{packed} bytes unpack to more than {} MiB, which no log does; --lenient reads it anyway",
                self.count >> 20
            )));
        }
        let count = self.input.read(buffer)?;
        self.count += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::{Compression as Level, write::GzEncoder};

    use super::*;

    #[test]
    fn a_small_file_that_unpacks_to_very_much_is_stopped_and_a_log_is_not() {
        let pack = |pieces: &mut dyn Iterator<Item = Vec<u8>>| {
            let mut encoder = GzEncoder::new(Vec::new(), Level::best());
            for piece in pieces {
                encoder.write_all(&piece).unwrap();
            }
            encoder.finish().unwrap()
        };
        let read = |packed: &[u8], free: Option<u64>| {
            let (_, mut plain) = unpacked(packed, free).unwrap();
            io::copy(&mut plain, &mut io::sink()).map_err(|error| error.to_string())
        };
        let free = Some(1 << 20);
        let bomb = pack(&mut std::iter::repeat_n(vec![0; 1 << 20], 8));
        assert!(read(&bomb, free).unwrap_err().contains("which no log does"));
        assert_eq!(read(&bomb, None), Ok(8 << 20));
        let line = |serial: u32| {
            format!("type=AVC msg=audit(1.1:{serial:06}): apparmor=\"DENIED\"\n").into_bytes()
        };
        let log = pack(&mut (0..100_000).map(line));
        assert_eq!(read(&log, free), Ok(100_000 * line(0).len() as u64));
    }
}
