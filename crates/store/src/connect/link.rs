//! Whether a session of ours is a session of the server, or a pooler's; and how its transactions begin.
//!
//! At the start of a session the server sends a key for cancelling, with the process id of the backend that serves it
//! (BackendKeyData). A pooler that gives each transaction another backend must send a key of its own, for there is no
//! one backend. So [`Link::Direct`] is: the id in the key is what `pg_backend_pid()` says.
//!
//! NOTE: comparing our socket's address with `inet_client_port()` would say less. It takes every NAT and every published
//! port of a container for a pooler, has a chance to take a pooler for none, and says nothing about unix sockets.
//! SO_PEERCRED does not help there: it names the postmaster, or the pooler, which runs as the same user.
//!
//! Behind a pooler nothing may outlive a transaction, as the next one may run in another session and ours in somebody
//! else's. So settings go with every BEGIN, as SET LOCAL, in the same message; over a direct link too, which is then
//! tested along.

use std::sync::{Arc, OnceLock};

use crate::url::DatabaseUrl;

/// What is between us and the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// Nothing that knows of transactions: one backend serves the session from its start to its end.
    Direct,
    /// A pooler: every transaction may have another backend.
    Pooled,
}

/// For every transaction. IMPORTANT: `TO DEFAULT` undoes what somebody else has left in a pooled session; the default
/// is what the server, the database, the user and the URL's `options` say. The last is TimescaleDB's: without it
/// a replay into compressed chunks is refused after 100,000 tuples; 0 lifts the limit.
const SETTINGS: [(&str, &str); 7] = [
    ("lock_timeout", "'10s'"),
    ("idle_in_transaction_session_timeout", "'60s'"),
    ("TimeZone", "'UTC'"),
    ("search_path", DEFAULT),
    ("statement_timeout", DEFAULT),
    ("transaction_timeout", DEFAULT),
    ("timescaledb.max_tuples_decompressed_per_dml_transaction", "'0'"),
];

const DEFAULT: &str = "DEFAULT";

/// Settings of a newer server, and of an extension.
const NOT_EVERYWHERE: [&str; 2] =
    ["transaction_timeout", "timescaledb.max_tuples_decompressed_per_dml_transaction"];

/// The server's end of the link, as ours: seconds, seconds, probes, milliseconds.
const TCP_SETTINGS: &str = "('tcp_keepalives_idle', '10'), ('tcp_keepalives_interval', '5'), \
     ('tcp_keepalives_count', '3'), ('tcp_user_timeout', '30000')";

/// How a transaction begins before its settings. IMPORTANT: a constraint that the owner made deferrable is checked
/// where it is broken, and not at COMMIT, whose failure could be that of the link.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED; SET CONSTRAINTS ALL IMMEDIATE";

/// The same statements for a transaction that sees one moment. NOTE: the level is said in BEGIN: behind it stand statements
/// that may be queries, and then it is too late.
pub(super) fn as_snapshot(begin: &str) -> String {
    begin.replacen("READ COMMITTED", "REPEATABLE READ", 1)
}

/// Asks, in one round trip, for the backend and for the settings that this server knows; where the backend is the one
/// of the key and the link is TCP, tells the server to watch its end.
pub(super) fn question(key: Option<i32>, is_tcp: bool) -> String {
    let names: Vec<String> = SETTINGS.iter().map(|(name, _)| format!("'{name}'")).collect();
    let names = names.join(", ");
    let key = key.filter(|_| is_tcp).unwrap_or_default();
    format!(
        "SELECT pg_backend_pid(), ARRAY(SELECT name FROM pg_settings WHERE name IN ({names})),
            CASE WHEN pg_backend_pid() = {key} THEN
                (SELECT count(set_config(name, value, false))
                 FROM (VALUES {TCP_SETTINGS}) AS wanted (name, value) JOIN pg_settings USING (name))
            END"
    )
}

/// The statements that begin a transaction where these settings are known.
pub(super) fn begin_sql(known: &[String], of_url: &[(String, String)]) -> String {
    let settings = SETTINGS.iter().filter(|(name, _)| known.iter().any(|known| known == name));
    format!("{BEGIN}{}", settings_sql(settings, of_url))
}

/// The settings that every server knows, to be sent right behind a BEGIN.
pub(crate) fn common_settings_sql(url: &DatabaseUrl) -> String {
    settings_sql(SETTINGS.iter().filter(|(name, _)| !NOT_EVERYWHERE.contains(name)), url.settings())
}

