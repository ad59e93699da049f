//! What the kernel's tables hold, as observations with names.

use super::{
    breaches::Grown,
    error::KernelError,
    info::{self, Runs},
    kernel::Kernel,
    rows::Counted,
};
use crate::observation::{BreachKey, Episode, Open, Owner, Row, Task, Total, identity};

impl Kernel {
    /// Runs of every loaded program; skipped ones with those of the programs from which
    /// they took over.
    pub fn runs(&self) -> Vec<Runs> {
        let mut runs = info::runs(self.programs());
        if let Some((_, about)) = self.pinned() {
            for run in &mut runs {
                run.misses += about.skipped.get(&run.program).unwrap_or(&0);
            }
        }
        runs
    }

    /// Every row of denials, summed over the CPUs, with the name of its key: the same
    /// for as long as the kernel counts in it.
    pub fn rows(&self) -> Vec<(u64, Row, Counted)> {
        let counts = self.row_counts().into_iter();
        counts
            .map(|(key, counted)| (identity(&key), Row::from(&key), counted))
            .collect()
    }

    /// Denials that found no row, by total; those of the overflow slot have no owner.
    pub fn totals(&self) -> Vec<(u64, Total, u64)> {
        let counts = self.total_counts().into_iter();
        counts
            .map(|(key, count)| (identity(&key), Total::from(&key), count))
            .collect()
    }

    /// Forgets rows, once what they counted is kept elsewhere and nobody counts in them.
    pub fn forget_rows(&self, rows: &[Row]) {
        let keys: Vec<_> = rows.iter().map(Into::into).collect();
        self.forget_keys(&keys);
    }

    /// The refusals by a rule of a key since it was looked at last, if there were any.
    pub fn breaches_of(&self, key: &BreachKey) -> Option<Grown> {
        self.grown_of(&key.into())
    }

    /// All that were added since they were looked at last, of the keys that `of` wants
    /// by the time of the last.
    pub fn breaches(&self, mut of: impl FnMut(&BreachKey, u64) -> bool) -> Vec<Grown> {
        self.grown(|key, breach| of(&key.into(), breach.last))
    }

    /// Episodes that are open now; none where they can't be read.
    pub fn open_episodes(&self) -> Option<Vec<Episode>> {
        let mut episodes = Vec::new();
        self.each_open_episode(|_, copy| episodes.push(copy()))?;
        Some(episodes)
    }

    /// Shows every episode that is open now, and what makes a copy of it; none where
    /// not all could be read.
    pub fn each_open_episode(
        &self,
        mut see: impl FnMut(&Open, &dyn Fn() -> Episode),
    ) -> Option<()> {
        self.each_episode(|episode| see(&episode.into(), &|| episode.into()))
    }

    /// Every process of a followed tree; none where they can't be read.
    pub fn tasks(&self) -> Option<Vec<(u32, Task)>> {
        let entries = self.task_entries()?.into_iter();
        Some(entries.map(|(pid, task)| (pid, (&task).into())).collect())
    }

    /// One process of a followed tree.
    pub fn task(&self, tgid: u32) -> Option<Task> {
        self.task_entry(tgid).map(|task| (&task).into())
    }

    /// Makes a process the root of the recorded tree.
    ///
    /// # Errors
    /// When the map is full.
    pub fn follow_tree(&mut self, tgid: u32) -> Result<(), KernelError> {
        let owner = Owner {
            in_tree: true,
            ..Owner::default()
        };
        let task = observer_ebpf::Task {
            owner: (&owner).into(),
            ..observer_ebpf::Task::default()
        };
        self.follow(tgid, task)
    }
}
