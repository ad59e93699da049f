//! Measures the audit parser on a log: records and bytes a second on one core,
//! and allocations a record.
//!
//! `parse_bench FILE [SECONDS]` prints one JSON object. The peer is
//! `benches/parse_peer.c`, which prints the same object of libapparmor's parser.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context;
use observer::audit::{Lines, Tally, parse_line};
use rustix::time::{ClockId, clock_gettime};

/// Counts allocations on their way to the system's allocator.
struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: every method hands its arguments to the system's allocator unchanged
// and returns what that returns, so its contract holds here.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise on `layout` is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: `pointer` came from `alloc` above, hence from `System`.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: `pointer` came from `alloc` above, hence from `System`.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args_os().skip(1);
    let path = arguments
        .next()
        .context("usage: parse_bench FILE [SECONDS]")?;
    let seconds = match arguments.next() {
        Some(text) => text
            .to_string_lossy()
            .parse()
            .context("SECONDS is a number")?,
        None => 2.0,
    };
    let log = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;

    let mut tally = pass(&log)?;
    let allocations_before = ALLOCATIONS.load(Ordering::Relaxed);
    pass(&log)?;
    let allocations = ALLOCATIONS.load(Ordering::Relaxed) - allocations_before;

    let one_pass = tally;
    let mut passes = 0_u32;
    let start = processor_time()?;
    while processor_time()?.saturating_sub(start) < Duration::from_secs_f64(seconds) {
        tally = pass(&log)?;
        passes += 1;
    }
    let elapsed = processor_time()?.saturating_sub(start).as_secs_f64() / f64::from(passes);
    anyhow::ensure!(tally == one_pass, "two passes over the same log differ");
    #[expect(clippy::cast_precision_loss, reason = "a rate to print")]
    let (lines, bytes, per_line) = (
        tally.read as f64,
        log.len() as f64,
        allocations as f64 / tally.read as f64,
    );
    let report = serde_json::json!({
        "parser": "capwatch",
        "lines": tally.read,
        "records": tally.records,
        "foreign": tally.foreign,
        "malformed": tally.malformed,
        "lines_per_second": (lines / elapsed).round(),
        "bytes_per_second": (bytes / elapsed).round(),
        "allocations_per_line": per_line,
    });
    println!("{report}");
    Ok(())
}

/// This process's own time, so a busy machine does not count.
fn processor_time() -> anyhow::Result<Duration> {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Ok(Duration::new(
        time.tv_sec.try_into()?,
        time.tv_nsec.try_into()?,
    ))
}

/// One reading of the log: lines as from a file, and nothing kept.
fn pass(log: &[u8]) -> anyhow::Result<Tally> {
    let mut tally = Tally::default();
    let mut lines = Lines::new(log);
    while let Some(line) = lines.next_line()? {
        let parsed = parse_line(line.bytes);
        tally.count(std::hint::black_box(&parsed));
    }
    Ok(tally)
}
