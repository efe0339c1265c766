//! `quarantine`: looking at what the database has refused, trying it again, giving it up; with a daemon and without.
#![cfg(test)]

mod support;

use std::path::PathBuf;
use std::process::Output;

use serde_json::Value;
use support::daemon::Daemon;
use support::database::Database;
use support::{agent_line, eventually, json, record, stderr, stdout, tailwater};
use tempfile::{TempDir, tempdir};

/// A log, a database that refuses agents called `bad`, and maybe a daemon.
struct Scene {
    // NOTE: dropped in this order: the daemon first.
    daemon: Option<Daemon>,
    home: TempDir,
    database: Database,
}

impl Scene {
    /// Six events, of which 2, 4 and 5 are refused; `None` where there is no server.
    fn new(with_daemon: bool) -> Option<Self> {
        let mut scene = Self { daemon: None, home: tempdir().unwrap(), database: Database::create()? };
        scene.record(&["good"]);
        json(&scene.run(&["project", "--until-head", "--json"]));
        let check = "ALTER TABLE agent_metrics ADD CONSTRAINT fussy CHECK (agent_name <> 'bad')";
        scene.database.execute(check);
        if with_daemon {
            scene.start_daemon();
        }
        scene.record(&["bad", "good", "bad", "bad", "good"]);
        let projected = json(&scene.run(&["project", "--until-head", "--json"]));
        if !with_daemon {
            assert_eq!((&projected["quarantined"], &projected["inserted"]), (&3.into(), &2.into()));
        }
        Some(scene)
    }

    fn start_daemon(&mut self) {
        let data = self.data();
        let mut command = tailwater(&data);
        command.args(["run", "--database-url", &self.database.url()]);
        command.env("TAILWATER_HOST_ENABLED", "false").env("TAILWATER_TMUX_ENABLED", "false");
        self.daemon = Some(Daemon::start_command(&data, &mut command));
    }

    fn data(&self) -> PathBuf {
        self.home.path().join("data")
    }

    /// Records an event for each agent; its second is the position that it gets.
    fn record(&self, agents: &[&str]) {
        let stat = tailwater(&self.data()).args(["log", "stat", "--format", "json"]).output().unwrap();
        let stat: Value = serde_json::from_slice(&stat.stdout).unwrap_or_default();
        let next = stat["next_position"].as_u64().unwrap_or(1);
        let lines: String =
            (next..).zip(agents).map(|(second, agent)| agent_line(agent, second, 1.0)).collect();
        json(&record(&self.data(), &lines));
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let url = self.database.url();
        tailwater(&self.data()).args(arguments).args(["--database-url", &url]).output().unwrap()
    }

    fn quarantine(&self, arguments: &[&str]) -> Output {
        self.run(&[&["quarantine"], arguments, &["--format", "json"]].concat())
    }

    /// The answer of a command, whatever its exit code, and that.
    fn answer(&self, arguments: &[&str]) -> (Value, Option<i32>) {
        let output = self.quarantine(arguments);
        let answer = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", stderr(&output)));
        (answer, output.status.code())
    }

    fn positions(&self, arguments: &[&str]) -> Vec<u64> {
        let rows = json(&self.quarantine(&[&["list"], arguments].concat()));
        rows.as_array().unwrap().iter().map(|row| row["position"].as_u64().unwrap()).collect()
    }

    fn in_table(&self) -> i64 {
        self.database.value("SELECT count(*) FROM agent_metrics")
    }

    /// What the daemon tells at once after a command: it must be right then.
    fn check_told(&self, events: u64) {
        if let Some(daemon) = &self.daemon {
            let status = daemon.status();
            assert_eq!(status["quarantine"]["events"], events, "{status}");
            assert_eq!(status["projection"]["state"], "live", "{status}");
        }
    }
}

fn both(body: impl Fn(Scene)) {
    for with_daemon in [false, true] {
        if let Some(scene) = Scene::new(with_daemon) {
            body(scene);
        }
    }
}

#[test]
fn what_was_refused_is_listed_and_shown_with_the_reason() {
    both(|scene| {
        let rows = json(&scene.quarantine(&["list"]));
        let first = rows[0].as_object().unwrap();
        assert_eq!(first.keys().collect::<Vec<_>>(), ["position", "kind", "sqlstate", "message", "at"]);
        assert_eq!((&first["position"], &first["kind"]), (&2.into(), &"agent_sample".into()));
        assert!(first["message"].as_str().unwrap().contains("fussy"), "{first:?}");
        assert_eq!(scene.positions(&["--sqlstate", "23514"]), [2, 4, 5]);
        assert_eq!(scene.positions(&["--from", "3", "--to", "5"]), [4], "the end is exclusive");
        assert_eq!(scene.positions(&["--kind", "gap"]), [0; 0]);
        if let Some(daemon) = &scene.daemon {
            let url =
                format!("http://{}/api/quarantine", daemon.status()["ingest"]["address"].as_str().unwrap());
            let answer = ureq::get(url).call().unwrap().body_mut().read_to_string().unwrap();
            assert_eq!(serde_json::from_str::<Value>(&answer).unwrap(), rows);
        }
        let csv = stdout(&scene.run(&["quarantine", "list", "--format", "csv"]));
        assert!(csv.starts_with("position,kind,sqlstate,message,at\n2,agent_sample,23514,"), "{csv}");
        assert_eq!(csv.lines().count(), 4, "{csv}");
        let table = stdout(&scene.run(&["quarantine", "list"]));
        assert!(table.lines().count() == 4 && table.contains("23514"), "{table}");
        let (shown, code) = scene.answer(&["show", "4"]);
        assert_eq!((&shown["position"], code), (&4.into(), Some(0)));
        assert_eq!(
            (&shown["event"]["kind"], &shown["event"]["agent_name"]),
            (&"agent_sample".into(), &"bad".into())
        );
        let missing = scene.quarantine(&["show", "3"]);
        assert_eq!(missing.status.code(), Some(1));
        assert!(stderr(&missing).contains("position 3 is not in quarantine"), "{}", stderr(&missing));
        scene.check_told(3);
    });
}

