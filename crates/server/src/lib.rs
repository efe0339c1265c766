//! The HTTP server: events in by JSON, NDJSON and OTLP, and what was recorded out as JSON and CSV.
//!
//! It knows no log and no database: what it takes goes through a trait of its own, [`Intake`], what it answers comes through
//! another, [`Reads`], and what usage means is the crate `usage`'s. Without tokens it answers nobody who came by a name
//! that is not this machine's: a web page that somebody looks at must not be able to write here.

mod answers;
mod body;
mod collapse;
mod events;
mod guard;
pub mod ingest;
mod intake;
mod live;
mod media;
mod openapi;
pub mod otlp;
mod problem;
mod rates;
mod reads;
mod routes;
mod serve;
mod settings;
mod tally;
mod tls;
mod tokens;
mod unpack;
mod web;

pub use guard::Access;
pub use intake::{Accepted, Intake, IntakeError, Teller, is_zero};
pub use reads::{Answered, Head, Reads, Source};
pub use serve::{Door, Server};
pub use settings::Settings;
pub use tally::Tally;
pub use tls::{Tls, TlsError};
pub use tokens::{Scope, Tokens, TokensError};
