//! Coming from the Go package with the real binary: one line at the halt, one command, and its rows in every query.
#![cfg(test)]

mod support;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Child, Output, Stdio};

use serde_json::Value;
use store::testing::{GO_HYPERTABLES, GO_TABLES};
use support::daemon::Daemon;
use support::database::{Database, PrivateServer};
use support::scene::{HALTED, is_bad, patiently, quiet};
use support::{agent_lines, json, record, stderr, stdout, tailwater};
use tempfile::tempdir;

/// A day of two agents and a system, every minute, with numbers that are whole in binary; and some calls.
const DAY: &str = "
    INSERT INTO agent_metrics
    SELECT time, agent, 'worker', 'claude', 'tmux', 'working', minute % 8 * 0.25, 1000 + minute % 4, 4096, 25,
           minute, minute * 2, minute * 3, minute * 4
    FROM generate_series(0, 1439) AS minute, unnest(ARRAY['zen', 'a1']) AS agent,
         LATERAL (SELECT timestamptz '2025-06-01 00:00:00+00' + minute * interval '1 minute') AS at (time);
    INSERT INTO system_metrics
    SELECT timestamptz '2025-06-01 00:00:00+00' + minute * interval '1 minute', 'box', minute % 4 * 0.5, 100, 200, 50,
           minute, minute, minute, minute
    FROM generate_series(0, 1439) AS minute;
    INSERT INTO channel_metrics VALUES ('2025-06-01 00:00:00+00', 'general', 3, 7, NULL);
    INSERT INTO token_metrics SELECT '2025-06-01 00:00:00+00', 'zen', 'opus', 100, 10, 5, 1, 0.25
    FROM generate_series(1, 4);
    INSERT INTO agent_metrics (time, agent_name) VALUES ('2025-06-01 00:00:00+00', '')";

/// Runs `migrate` with these flags.
fn migrate(data: &Path, url: &str, flags: &[&str]) -> Output {
    tailwater(data).arg("migrate").args(flags).args(["--database-url", url]).output().unwrap()
}

/// What it says; it must end well.
fn migrated(data: &Path, url: &str, flags: &[&str]) -> String {
    let output = migrate(data, url, flags);
    assert!(output.status.success(), "{}", stderr(&output));
    stdout(&output)
}

/// The one line of an error.
fn refused(data: &Path, url: &str, flags: &[&str]) -> String {
    let output = migrate(data, url, flags);
    assert_eq!(output.status.code(), Some(2), "{}", stdout(&output));
    let line = stderr(&output);
    assert_eq!(line.trim_end().lines().count(), 1, "{line}");
    line
}

fn database_of_the_go_package(more: &str) -> Option<Database> {
    let database = Database::create()?;
    database.execute(GO_TABLES);
    database.execute(more);
    database.execute(DAY);
    Some(database)
}

