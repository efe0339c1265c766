//! The HTTP server: events in by JSON, NDJSON and OTLP, and what was recorded out as JSON and CSV.
//!
//! It knows no log and no database: what it takes goes through a trait of its own, [`Intake`], what it answers comes through
//! another, [`Reads`], and what usage means is the crate `usage`'s. It listens to this machine alone, and answers nobody who came by a name of another one: a web page that
//! somebody looks at must not be able to write here.

mod answers;
mod body;
mod events;
mod guard;
pub mod ingest;
mod intake;
mod media;
pub mod otlp;
mod problem;
mod rates;
mod reads;
mod routes;
mod serve;
mod settings;
mod tally;
mod unpack;

pub use intake::{Accepted, Intake, IntakeError, Teller, is_zero};
pub use reads::{Answered, Reads, Source};
pub use serve::Server;
pub use settings::Settings;
pub use tally::Tally;
