//! The transcripts of coding tools: found below their homes, read as they grow, each call an event.
//!
//! A transcript is the buffer: nothing that is read stays in memory. [`TranscriptLog::append`] keeps the calls of some
//! files together with how far each was read and what its reader must remember, so a kill at any instant loses no call
//! and repeats at most what the log's identity of usage knows already. A refused append is read again later.
//!
//! In the order of a call's life: `homes` tells where to look, `scan` finds files, `watch` hears of changes, `lines`
//! reads whole lines, `read` makes calls of them, `attribution` tells whose they are, `tailer` appends; `known` and `queue`
//! are its memory, `follow` is the loop. `entry` owns the form of what is kept.
//!
//! Only [`event::TokenUsage`] leaves here: of the text of prompts and answers nothing is kept, and no problem quotes it.

mod attribution;
mod entry;
mod follow;
mod homes;
mod kin;
mod known;
mod lines;
mod log;
mod queue;
mod read;
mod scan;
mod tailer;
mod watch;

#[cfg(test)]
mod tests;

pub use follow::{TranscriptSettings, start};
pub use homes::{Home, in_user_home, of_environment};
pub use log::{Age, Change, Portion, States, TranscriptLog};
