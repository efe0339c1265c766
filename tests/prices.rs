//! Prices: what a call costs in the database, and what a bad `prices.toml` does and does not stop.
#![cfg(test)]

mod support;

use std::fs;
use std::path::Path;
use std::process::Output;

use support::daemon::Daemon;
use support::database::Database;
use support::{json, record, stderr, stdout, tailwater};
use tempfile::tempdir;

const COSTS: &str =
    "SELECT concat_ws(' ', model, cost_usd, computed_cost_usd, price_source) FROM token_costs ORDER BY model";

fn usage(model: &str, more: &str) -> String {
    format!(
        "{{\"kind\":\"token_usage\",\"time\":\"2026-01-02T03:04:05Z\",\"agent_name\":\"a\",\"model\":\"{model}\",\
         \"input_tokens\":1000000,\"output_tokens\":0{more}}}\n"
    )
}

fn command(data: &Path, arguments: &[&str], url: &str) -> Output {
    tailwater(data).args(arguments).args(["--database-url", url]).output().unwrap()
}

#[test]
fn calls_cost_what_the_owners_prices_say_and_a_bad_file_stops_nothing() {
    let Some(database) = Database::create() else { return };
    let home = tempdir().unwrap();
    let (data, url) = (home.path().join("data"), database.url());
    let calls = usage("anthropic/claude-opus-4-5-20251101", "")
        + &usage("gpt-5", ",\"cost_usd\":0.5")
        + &usage("mine", "")
        + &usage("nobody-knows-me", "");
    json(&record(&data, &calls));
    let own = data.join("prices.toml");
    fs::write(&own, "[[price]]\nmodel = 'mine'\ninput = 2\n").unwrap();
    json(&command(&data, &["project", "--until-head", "--json"], &url));
    let opus = "anthropic/claude-opus-4-5-20251101 5 5 embedded";
    let expected = [opus, "gpt-5 0.5 1.25 embedded", "mine 2 2 prices.toml", "nobody-knows-me"];
    assert_eq!(database.values::<String>(COSTS), expected);

    fs::write(&own, "[[price]]\nmodel = 'mine'\ninput = 'much'\n").unwrap();
    let check = tailwater(&data).args(["config", "check"]).output().unwrap();
    let told = stderr(&check);
    assert_eq!(check.status.code(), Some(1), "{told}");
    assert!(told.contains("prices.toml: line 3: price 1: input: is not a number"), "{told}");
    let again = command(&data, &["project", "--until-head"], &url);
    assert!(
        again.status.success() && stderr(&again).contains("the embedded prices alone"),
        "{}",
        stderr(&again)
    );
    assert_eq!(database.values::<String>(COSTS), [opus, expected[1], "mine", "nobody-knows-me"]);

    let doctor = command(&data, &["doctor"], &url);
    let told = stdout(&doctor);
    assert!(
        told.contains("prices.toml: line 3") && told.contains("rows; every call of the last day"),
        "{told}"
    );
}

#[test]
fn the_daemon_goes_on_without_prices_that_it_cannot_read() {
    let Some(database) = Database::create() else { return };
    let home = tempdir().unwrap();
    let (data, url) = (home.path().join("data"), database.url());
    fs::create_dir_all(&data).unwrap();
    fs::write(data.join("prices.toml"), "[[price]]\n").unwrap();
    let mut run = tailwater(&data);
    run.args(["run", "--database-url", &url]).env("TAILWATER_HOST_ENABLED", "false");
    let daemon = Daemon::start_command(&data, run.env("TAILWATER_TMUX_ENABLED", "false"));
    json(&record(&data, &usage("claude-haiku-4-5", "")));
    let project = command(&data, &["project", "--until-head"], &url);
    assert!(project.status.success(), "{}", stderr(&project));
    assert_eq!(database.values::<String>(COSTS), ["claude-haiku-4-5 1 1 embedded"]);
    let (status, output) = daemon.stop();
    assert!(status.success(), "{output}");
    assert_eq!(output.matches("the embedded ones hold").count(), 1, "{output}");
}

#[test]
fn migrate_brings_the_embedded_prices() {
    let Some(database) = Database::create() else { return };
    let home = tempdir().unwrap();
    let migrated = command(&home.path().join("data"), &["migrate"], &database.url());
    assert!(migrated.status.success(), "{}", stderr(&migrated));
    let rows = database.value::<i64>("SELECT count(*) FROM model_prices WHERE source = 'embedded'");
    assert!(rows >= 15, "{rows}");
}
