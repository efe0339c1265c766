//! Dumps of a database, made and restored by the tools of the server's own version.

use std::env;
use std::process::Command;

use store::testing::skip;

use super::database::Database;
use super::{run_with, stderr};

/// What `pg_dump` has made of a database.
pub struct Dump(Vec<u8>);

impl Dump {
    /// `None`, after saying so, where there are no such tools.
    pub fn of(database: &Database) -> Option<Self> {
        let output = script("dump", database)?.output().expect("scripts/timescaledb runs");
        if output.status.code() == Some(3) {
            skip("the tests use somebody else's server, whose tools are not here");
            return None;
        }
        assert!(output.status.success(), "{}", stderr(&output));
        Some(Self(output.stdout))
    }

    /// What is in the database gives way to what is in the dump. NOTE: nobody else may make tables there meanwhile.
    pub fn restore_into(&self, database: &Database) {
        database.drop_and_create();
        let mut command = script("restore", database).expect("a dump was made");
        let output = run_with(&mut command, &self.0);
        assert!(output.status.success(), "{}", stderr(&output));
    }
}

/// `scripts/timescaledb` with this command for a database of the shared server.
fn script(verb: &str, database: &Database) -> Option<Command> {
    let Some(script) = env::var_os("TAILWATER_TEST_TIMESCALEDB") else {
        skip("TAILWATER_TEST_TIMESCALEDB is not set: run the tests by scripts/test");
        return None;
    };
    let url = database.url();
    let mut command = Command::new(script);
    command.arg(verb).arg(url.rsplit_once('/').expect("a database").1);
    Some(command)
}
