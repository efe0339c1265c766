//! What keeps the calls: the log, as this sampler sees it.

use event::{Event, SinkError};

/// A key and its value; `None` removes it.
pub type Change = (Vec<u8>, Option<Vec<u8>>);

/// Keys with their values.
pub type States = Vec<(Vec<u8>, Vec<u8>)>;

/// How the times of calls relate to the clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Age {
    /// They are of now.
    #[default]
    Live,
    /// They may be of any time.
    Old,
}

/// What is kept together, or not at all.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Portion {
    /// The calls, in order.
    pub events: Vec<Event>,
    /// How far their transcripts were read.
    pub changes: Vec<Change>,
    /// How the calls' times relate to the clock.
    pub age: Age,
}

/// Keeps calls, and beside them what this sampler must remember.
pub trait TranscriptLog: Send + Sync {
    /// Keeps all of a portion, or nothing, and waits until that is so. What is known of a call already may be left out.
    ///
    /// # Errors
    /// When it was not kept, or nobody knows: what is so is then read back.
    fn append(&self, portion: Portion) -> Result<(), SinkError>;

    /// Whether the log may keep less than it had acknowledged, since it was opened anew after a failure; each time is
    /// told once.
    fn was_opened_anew(&self) -> bool;

    /// The value of a key.
    ///
    /// # Errors
    /// While the log cannot be read.
    fn state(&self, key: &[u8]) -> Result<Option<Vec<u8>>, SinkError>;

    /// Every key that begins with `prefix`, with its value.
    ///
    /// # Errors
    /// As [`Self::state`].
    fn states(&self, prefix: &[u8]) -> Result<States, SinkError>;
}