#[test]
fn the_daemon_halts_with_one_line_and_goes_on_by_itself_after_the_adoption() {
    let Some(database) = database_of_the_go_package(GO_HYPERTABLES) else { return };
    let home = tempdir().unwrap();
    let (data, url) = (home.path().join("data"), database.url());
    let daemon = Daemon::start_command(&data, &mut quiet(&data, &url));
    json(&record(&data, &agent_lines("zen", 30)));
    let state = |wanted: &str| {
        patiently(wanted, || {
            let projection = daemon.status()["projection"].take();
            (projection["state"] == wanted).then_some(projection)
        })
    };
    let error = state("halted")["error"].as_str().unwrap().to_owned();
    assert!(error.contains("agent_metrics that is not tailwater's"), "{error}");
    assert!(error.contains("`tailwater migrate --adopt-bc`") && !error.contains('\n'), "{error}");
    assert_eq!(json(&record(&data, &agent_lines("a1", 10)))["accepted"], 10, "recording goes on");
    assert!(refused(&data, &url, &[]).contains("tailwater migrate --adopt-bc"));

    let told = migrated(&data, &url, &["--adopt-bc", "--host", "laptop"]);
    assert!(
        told.contains("agent_metrics: 2,881 rows, 2025-06-01T00:00:00.000000Z to 2025-06-01T23:59:00"),
        "{told}"
    );
    assert!(told.contains("as those of host laptop"), "{told}");
    assert!(
        told.contains("agent_metrics: 2,881 rows: 2,880 copied, 1 not, because agent_name is empty\n"),
        "{told}"
    );
    assert!(
        told.contains("channel_metrics: 1 row: 1 copied (1 with 0 for a count that was null)\n"),
        "{told}"
    );
    assert!(told.contains("token_metrics: 4 rows: 4 copied\n"), "{told}");

    patiently("everything recorded is there", || (state("live")["lag_events"] == 0).then_some(()));
    let rows: Vec<String> = database.values(
        "SELECT concat_ws(' ', host = 'laptop', count(*)) FROM agent_metrics GROUP BY host = 'laptop' ORDER BY 1",
    );
    assert_eq!(rows, ["f 40", "t 2880"]);
    let status = daemon.status();
    assert_eq!(
        (&status["quarantine"]["events"], &status["projection"]["unavailable"]),
        (&0.into(), &0.into())
    );
    let (ended, output) = daemon.stop();
    assert!(ended.success(), "{output}");
    let bad: Vec<&str> = output.lines().filter(|line| is_bad(line)).collect();
    assert!(bad.len() == 1 && bad[0].contains("ERROR") && bad[0].contains(HALTED), "{bad:#?}");
}

#[test]
fn it_is_said_before_it_is_done_and_done_once() {
    let Some(database) = database_of_the_go_package("SELECT") else { return };
    let home = tempdir().unwrap();
    let (data, url) = (home.path().join("data"), database.url());
    let tables = "SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_class WHERE relkind = 'r'
        AND relnamespace = 'public'::regnamespace";
    let before: String = database.value(tables);

    let dry = migrated(&data, &url, &["--adopt-bc", "--dry-run"]);
    assert!(
        dry.contains(
            "agent_metrics: 2,881 rows: 2,880 would be copied, 1 not, because agent_name is empty\n"
        ),
        "{dry}"
    );
    assert!(dry.ends_with("nothing was changed\n"), "{dry}");
    assert_eq!(database.value::<String>(tables), before);

    database.execute("CREATE TABLE system_metrics_bc ()");
    let taken = refused(&data, &url, &["--adopt-bc"]);
    assert!(taken.contains("the name system_metrics_bc") && taken.contains("is taken"), "{taken}");
    database.execute("DROP TABLE system_metrics_bc; ALTER TABLE token_metrics RENAME cost_usd TO cost");
    let lacks = refused(&data, &url, &["--adopt-bc"]);
    assert!(lacks.contains("token_metrics") && lacks.contains("no column cost_usd"), "{lacks}");
    assert_eq!(database.value::<String>(tables), before);
    database.execute("ALTER TABLE token_metrics RENAME cost TO cost_usd");

    migrated(&data, &url, &["--adopt-bc"]);
    let host: String = database.value("SELECT DISTINCT host FROM agent_metrics");
    assert_eq!(host, gethostname(), "this machine's, as the log would have it");
    let content = "SELECT md5(string_agg(t::text, ',' ORDER BY t::text)) FROM (
        SELECT 'ours', agent_metrics::text FROM agent_metrics UNION ALL SELECT 'theirs', agent_metrics_bc::text
        FROM agent_metrics_bc UNION ALL SELECT 'state', it::text FROM tailwater_adoptions AS it) AS t";
    let after: String = database.value(content);
    for flags in [&["--adopt-bc"][..], &["--adopt-bc", "--dry-run"], &["--adopt-bc", "--host", "other"]] {
        let again = migrated(&data, &url, flags);
        assert!(again.contains("nothing to adopt") && again.trim_end().lines().count() == 1, "{again}");
    }
    assert_eq!(database.value::<String>(content), after);
    let alone = migrate(&data, &url, &["--host", "laptop"]);
    assert!(stderr(&alone).contains("--adopt-bc"), "a host without an adoption means nothing");
}

