//! What is to be read, each file once, what has just changed first.

use std::collections::{HashSet, VecDeque};
use std::path::Path;
use std::sync::Arc;

use usage::Tool;

/// Why a file is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// It may have grown.
    Growth,
    /// It has not for a while.
    Quiet,
}

/// A file that is to be read.
#[derive(Clone, Debug)]
pub(super) struct Job {
    pub(super) tool: Tool,
    pub(super) path: Arc<Path>,
    pub(super) why: Why,
    /// How much there was to read when it was found.
    pub(super) bytes: u64,
}

/// Files that are to be read.
#[derive(Debug, Default)]
pub(super) struct Queue {
    fresh: VecDeque<Job>,
    backlog: VecDeque<Job>,
    queued: HashSet<Arc<Path>>,
}

impl Queue {
    /// Adds what has just changed.
    pub(super) fn add_fresh(&mut self, job: Job) {
        if self.queued.insert(Arc::clone(&job.path)) {
            self.fresh.push_back(job);
        }
    }

    /// Adds what a scan of everything has found.
    pub(super) fn add(&mut self, job: Job) {
        if self.queued.insert(Arc::clone(&job.path)) {
            self.backlog.push_back(job);
        }
    }

    /// Puts files back to be read next, in their order.
    pub(super) fn put_back(&mut self, jobs: Vec<Job>) {
        for job in jobs.into_iter().rev() {
            if self.queued.insert(Arc::clone(&job.path)) {
                self.backlog.push_front(job);
            }
        }
    }

    pub(super) fn take(&mut self) -> Option<Job> {
        let job = self.fresh.pop_front().or_else(|| self.backlog.pop_front())?;
        self.queued.remove(&job.path);
        Some(job)
    }

    /// How many files of scans are left, and how many bytes of them.
    pub(super) fn backlog(&self) -> (u64, u64) {
        (self.backlog.len() as u64, self.backlog.iter().map(|job| job.bytes).sum())
    }
}
