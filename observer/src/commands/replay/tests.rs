//! What tests of recordings share: a file that can be read while it is written.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
};

use crate::state::stream::{Begin, Lines};

/// A file in memory.
#[derive(Clone, Default)]
pub struct Memory(Arc<Mutex<Vec<u8>>>);

impl Memory {
    pub fn text(&self) -> String {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8(bytes.clone()).expect("JSON is UTF-8")
    }
}

impl io::Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut memory = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        memory.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Lines for Memory {
    fn begin(&mut self) -> io::Result<Begin> {
        let begun = !self.text().is_empty();
        Ok(if begun { Begin::Same } else { Begin::New })
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        io::Write::write(self, bytes)
    }

    fn take_back(&mut self, _: u64) -> bool {
        false
    }

    fn reopen(&mut self) {}

    fn name(&self) -> String {
        "memory".to_owned()
    }
}
