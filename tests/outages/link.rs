//! The way to the server fails: connections are reset in the middle of a COPY, or all goes silent, with the server's
//! end of the link still there or with every packet lost.

use std::rc::Rc;

use crate::support::database::{PrivateServer, address, with_address};
use crate::support::network::Network;
use crate::support::relay::{Fault, Relay};
use crate::support::scene::{Scene, patiently, quiet};

/// A batch's most; its COPY is several megabytes, far more than sockets hold.
const MANY: u64 = 20_000;
/// In the middle of that COPY.
const SOME_BYTES: u64 = 700_000;

#[test]
fn a_connection_is_reset_in_the_middle_of_a_copy() {
    let Some(server) = PrivateServer::up() else { return };
    let relay = Relay::to(server.url());
    let mut scene = Scene::begin(relay.url());
    relay.arm(SOME_BYTES, Fault::Reset);
    scene.record("many", MANY);
    relay.wait_for_fault();
    scene.wait_for_outage("");
    scene.arrive(|sql| server.values(sql));
    assert!(relay.resets() >= 1);
    scene.end_after_outage();
}

/// The kernels on the way answer for a server that hears nothing, so no packet is lost; data that nobody takes is
/// what gives it away. The server's session is as deaf, and still holds its locks when the way is free again.
#[test]
fn a_link_goes_silent_in_the_middle_of_a_copy() {
    let Some(server) = PrivateServer::up() else { return };
    let relay = Relay::to(server.url());
    let mut scene = Scene::begin(relay.url());
    relay.arm(SOME_BYTES, Fault::Silence);
    scene.record("many", MANY);
    relay.wait_for_fault();
    scene.wait_for_lasting_outage("");
    relay.forget();
    // NOTE: the relay keeps the dead session's end open, so that nobody but the new lane ends it.
    scene.arrive(|sql| server.values(sql));
    scene.wait_for_line("ended a dead session of this log's");
    scene.end_after_outage();
}

/// The server's session holds its locks in the middle of a COPY, and nothing but its own kernel's timeouts ends it.
#[test]
fn every_packet_is_lost_in_the_middle_of_a_copy() {
    let Some(server) = PrivateServer::up() else { return };
    let Some(network) = Network::make() else { return };
    let near = network.near();
    server.admit(&["host all all 127.0.0.1/32 trust", "host all all 198.18.0.0/15 trust"]);
    server.execute(&format!("ALTER SYSTEM SET listen_addresses = '127.0.0.1, {near}'"));
    server.stop_fast();
    server.start();
    let port = address(server.url()).rsplit_once(':').expect("a port").1;
    let url = with_address(server.url(), &format!("{near}:{port}"));
    let network = Rc::new(network);
    let link = Rc::clone(&network);
    let mut scene = Scene::begin_with(move |data| link.inside(&quiet(data, &url)));
    stall_at(&server, "many.400.20000");
    let stall = server.hold("SELECT pg_advisory_xact_lock(7)");
    scene.record("many", MANY);
    patiently("the lane is in the middle of a COPY", || {
        let sql = "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted)";
        server.value::<bool>(sql).then_some(())
    });
    network.cut();
    drop(stall);
    scene.wait_for_lasting_outage("");
    network.mend();
    scene.arrive(|sql| server.values(sql));
    scene.end_after_outage();
}

/// The COPY of this event waits for an advisory lock.
fn stall_at(server: &PrivateServer, name: &str) {
    server.execute(
        "CREATE FUNCTION stall() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            PERFORM pg_advisory_xact_lock_shared(7);
            RETURN NEW;
        END $$",
    );
    server.execute(&format!(
        "CREATE TRIGGER stall BEFORE INSERT ON agent_metrics
            FOR EACH ROW WHEN (NEW.agent_name = '{name}') EXECUTE FUNCTION stall()"
    ));
}
