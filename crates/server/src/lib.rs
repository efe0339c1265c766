//! The HTTP server: events in by JSON, NDJSON and OTLP. Reads and the dashboard come here too.
//!
//! It knows no log: what it takes goes through a trait of its own, and what usage means is the crate `usage`'s.
