//! What only the crate itself sees of a session: its link, its transactions, its channel binding.

use rcgen::{CertifiedKey, generate_simple_self_signed};
use tokio_postgres::config::ChannelBinding;

use super::*;
use crate::predecessor::{Ended, end_predecessor};
use crate::testing::{PgBouncer, PrivateServer, TestDatabase, connect as admin};

async fn text(session: &Session, sql: &str) -> String {
    session.client().query_typed_one(sql, &[]).await.unwrap().get(0)
}

#[test]
fn the_reason_of_an_end_may_come_a_moment_behind_it() {
    let end = Arc::new(OnceLock::new());
    assert!(told(&end).is_none(), "it never comes");
    let late = Arc::clone(&end);
    let driving = thread::spawn(move || {
        thread::sleep(Duration::from_millis(2));
        late.set(End { kind: ErrorKind::Retry, message: "57P01".to_owned() })
    });
    // NOTE: a machine that is busy may take longer than the moment; then it is looked for again.
    let found = (0..500).find_map(|_| told(&end));
    assert_eq!(found.map(|end| end.message.as_str()), Some("57P01"));
    assert!(driving.join().unwrap().is_ok());
}

#[tokio::test]
async fn a_session_with_the_server_itself_is_direct() {
    let Some(database) = TestDatabase::create().await else { return };
    let session = Session::open(database.url(), "tailwater/a/b").await.unwrap();
    assert_eq!(session.link(), Link::Direct);
    assert_eq!(text(&session, "SHOW application_name").await, "tailwater/a/b");
    assert_eq!(text(&session, "SHOW tcp_user_timeout").await, "30000");
}

#[tokio::test]
async fn a_session_by_the_servers_own_socket_is_direct() {
    let Some(server) = PrivateServer::up() else { return };
    // A server in a container keeps its socket to itself.
    let Some(url) = server.socket_url() else { return };
    assert_eq!(Session::open(&url, "tailwater/a/b").await.unwrap().link(), Link::Direct);
}

#[tokio::test]
async fn a_session_with_a_pooler_is_pooled_and_ends_nobody() {
    let Some(database) = TestDatabase::create().await else { return };
    let Some(pooler) = PgBouncer::up(database.url(), 1) else { return };
    for url in [pooler.url(), pooler.socket_url()] {
        let session = Session::open(url, "tailwater/a/b").await.unwrap();
        assert_eq!(session.link(), Link::Pooled, "{url}");
        // It does not even look: there is no table to look at yet.
        assert_eq!(
            end_predecessor(&session, &LogId::random(), &crate::ledger::Ledger::Ranges, 1, 1).await.unwrap(),
            Ended::Pooled
        );
        assert_eq!(text(&session, "SHOW tcp_user_timeout").await, "0");
    }
}

/// Else the next one to have the server's session would meet a statement that nobody knows of.
#[tokio::test]
async fn a_copy_that_is_dropped_at_its_start_ends_a_pooled_session() {
    let Some(database) = TestDatabase::create().await else { return };
    let Some(pooler) = PgBouncer::up(database.url(), 1) else { return };
    let holder = database.client().await;
    holder.batch_execute("CREATE TABLE t (a int)").await.unwrap();
    holder.batch_execute("BEGIN; LOCK TABLE t").await.unwrap();
    let session = Session::open(pooler.url(), "tailwater/a/b").await.unwrap();
    session.run("beginning", session.begin_sql()).await.unwrap();
    let until_blocked = async {
        let sql = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 't'::regclass";
        while holder.query_one(sql, &[]).await.unwrap().get::<_, i64>(0) == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let mut prepared = Prepared::default();
    tokio::select! {
        copied = session.copy_in("SAVEPOINT a", &mut prepared, "COPY t FROM STDIN") => {
            panic!("copied through a lock: {:?}", copied.err())
        }
        () = until_blocked => {}
    }
    holder.batch_execute("COMMIT").await.unwrap();
    let error = session.roll_back("rolling back", "ROLLBACK").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Retry, "{error}");
    assert!(error.to_string().contains("may have been left behind"), "{error}");
    drop(session);
    let next = Session::open(pooler.url(), "tailwater/a/b").await.unwrap();
    assert_eq!(text(&next, "SELECT count(*)::text FROM pg_prepared_statements").await, "0");
}

#[tokio::test]
async fn settings_begin_and_end_with_a_transaction() {
    let Some(database) = TestDatabase::create().await else { return };
    let name = database.url().database();
    let admin = admin(database.server()).await;
    admin.batch_execute(&format!("ALTER DATABASE {name} SET statement_timeout = '1h'")).await.unwrap();
    let session = Session::open(database.url(), "tailwater/a/b").await.unwrap();
    let all = "SELECT concat_ws(' ', current_setting('lock_timeout'), current_setting('TimeZone'),
        current_setting('idle_in_transaction_session_timeout'), current_setting('statement_timeout'),
        current_setting('search_path'))";
    // What somebody else may have left.
    session
        .run("leaving", "SET TimeZone = 'Asia/Tokyo'; SET search_path = x; SET statement_timeout = 7")
        .await
        .unwrap();
    let before = text(&session, all).await;
    assert_eq!(before, "0 Asia/Tokyo 0 7ms x");
    session.run("beginning", session.begin_sql()).await.unwrap();
    assert_eq!(text(&session, all).await, "10s UTC 1min 1h \"$user\", public");
    session.run("ending", "COMMIT").await.unwrap();
    assert_eq!(text(&session, all).await, before);
}

/// SCRAM over TLS is bound to the server's certificate, so that nobody in between can use it.
#[tokio::test]
async fn a_password_over_tls_is_bound_to_the_channel() {
    let Some(server) = PrivateServer::up() else { return };
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    server.write_file("tls.key", &signing_key.serialize_pem()).await;
    server.write_file("tls.crt", &cert.pem()).await;
    let client = admin(server.url()).await;
    client.batch_execute("CREATE ROLE guest LOGIN PASSWORD 'p'").await.unwrap();
    let entries = "host all postgres all trust\nhost all guest all scram-sha-256";
    server.write_file("pg_hba.conf", entries).await;
    server.configure(&[("ssl_key_file", "tls.key"), ("ssl_cert_file", "tls.crt"), ("ssl", "on")]).await;

    let url = server.url().secret().replacen("//postgres@", "//guest:p@", 1);
    let required: DatabaseUrl = format!("{url}?sslmode=require").parse().unwrap();
    let mut config = required.config();
    config.channel_binding(ChannelBinding::Require);
    config.ssl_mode(SslMode::Require).ssl_negotiation(SslNegotiation::Direct);
    // The server reads its settings when it comes to it.
    while dial(&required, Channel::Tls).await.is_err() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let stream = dial(&required, Channel::Tls).await.unwrap_or_else(|failure| panic!("{failure:?}"));
    assert!(config.connect_raw(stream, Secured).await.is_ok());
    let stream = dial(&required, Channel::Plain).await.unwrap_or_else(|failure| panic!("{failure:?}"));
    let error = config.connect_raw(stream, Secured).await.err().unwrap();
    assert!(format!("{error:?}").contains("channel binding"), "{error:?}");
}
