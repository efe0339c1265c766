//! The HTTP server: events in by JSON, NDJSON and OTLP. Reads and the dashboard come here too.
//!
//! It knows no log: what it takes goes through a trait of its own, [`Intake`], and what usage means is the crate
//! `usage`'s. It listens to this machine alone, and answers nobody who came by a name of another one: a web page that
//! somebody looks at must not be able to write here.

mod body;
mod events;
mod guard;
pub mod ingest;
mod intake;
mod media;
pub mod otlp;
mod problem;
mod rates;
mod routes;
mod serve;
mod settings;
mod tally;
mod unpack;

pub use intake::{Accepted, Intake, IntakeError, Teller, is_zero};
pub use serve::Server;
pub use settings::Settings;
pub use tally::Tally;
