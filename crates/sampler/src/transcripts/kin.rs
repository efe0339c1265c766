//! The transcripts of other sessions, for readers whose own begins with a copy of one.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use event::Text;
use usage::Tool;
use usage::transcript::Family;

/// Where the transcript of each session of a tool is, as far as it was found.
#[derive(Debug, Default)]
pub(super) struct Kin {
    paths: RwLock<HashMap<Text, Arc<Path>>>,
}

impl Kin {
    /// Remembers a transcript that was found; the one that was found last counts.
    pub(super) fn meet(&self, tool: Tool, path: &Arc<Path>) {
        if let Some(session) = tool.session_of(path) {
            self.paths.write().unwrap_or_else(PoisonError::into_inner).insert(session, Arc::clone(path));
        }
    }

    /// Forgets a transcript.
    pub(super) fn forget(&self, tool: Tool, path: &Path) {
        let Some(session) = tool.session_of(path) else { return };
        let mut paths = self.paths.write().unwrap_or_else(PoisonError::into_inner);
        if paths.get(&session).is_some_and(|known| **known == *path) {
            paths.remove(&session);
        }
    }
}

impl Family for Kin {
    fn transcript(&self, session_id: &str) -> Option<Box<dyn BufRead + Send>> {
        let path = self.paths.read().unwrap_or_else(PoisonError::into_inner).get(session_id).cloned()?;
        Some(Box::new(BufReader::new(File::open(path).ok()?)))
    }
}
