//! How a stream of either version ends: its report, and what could not be read of it.

use crate::{
    finding::{End, Report, Scope, Scoped},
    ledger::Ledger,
    sight::LINES_UNREAD,
    time::Stamp,
};

/// When the first and the last line of a stream were written.
#[derive(Clone, Copy, Default)]
pub(super) struct Span {
    first: Stamp,
    last: Stamp,
}

impl Span {
    /// Takes in when a line was written.
    pub(super) fn take(&mut self, time: Stamp) {
        if self.first == Stamp::default() {
            self.first = time;
        }
        self.last = self.last.max(time);
    }

    /// Says that lines of this time could not be read.
    pub(super) fn lose_lines(self, ledger: &mut Ledger, lines: u64) {
        let Self { first, last } = self;
        ledger.sight.enter(LINES_UNREAD, first, last, lines);
    }
}

/// The report of what a ledger holds, with what the last line says where it was there.
pub(super) fn report(ledger: &mut Ledger, end: Option<End>, scope: Scope) -> Report {
    let malformed = ledger.sources.iter().map(|source| source.malformed);
    let malformed = malformed.sum();
    ledger.audit.set_malformed(malformed);
    let End {
        command,
        failed_on,
        scope: scoped,
        ..
    } = end.unwrap_or_default();
    let scoped: Scoped = *scoped.unwrap_or_default();
    ledger.course = scoped.course;
    for made in scoped.made {
        ledger.keep_made(made, scoped.made_unlisted);
    }
    Report {
        failed_on,
        ..ledger.report(scope, command)
    }
}
