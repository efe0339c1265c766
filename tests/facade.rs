//! The library's reader, embedded: without a daemon, through one, and from the database while it is there.
#![cfg(test)]

mod support;

use support::database::Database;
use support::log::Log;
use support::relay::Relay;
use support::{agent_lines, eventually, json, record};
use tailwater::config::{Config, Origin, Overrides, RawConfig, RawValue};
use tailwater::{Answer, Facade, FacadeErrorKind, Source, Topic};

const DAY: [(&str, &str); 2] = [("from", "2026-01-01T00:00:00Z"), ("to", "2026-01-03T00:00:00Z")];

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// The settings of a log and of a database, and of nothing else.
fn config(log: &Log, database: Option<&str>) -> Config {
    let value = |text: &str| RawValue { text: text.to_owned(), origin: Origin::Default };
    let mut given = Overrides::from([("data_dir", value(log.data().to_str().unwrap()))]);
    given.extend(database.map(|url| ("database.url", value(url))));
    let raw = RawConfig::gather(None, |_| None, given).unwrap();
    Config::new(&raw, |_| None).unwrap()
}

async fn ask(facade: &Facade, topic: Topic) -> (Answer, Source) {
    facade.ask(topic, &DAY).await.unwrap()
}

fn usage() -> &'static str {
    r#"{"kind":"token_usage","time":"2026-01-02T00:00:05Z","agent_name":"zen","model":"claude-opus-4-5","message_id":"msg_1","input_tokens":10,"output_tokens":20,"final":true}
"#
}

#[test]
fn without_a_daemon_and_through_one_the_log_answers_alike() {
    let mut log = Log::new(false);
    json(&record(&log.data(), &(agent_lines("zen", 20) + usage())));
    let runtime = runtime();
    runtime.block_on(async {
        let facade = Facade::with_config(config(&log, None));
        let (alone, source) = ask(&facade, Topic::Agents).await;
        assert_eq!(source, Source::Log);
        // Two at once: one waits until the other has let go of the log.
        let (one, other) = tokio::join!(ask(&facade, Topic::Agents), ask(&facade, Topic::Agents));
        assert_eq!((&one.0, &other.0), (&alone, &alone));
        log.start_daemon();
        assert_eq!(ask(&facade, Topic::Agents).await.0, alone);
        let Answer::Agents(rows) = alone else { panic!("{alone:?}") };
        assert_eq!(facade.agents(&DAY).await.unwrap(), rows);
        let summary =
            facade.summary(&[("agent", "zen"), DAY[0], DAY[1]]).await.unwrap().expect("zen is there");
        assert_eq!((summary.models.len(), summary.tokens.unwrap().output), (1, 20));
        assert!(summary.cost_usd.is_some_and(|cost| cost > 0.0), "{summary:?}");
        assert_eq!(facade.summary(&[("agent", "nobody")]).await.unwrap(), None);
        assert_eq!(facade.tokens(&DAY).await.unwrap().len(), 1);
        assert_eq!(facade.workspace().await.unwrap().workspace_path, log.data().to_str().unwrap());
        assert!(facade.pool().await.unwrap().is_none());
        facade.close().await;
    });
}

#[test]
fn what_means_nothing_and_what_is_not_there_are_told_apart() {
    let log = Log::new(false);
    runtime().block_on(async {
        let facade = Facade::with_config(config(&log, None));
        let error = facade.agents(&[("interval", "0s")]).await.unwrap_err();
        assert_eq!(error.kind(), FacadeErrorKind::Invalid);
        assert!(error.to_string().starts_with("interval: "), "{error}");
        let error = facade.latest(&[]).await.unwrap_err();
        assert_eq!(error.kind(), FacadeErrorKind::Refused);
        assert!(error.to_string().contains("there is no log"), "{error}");
    });
}

#[test]
fn the_database_answers_while_it_is_there_and_the_log_while_it_is_not() {
    let Some(database) = Database::create() else { return };
    let url = database.url();
    let relay = Relay::to(&url);
    let mut log = Log::new(false);
    json(&record(&log.data(), &agent_lines("zen", 20)));
    log.start_daemon_with(&["--database-url", &url]);
    eventually("all is in the database", || {
        let status = log.daemon.as_ref().expect("a daemon").status();
        (status["projection"]["lag_events"] == 0).then_some(())
    });
    let runtime = runtime();
    runtime.block_on(async {
        let facade = Facade::with_config(config(&log, Some(relay.url())));
        let (answer, first) = ask(&facade, Topic::Agents).await;
        assert_eq!(first, Source::Database);
        let pool = facade.pool().await.unwrap().expect("a database");
        drop(pool);
        relay.silence();
        assert_eq!(ask(&facade, Topic::Agents).await, (answer.clone(), Source::Log));
        assert_eq!(ask(&facade, Topic::Latest).await.1, Source::Log);
        relay.thaw();
        for _ in 0..600 {
            if ask(&facade, Topic::Latest).await.1 == Source::Database {
                assert_eq!(ask(&facade, Topic::Agents).await.0, answer);
                return facade.close().await;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        panic!("the database did not answer again");
    });
}