/// This machine's name as a log has it.
fn gethostname() -> String {
    let home = tempdir().unwrap();
    let data = home.path().join("data");
    json(&record(&data, &agent_lines("a", 1)));
    let stat = json(&tailwater(&data).args(["log", "stat", "--format", "json"]).output().unwrap());
    stat["host"].as_str().unwrap().to_owned()
}

/// What a query of the facade says of some of its columns, a line for each row.
fn read(data: &Path, url: &str, arguments: &[&str], columns: &[&str]) -> Vec<String> {
    let mut command = tailwater(data);
    command.arg("query").args(arguments).args(["--format", "json", "--database-url", url]);
    let rows = json(&command.output().unwrap());
    let rows = rows.as_array().cloned().unwrap_or_else(|| vec![rows]);
    let cell = |row: &Value, column: &str| match row.pointer(column) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.as_f64().unwrap().to_string(),
        other => panic!("{column}: {other:?} in {row}"),
    };
    let line = |row| columns.iter().map(|column| cell(row, column)).collect::<Vec<_>>().join(" ");
    rows.iter().map(line).collect()
}

#[test]
fn its_rows_read_as_the_go_package_read_them() {
    let Some(database) = database_of_the_go_package(GO_HYPERTABLES) else { return };
    let home = tempdir().unwrap();
    let (data, url) = (home.path().join("data"), database.url());
    migrated(&data, &url, &["--adopt-bc"]);
    let day = ["--from", "2025-06-01T00:00:00Z", "--to", "2025-06-02T00:00:00Z"];
    let with_day = |arguments: &[&'static str]| [arguments, &day[..]].concat();
    let theirs = |sql: &str| database.values::<String>(sql);
    const TIME: &str = "to_char(bucket AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')";

    // NOTE: an average of bytes is in whole bytes here.
    for (metric, column, value) in [
        ("cpu", "/cpu_percent", "avg(cpu_percent)"),
        ("mem", "/mem_used_bytes", "round(avg(mem_used_bytes))"),
        ("net", "/net_tx_bytes", "max(net_tx_bytes)"),
    ] {
        let arguments = with_day(&["agents", metric, "--interval", "1h"]);
        let ours = read(&data, &url, &arguments, &["/time", "/agent_name", "/role", "/state", column]);
        let sql = format!(
            "SELECT concat_ws(' ', {TIME}, agent_name, role, state, value::float8)
             FROM (SELECT time_bucket('1 hour', time) AS bucket, agent_name, max(role) AS role,
                       max(state) AS state, {value} AS value
                   FROM agent_metrics_bc WHERE agent_name <> '' GROUP BY 1, 2) AS buckets"
        );
        let (ours, wanted) = (BTreeSet::from_iter(ours), BTreeSet::from_iter(theirs(&sql)));
        assert_eq!(wanted.len(), 48, "two agents, a day");
        assert_eq!(ours, wanted, "{metric}");

        let arguments = with_day(&["system", metric, "--interval", "1h"]);
        let ours = read(&data, &url, &arguments, &["/time", "/system_name", column]);
        let sql = format!(
            "SELECT concat_ws(' ', {TIME}, system_name, value::float8)
             FROM (SELECT time_bucket('1 hour', time) AS bucket, system_name, {value} AS value
                   FROM system_metrics_bc GROUP BY 1, 2) AS buckets ORDER BY bucket"
        );
        assert_eq!(ours, theirs(&sql), "{metric}");
    }
    let latest =
        read(&data, &url, &with_day(&["agents", "latest"]), &["/time", "/agent_name", "/cpu_percent"]);
    let sql = format!(
        "SELECT concat_ws(' ', {TIME}, agent_name, cpu_percent) FROM (
             SELECT DISTINCT ON (agent_name) time AS bucket, agent_name, cpu_percent FROM agent_metrics_bc
             WHERE agent_name <> '' ORDER BY agent_name, time DESC) AS newest ORDER BY agent_name"
    );
    assert_eq!(latest, theirs(&sql));
    let columns = ["/agent_name", "/role", "/cpu/avg_percent", "/cpu/max_percent", "/memory/max_bytes"];
    let summary = read(&data, &url, &with_day(&["agents", "summary", "zen"]), &columns);
    let sql = "SELECT concat_ws(' ', agent_name, max(role), avg(cpu_percent), max(cpu_percent), max(mem_used_bytes))
        FROM agent_metrics_bc WHERE agent_name = 'zen' GROUP BY agent_name";
    assert_eq!(summary, theirs(sql));
    // What no query reads yet, by SQL over the tables.
    for (table, columns) in [
        (
            "token_metrics",
            "sum(input_tokens), sum(output_tokens), sum(cache_read), sum(cache_create), sum(cost_usd)",
        ),
        ("channel_metrics", "sum(message_count), max(member_count), coalesce(sum(reaction_count), 0)"),
    ] {
        let sums = |table: &str| format!("SELECT concat_ws(' ', {columns}) FROM {table}");
        assert_eq!(theirs(&sums(table)), theirs(&sums(&format!("{table}_bc"))), "{table}");
    }
}

