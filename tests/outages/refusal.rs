//! The database refuses what a person must mend: the projection halts and says so, recording goes on, and once it is
//! mended everything arrives by itself.

use crate::support::database::{PrivateServer, with_user};
use crate::support::scene::Scene;

/// What a person does, when all is as it should be again.
fn mended(mut scene: Scene, server: &PrivateServer) {
    scene.arrive(|sql| server.values(sql));
    scene.end_after_halt();
}

#[test]
fn a_password_is_changed() {
    let Some(server) = PrivateServer::up() else { return };
    server.execute("CREATE ROLE lanes LOGIN PASSWORD 'sekret'");
    server.execute("ALTER DATABASE tailwater OWNER TO lanes");
    server.admit(&["host all lanes all scram-sha-256", "host all all 127.0.0.1/32 trust"]);
    let mut scene = Scene::begin(&with_user(server.url(), "lanes:sekret"));
    server.execute("ALTER ROLE lanes PASSWORD 'another'");
    server.terminate_lanes();
    scene.wait_for_halt(&["28P01", "password authentication failed"]);
    let output = scene.output();
    assert!(!output.contains("sekret") && !output.contains("another"), "{output}");
    server.execute("ALTER ROLE lanes PASSWORD 'sekret'");
    mended(scene, &server);
}

#[test]
fn a_permission_is_revoked() {
    let Some(server) = PrivateServer::up() else { return };
    server.execute("CREATE ROLE lanes LOGIN");
    server.execute("ALTER DATABASE tailwater OWNER TO lanes");
    let mut scene = Scene::begin(&with_user(server.url(), "lanes"));
    server.execute("REVOKE INSERT ON agent_metrics FROM lanes");
    scene.wait_for_halt(&["42501", "agent_metrics"]);
    server.execute("GRANT INSERT ON agent_metrics TO lanes");
    mended(scene, &server);
}

#[test]
fn a_table_is_dropped() {
    let Some(server) = PrivateServer::up() else { return };
    let mut scene = Scene::begin(server.url());
    server.execute(
        "LOCK TABLE agent_metrics; CREATE TABLE kept (LIKE agent_metrics INCLUDING ALL);
        INSERT INTO kept SELECT * FROM agent_metrics; DROP TABLE agent_metrics",
    );
    scene.wait_for_halt(&["42P01", "agent_metrics"]);
    server.execute("ALTER TABLE kept RENAME TO agent_metrics");
    mended(scene, &server);
}

#[test]
fn an_owners_constraint_refuses_an_event() {
    let Some(server) = PrivateServer::up() else { return };
    let mut scene = Scene::begin(server.url());
    server.execute("ALTER TABLE agent_metrics ADD CONSTRAINT narrow CHECK (agent_name <> 'refused.3.9')");
    scene.record("refused", 9);
    scene.wait_for_refusal();
    scene.record("during", 20);
    server.execute("ALTER TABLE agent_metrics DROP CONSTRAINT narrow");
    scene.restart_after(|| {
        // NOTE: an event in quarantine stays there until it is retried, or replayed from the beginning as here.
        server.execute("DELETE FROM tailwater_ranges WHERE EXISTS (SELECT FROM tailwater_quarantine)");
    });
    scene.arrive(|sql| server.values(sql));
    scene.end_after_refusal();
}
