//! What appenders keep with their events: values under keys of their own, changed in the events' own batch.

use crate::error::ReadError;
use crate::open::EventLog;

/// A key and its value.
pub type KeyValue = (Vec<u8>, Vec<u8>);

impl EventLog {
    /// The value under this key, as the last append left it.
    ///
    /// IMPORTANT: it can be newer than what is durable. Who keeps a copy reads it again after an append that failed.
    ///
    /// # Errors
    /// When fjall cannot read it, or the log has failed.
    pub fn state(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ReadError> {
        let engine = self.engine()?;
        let value = engine.state.get(key).map_err(ReadError::of_meta)?;
        Ok(value.map(|value| value.to_vec()))
    }

    /// Every key that begins with `prefix`, in order, with its value.
    ///
    /// # Errors
    /// As [`Self::state`].
    pub fn states(&self, prefix: &[u8]) -> Result<Vec<KeyValue>, ReadError> {
        let engine = self.engine()?;
        let entries = engine.state.prefix(prefix).map(fjall::Guard::into_inner);
        let pairs = entries.map(|entry| entry.map(|(key, value)| (key.to_vec(), value.to_vec())));
        pairs.collect::<Result<_, _>>().map_err(ReadError::of_meta)
    }
}

#[cfg(test)]
mod tests {
    use event::HostName;

    use super::*;
    use crate::{Batch, MetaEntry, Settings};

    #[test]
    fn what_an_append_keeps_is_there_and_goes_when_it_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let log = EventLog::open(dir.path(), &HostName::new("h").unwrap(), Settings::default()).unwrap();
        let keep = |key: &str, value: Option<&str>| {
            let value = value.map(|value| value.as_bytes().to_vec());
            let meta = vec![MetaEntry { key: key.into(), value }];
            log.append(Batch { meta, ..Batch::default() }).unwrap();
        };
        keep("b/2", Some("two"));
        keep("b/1", Some("one"));
        keep("c", Some("three"));
        assert_eq!(log.state(b"c").unwrap().as_deref(), Some(b"three".as_slice()));
        let pair = |key: &str, value: &str| (key.as_bytes().to_vec(), value.as_bytes().to_vec());
        assert_eq!(log.states(b"b/").unwrap(), [pair("b/1", "one"), pair("b/2", "two")]);
        keep("b/1", None);
        assert_eq!((log.states(b"b/1").unwrap().len(), log.state(b"no").unwrap()), (0, None));
    }
}
