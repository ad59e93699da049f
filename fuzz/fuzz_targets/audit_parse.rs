//! Any bytes: as one line, as a message of the kernel's, and as a whole log.
#![no_main]

use libfuzzer_sys::fuzz_target;
use observer::audit::{Parsed, Reader, RecordObject, Tally, parse_line, parse_message, replay_records};

fuzz_target!(|data: &[u8]| {
    show(parse_line(data));
    if let Some((kind, payload)) = data.split_first_chunk::<2>() {
        show(parse_message(u16::from_le_bytes(*kind), payload));
        show(parse_message(1400, payload));
    }

    let mut tally = Tally::default();
    let mut reader = Reader::new(data);
    while let Some(item) = reader.next_item().expect("memory cannot fail") {
        tally.count(&item.parsed);
    }
    assert_eq!(tally.read, tally.records + tally.foreign + tally.malformed);
    // Compressed input may well be broken; only a panic is a fault.
    if let Ok(replayed) = replay_records(data, true, std::io::sink()) {
        assert!(data.starts_with(&[0x1f, 0x8b]) || data.starts_with(&[0x28, 0xb5]) || replayed == tally);
    }
});

fn show(parsed: Parsed<'_>) {
    if let Parsed::Record(record) = parsed {
        let owned = record.clone().into_owned();
        assert_eq!(owned, record);
        for one in record.each() {
            let _ = RecordObject::of_record(1, &one);
        }
    }
}