/// A copy that is under way: a process, and a lock that keeps it between two pieces.
fn begin(server: &PrivateServer, data: &Path) -> (Child, support::database::Held) {
    let there = "SELECT count(*) FROM pg_class WHERE relname = 'tailwater_adoptions'";
    let copied = "SELECT coalesce(sum(copied), 0)::bigint FROM tailwater_adoptions";
    let sum = || if server.value::<i64>(there) == 1 { server.value(copied) } else { 0 };
    let before: i64 = sum();
    let mut command = tailwater(data);
    command.args(["migrate", "--adopt-bc", "--database-url", server.url()]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts");
    patiently("a piece is copied", || (sum() > before).then_some(()));
    let held = server.hold("LOCK TABLE tailwater_adoptions IN EXCLUSIVE MODE");
    let finished: i64 = server.value("SELECT count(*) FROM tailwater_adoptions WHERE finished_at IS NULL");
    assert!(finished > 0, "it is in the middle");
    (child, held)
}

#[test]
fn killed_in_the_middle_it_goes_on_where_it_was() {
    let Some(server) = PrivateServer::up() else { return };
    let home = tempdir().unwrap();
    let data = home.path().join("data");
    server.execute(GO_TABLES);
    server.execute(
        "INSERT INTO system_metrics SELECT timestamptz '2025-01-01 00:00:00+00' + n * interval '1 second',
             'box', n % 100, n, n, 50, n, n, n, n FROM generate_series(1, 800000) AS n",
    );
    // The process is killed: its server's session finds out when it next has something to say.
    let (mut child, held) = begin(&server, &data);
    child.kill().unwrap();
    child.wait().unwrap();
    drop(held);
    // The database is killed: the process ends with one line.
    let (child, _held) = begin(&server, &data);
    server.kill();
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(2), "{}", stdout(&ended));
    let line = stderr(&ended);
    assert!(line.contains("goes on where it stopped") && line.trim_end().lines().count() == 1, "{line}");
    server.start();
    // Its session alone is ended.
    let (child, held) = begin(&server, &data);
    assert_eq!(server.terminate_lanes(), 1);
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(2));
    drop(held);

    assert!(migrated(&data, server.url(), &[]).contains("not all rows of the Go package are copied yet"));
    let other = refused(&data, server.url(), &["--adopt-bc", "--host", "elsewhere"]);
    assert!(other.contains("was begun with --host"), "{other}");
    let told = migrated(&data, server.url(), &["--adopt-bc"]);
    assert!(told.contains("goes on"), "{told}");
    assert!(told.contains("system_metrics: 800,000 rows: 800,000 copied\n"), "{told}");
    let same: bool = server.value(
        "SELECT count(*) = 800000 AND count(DISTINCT position) = 800000 AND bool_and(position = net_rx_bytes)
         FROM system_metrics JOIN system_metrics_bc USING (time, system_name, net_rx_bytes)",
    );
    assert!(same, "every row is there once, in its place");
    assert!(migrated(&data, server.url(), &["--adopt-bc"]).contains("nothing to adopt"));
    assert!(!migrated(&data, server.url(), &[]).contains("Go package"));
}