/// What the URL says of a setting stands for its default: a pooler may have kept the URL's `options` to itself.
fn settings_sql<'a>(
    settings: impl Iterator<Item = &'a (&'a str, &'a str)>,
    of_url: &[(String, String)],
) -> String {
    let one = |&(name, value): &(&str, &str)| {
        let wanted = of_url.iter().rfind(|(wanted, _)| wanted.eq_ignore_ascii_case(name));
        match wanted.filter(|_| value == DEFAULT) {
            // A function, because SET takes a list such as search_path's only unquoted.
            Some((_, wanted)) => {
                let wanted = wanted.replace('\'', "''").replace('\\', r"\\");
                format!("; SELECT set_config('{name}', E'{wanted}', true)")
            }
            None => format!("; SET LOCAL {name} TO {value}"),
        }
    };
    settings.map(one).collect()
}

/// Finds the process id in the key among the first messages of a server.
#[derive(Debug)]
pub(crate) struct KeyWatch {
    /// What came so far; `None` when there is no more to learn.
    seen: Option<Vec<u8>>,
    key: Arc<OnceLock<i32>>,
}

impl Default for KeyWatch {
    fn default() -> Self {
        Self { seen: Some(Vec::new()), key: Arc::default() }
    }
}

/// More than any server says before it is ready.
const GREETING_BYTES_MAX: usize = 64 * 1024;

/// What the first bytes of a server tell.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    Key(i32),
    /// It is ready, and sent no key.
    Nothing,
    More,
}

impl KeyWatch {
    /// Where the id will be, when the server is ready.
    pub(super) fn key(&self) -> Arc<OnceLock<i32>> {
        Arc::clone(&self.key)
    }

    /// Looks at bytes that came.
    pub(super) fn look(&mut self, bytes: &[u8]) {
        let Some(seen) = &mut self.seen else { return };
        seen.extend_from_slice(bytes);
        match find(seen) {
            Found::More if seen.len() < GREETING_BYTES_MAX => return,
            Found::Key(key) => {
                let _ = self.key.set(key);
            }
            Found::Nothing | Found::More => {}
        }
        self.seen = None;
    }
}

/// Goes through messages: a letter, a length that counts itself, and the rest.
fn find(mut bytes: &[u8]) -> Found {
    loop {
        let Some((&[letter, a, b, c, d], body)) = bytes.split_first_chunk::<5>() else { return Found::More };
        let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
        match (letter, body.first_chunk::<4>()) {
            (b'K', Some(id)) => return Found::Key(i32::from_be_bytes(*id)),
            (b'Z', _) => return Found::Nothing,
            _ => {}
        }
        let Some(rest) = length.checked_sub(4).and_then(|length| body.get(length..)) else {
            return Found::More;
        };
        bytes = rest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// AuthenticationOk, a ParameterStatus with these letters inside, a key, ReadyForQuery.
    fn greeting() -> Vec<u8> {
        let mut bytes = b"R\0\0\0\x08\0\0\0\0".to_vec();
        bytes.extend(b"S\0\0\0\x0cKZ\0KKKK\0");
        bytes.extend(b"K\0\0\0\x0c\0\0\x12\x34\xff\xff\xff\xff");
        bytes.extend(b"Z\0\0\0\x05I");
        bytes
    }

    #[test]
    fn the_id_is_found_however_the_bytes_are_cut() {
        let bytes = greeting();
        for size in 1..=bytes.len() {
            let mut watch = KeyWatch::default();
            for piece in bytes.chunks(size) {
                watch.look(piece);
            }
            assert_eq!(watch.key().get(), Some(&0x1234), "pieces of {size}");
            assert!(watch.seen.is_none());
        }
    }

    #[test]
    fn a_server_that_sends_no_key_has_none() {
        let mut bytes = greeting();
        bytes.drain(22..35);
        let mut watch = KeyWatch::default();
        watch.look(&bytes);
        assert_eq!((watch.key().get(), watch.seen.is_none()), (None, true));
        assert_eq!(find(b"E\0\0\0\0"), Found::More);
        watch.look(b"K\0\0\0\x0c\0\0\x12\x34\xff\xff\xff\xff");
        assert_eq!(watch.key().get(), None);
    }

    #[test]
    fn what_the_server_does_not_know_is_not_set() {
        let known = ["lock_timeout", "search_path"].map(str::to_owned);
        let sql = begin_sql(&known, &[]);
        assert_eq!(
            sql,
            format!("{BEGIN}; SET LOCAL lock_timeout TO '10s'; SET LOCAL search_path TO DEFAULT")
        );
    }

    #[test]
    fn what_the_url_says_is_the_default() {
        let known = ["lock_timeout", "search_path"].map(str::to_owned);
        let of_url =
            [("LOCK_TIMEOUT", "1"), ("search_path", "no"), ("Search_Path", r"o'b\c, public"), ("a", "b")];
        let of_url = of_url.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let wanted =
            r"; SET LOCAL lock_timeout TO '10s'; SELECT set_config('search_path', E'o''b\\c, public', true)";
        assert_eq!(begin_sql(&known, &of_url), format!("{BEGIN}{wanted}"));
    }
}
