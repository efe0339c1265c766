//! The query facade: requests and answers as plain data, and the trait [`Reader`] that answers them.
//!
//! It has no I/O: the database's reader lives in `store`, the log's reader folds events with [`fold`]. Both must
//! give identical answers, so what an answer is stands here and nowhere else. These are the rules.
//!
//! **Series.** A series is what one name says on one host: (agent_name, host) or (system_name, host). The samples of
//! a series have different times; where events repeat a time, the one at the smaller position counts.
//!
//! **Range.** A sample lies in a range when `from <= time < to`. Nothing outside the range has any influence, so the
//! first and the last bucket of an answer can be partial.
//!
//! **Buckets.** Bucket starts are whole intervals from 2000-01-03T00:00Z ([`Buckets::ORIGIN`], the origin of
//! TimescaleDB's `time_bucket`), for every interval, before it as after it. A row's time is the start of its bucket,
//! which can be earlier than `from`. A series has a row for each bucket with a sample in it, and none for others.
//!
//! **Values of a bucket.** cpu_percent, mem_percent and mem_used_bytes are averages over the samples that measured
//! them, and null when none did; the average of bytes is rounded to whole bytes, halves up. Everything else is that
//! of the bucket's last sample, null where that one did not measure: role, tool, runtime, state, mem_limit_bytes, and
//! the values of the four counters (net_*, disk_*).
//!
//! **Increases.** A counter's increase belongs to a sample: it is the counter's value less its value in the sample
//! right before, of the same series and range. A smaller value is a restart: then the increase is the value itself.
//! There is none for the first sample of a series in the range, nor where either of the two did not measure the
//! counter. The increase counts whole in the bucket of its sample, though the sample before may lie in an earlier
//! bucket, or far back behind empty ones.
//!
//! **Rates.** A bucket's rate is the sum of its increases over the sum of the seconds from each of these samples to
//! the one before it; null when there is no increase at all. So a rate is an average over measured time: a gap in
//! the samples spreads the bytes over the gap instead of making a peak, and a restarted counter makes no hole.
//!
//! **Precision.** Rates and averages are f64 and can differ between readers in the last digits; whole numbers are
//! equal as long as the bytes of a bucket add up to less than 2^53.
//!
//! **Filters.** Names and hosts choose series. role, tool, runtime and state choose rows of the answer, by what the
//! row shows: `state=stuck` gives the agents that are stuck now, or the buckets at whose end they were.
//!
//! **Order.** Rows are ordered by time, then name, then host, names by their bytes.

mod answer;
mod buckets;
mod channel;
mod days;
mod error;
mod fill;
mod filter;
pub mod fold;
mod interval;
mod question;
mod reader;
mod records;
mod request;
mod row;
mod time_range;
mod tokens;
pub mod wire;
mod workspace;

pub use answer::{
    AgentRow, AgentSummary, CpuSummary, MemorySummary, ModelSummary, Rates, SystemRow, TokenSummary, Transfer,
};
pub use buckets::Buckets;
pub use channel::{ChannelFilter, ChannelRow, ChannelSeries};
pub use days::{Days, local_zone};
pub use error::{ReadError, ReadErrorKind, RequestError};
pub use fill::Fill;
pub use filter::{AgentFilter, Names, SystemFilter};
pub use interval::Interval;
pub use question::{Answer, Question, Topic, csv_cell};
pub use reader::Reader;
pub use records::{AgentStates, GapRow, Gaps, Limit, StateRow};
pub use request::{AgentLatest, AgentSeries, SystemSeries};
pub use row::{Row, Value};
pub use time_range::{TimeRange, parse_time};
pub use tokens::{Cut, GroupKey, Groups, TokenFilter, TokenRow, TokenSeries, TokensUsed};
pub use workspace::{AgentStat, Presence, WorkspaceAgent, WorkspaceStats};