#[test]
fn what_is_tried_again_lands_once_nothing_refuses_it() {
    both(|scene| {
        let (refused, code) = scene.answer(&["retry", "--to", "5"]);
        assert_eq!((&refused["tried"], &refused["refused"], code), (&2.into(), &2.into(), Some(1)));
        scene.check_told(3);
        scene.database.execute("ALTER TABLE agent_metrics DROP CONSTRAINT fussy");
        let (dry, code) = scene.answer(&["retry", "--dry-run"]);
        assert_eq!((&dry["dry_run"], &dry["inserted"], code), (&true.into(), &3.into(), Some(0)));
        assert_eq!((scene.in_table(), scene.positions(&[])), (3, vec![2, 4, 5]), "taken back");
        let output = scene.quarantine(&["retry", "--from", "4", "--sqlstate", "23514"]);
        assert!(stderr(&output).contains("trying 2 events"), "the count comes first: {}", stderr(&output));
        let answer = json(&output);
        assert_eq!((&answer["inserted"], &answer["quarantined"]), (&2.into(), &1.into()));
        assert_eq!((scene.in_table(), scene.positions(&[])), (5, vec![2]));
        scene.check_told(1);
        let (nothing, code) = scene.answer(&["retry", "--kind", "gap"]);
        assert_eq!((&nothing["tried"], code), (&0.into(), Some(0)));
    });
}

#[test]
fn what_is_given_up_is_gone_from_the_quarantine_and_stays_in_the_log() {
    both(|scene| {
        let all = scene.quarantine(&["drop"]);
        assert_eq!(all.status.code(), Some(2), "without a filter it must say --all");
        assert!(stderr(&all).contains("--all"), "{}", stderr(&all));
        assert_eq!(scene.quarantine(&["drop", "--all", "--kind", "gap"]).status.code(), Some(2));
        let (dry, code) = scene.answer(&["drop", "--all", "--dry-run"]);
        assert_eq!((&dry["dropped"], &dry["quarantined"], code), (&3.into(), &3.into(), Some(0)));
        let output = scene.quarantine(&["drop", "--from", "4"]);
        assert!(stderr(&output).contains("giving up 2 events"), "the count comes first: {}", stderr(&output));
        assert_eq!(json(&output)["dropped"], 2);
        assert_eq!(scene.positions(&[]), [2]);
        scene.check_told(1);
        assert_eq!(json(&scene.quarantine(&["drop", "--all"]))["quarantined"], 0);
        scene.check_told(0);
        assert_eq!(scene.positions(&[]), [0; 0]);
        assert_eq!(stdout(&scene.run(&["quarantine", "list"])), "");
        let stat =
            json(&tailwater(&scene.data()).args(["log", "stat", "--format", "json"]).output().unwrap());
        assert_eq!(stat["events"], 6);
    });
}

#[test]
fn without_a_database_or_its_tables_there_is_one_line() {
    let Some(database) = Database::create() else { return };
    let home = tempdir().unwrap();
    let data = home.path().join("data");
    json(&record(&data, &agent_line("a", 1, 1.0)));
    let list = |arguments: &[&str]| {
        let output = tailwater(&data).args(["quarantine", "list"]).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        assert_eq!(stderr(&output).trim_end().lines().count(), 1, "{}", stderr(&output));
        stderr(&output)
    };
    assert!(list(&[]).contains("no database is set"));
    assert!(list(&["--database-url", &database.url()]).contains("migrate"));
    let away = list(&["--database-url", "postgres://me:sekret@127.0.0.1:9/x"]);
    assert!(away.contains("refused") && !away.contains("sekret"), "{away}");
}

#[test]
fn what_an_older_version_did_not_know_is_tried_again_by_a_newer_one() {
    let Some(mut scene) = Scene::new(false) else { return };
    scene.database.execute(
        "ALTER TABLE agent_metrics DROP CONSTRAINT fussy;
         UPDATE tailwater_quarantine SET kind = 'unknown(9)', sqlstate = 'TW001' WHERE position = 4;
         UPDATE tailwater_quarantine SET kind = 'unknown(200)', sqlstate = 'TW001', record = '\\x92ccc801'
             WHERE position = 5",
    );
    let at = |position: u64| -> String {
        scene
            .database
            .value(&format!("SELECT at::text FROM tailwater_quarantine WHERE position = {position}"))
    };
    let unknown_at = at(5);
    let (shown, _) = scene.answer(&["show", "5"]);
    assert_eq!((&shown["kind"], &shown["event"]), (&"unknown(200)".into(), &Value::Null));
    scene.start_daemon();
    eventually("what is known now has landed", || (scene.in_table() == 4).then_some(()));
    assert_eq!(scene.positions(&[]), [2, 5], "only those, and only what is known");
    let unknown_still: String =
        scene.database.value("SELECT at::text FROM tailwater_quarantine WHERE position = 5");
    assert_eq!(unknown_still, unknown_at, "what is not known was left alone");
    eventually("the daemon knows", || {
        let status = scene.daemon.as_ref().unwrap().status();
        (status["quarantine"]["events"] == 2 && status["projection"]["state"] == "live").then_some(())
    });
    let (exit, output) = scene.daemon.take().unwrap().stop();
    assert!(exit.success() && output.matches("have left the quarantine").count() == 1, "{output}");
    assert!(!output.contains("WARN") && !output.contains("ERROR"), "{output}");
}
