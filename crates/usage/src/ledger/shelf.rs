//! Where a ledger remembers: keys and values that are kept in the batch of the events that they belong to.

use std::error::Error;

/// A key and its value.
pub type KeyValue = (Vec<u8>, Vec<u8>);

/// Keys and values, as the batch under way leaves them so far.
pub trait Shelf {
    /// The value under this key.
    ///
    /// # Errors
    /// When it cannot be read.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ShelfError>;

    /// Puts a value under a key.
    fn put(&mut self, key: Vec<u8>, value: Vec<u8>);

    /// Removes a key.
    fn remove(&mut self, key: Vec<u8>);

    /// The first `most` keys that begin with `prefix` and come after `after`, in order, with their values.
    ///
    /// # Errors
    /// When they cannot be read.
    fn scan(&self, prefix: &[u8], after: &[u8], most: usize) -> Result<Vec<KeyValue>, ShelfError>;
}

/// What was remembered cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read what is remembered of token usage")]
pub struct ShelfError(#[source] Box<dyn Error + Send + Sync>);

impl ShelfError {
    /// With this cause.
    #[must_use]
    pub fn new(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(source.into())
    }
}
