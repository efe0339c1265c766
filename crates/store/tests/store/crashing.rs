//! What is on the disk of a server whose owner has said that no COMMIT waits for it.

use event::Position;
use projector::{LaneName, Target, WriterId};
use store::testing::{PrivateServer, connect};
use store::{StoreOptions, TimescaleTarget};

use crate::support::{Range, log, samples};

/// Its own log writer comes so seldom that a crash takes everything that nobody has waited for.
#[tokio::test]
async fn a_flushed_batch_and_a_claim_survive_a_crash_where_commits_do_not_wait() {
    let Some(server) = PrivateServer::up() else { return };
    server
        .configure(&[("synchronous_commit", "off"), ("wal_writer_delay", "10s"), ("autovacuum", "off")])
        .await;
    let (log, writer) = (log("home"), WriterId::random());
    let target = TimescaleTarget::new(server.url().clone(), StoreOptions::default());
    let connect_again = async || {
        server.stop("immediate");
        server.start();
        target.connect(&log, LaneName::Live).await.unwrap()
    };

    let mut range = Range::claim(target.connect(&log, LaneName::Live).await.unwrap(), writer).await;
    range.apply(&samples("a", 10)).await;
    let lane = connect_again().await;
    let mut range = Range { lane, ..range };
    let found = range.claim_again().await;
    assert_eq!((found.cursor.next, found.writer), (Position(11), Some(writer)), "the batch is there");
    let client = connect(server.url()).await;
    let rows: i64 = client.query_one("SELECT count(*) FROM agent_metrics", &[]).await.unwrap().get(0);
    assert_eq!(rows, 10);

    range.writer = WriterId::random();
    range.claim_again().await;
    let claimed = range.writer;
    range.lane = connect_again().await;
    assert_eq!(range.claim_again().await.writer, Some(claimed), "the claim is there");
}
