//! The server goes, its sessions are ended, it lets nobody in, it is full: all of that heals without us.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use store::testing::skip;

use crate::support::database::{PrivateServer, with_user};
use crate::support::scene::{Scene, patiently};

/// The SQLSTATE of a server that is told to stop, or of a session that is ended.
const ADMIN_SHUTDOWN: &str = "57P01";

#[test]
fn a_server_is_stopped_in_order() {
    let Some(server) = PrivateServer::up() else { return };
    let mut scene = Scene::begin(server.url());
    server.stop_fast();
    scene.wait_for_lasting_outage("");
    server.start();
    scene.arrive(|sql| server.values(sql));
    scene.end_after_outage();
}

#[test]
fn a_server_crashes() {
    let Some(server) = PrivateServer::up() else { return };
    let mut scene = Scene::begin(server.url());
    server.stop_immediately();
    scene.wait_for_lasting_outage("");
    server.start();
    scene.arrive(|sql| server.values(sql));
    scene.end_after_outage();
}

#[test]
fn a_server_is_killed() {
    let Some(server) = PrivateServer::up() else { return };
    let mut scene = Scene::begin(server.url());
    server.kill();
    scene.wait_for_lasting_outage("");
    server.start();
    scene.arrive(|sql| server.values(sql));
    scene.end_after_outage();
}

#[test]
fn a_session_is_terminated() {
    let Some(server) = PrivateServer::up() else { return };
    let mut scene = Scene::begin(server.url());
    assert!(server.terminate_lanes() >= 1);
    scene.wait_for_outage(ADMIN_SHUTDOWN);
    scene.arrive(|sql| server.values(sql));
    scene.end_after_outage();
}

#[test]
fn a_table_is_locked_for_longer_than_a_lane_waits() {
    let Some(server) = PrivateServer::up() else { return };
    let mut scene = Scene::begin(server.url());
    let held = server.hold("LOCK TABLE agent_metrics IN ACCESS EXCLUSIVE MODE");
    scene.wait_for_lasting_outage("55P03");
    drop(held);
    scene.arrive(|sql| server.values(sql));
    scene.end_after_outage();
}

/// Three locks in the order that leaves the lane in the deadlock as the last one, which is the one that the server
/// chooses to end. The test's own session waits for longer than it takes to be looked for by the server.
#[test]
fn a_deadlock_ends_a_transaction() {
    let Some(server) = PrivateServer::up() else { return };
    let mut scene = Scene::begin(server.url());
    server.execute(
        "CREATE FUNCTION lock_in_turn() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             PERFORM pg_advisory_xact_lock(1);
             PERFORM pg_advisory_xact_lock(2);
             PERFORM pg_advisory_xact_lock(3);
             RETURN NEW;
         END $$;
         CREATE TRIGGER lock_in_turn BEFORE INSERT ON agent_metrics
             FOR EACH ROW WHEN (NEW.agent_name LIKE 'deadlock.%') EXECUTE FUNCTION lock_in_turn()",
    );
    let other = server.hold("SET LOCAL deadlock_timeout = '60s'; SELECT pg_advisory_xact_lock(3)");
    let gate = server.hold("SELECT pg_advisory_xact_lock(2)");
    let waiting = |lock: i32| -> bool {
        server.value(&format!(
            "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = {lock} AND NOT granted)"
        ))
    };
    scene.record("deadlock", 1);
    patiently("the lane waits at the gate", || waiting(2).then_some(()));
    let other = server.go_on(other, "SELECT pg_advisory_xact_lock(1)");
    patiently("the other one waits for the lane", || waiting(1).then_some(()));
    drop(gate);
    scene.wait_for_another_attempt();
    drop(server.wait(other));
    scene.arrive(|sql| server.values(sql));
    scene.end_quietly();
}

#[test]
fn a_server_becomes_read_only() {
    let Some(server) = PrivateServer::up() else { return };
    let mut scene = Scene::begin(server.url());
    server.execute("ALTER SYSTEM SET default_transaction_read_only = on");
    server.execute("SELECT pg_reload_conf()");
    scene.wait_for_lasting_outage("25006");
    server.execute("ALTER SYSTEM RESET default_transaction_read_only");
    server.execute("SELECT pg_reload_conf()");
    scene.arrive(|sql| server.values(sql));
    scene.end_after_outage();
}

#[test]
fn a_role_may_have_no_more_connections() {
    let Some(server) = PrivateServer::up() else { return };
    server.execute("CREATE ROLE lanes LOGIN");
    server.execute("ALTER DATABASE tailwater OWNER TO lanes");
    let mut scene = Scene::begin(&with_user(server.url(), "lanes"));
    server.execute("ALTER ROLE lanes CONNECTION LIMIT 0");
    server.terminate_lanes();
    scene.wait_for_lasting_outage(ADMIN_SHUTDOWN);
    patiently("the cause", || scene.wait_for_state("waiting").contains("53300").then_some(()));
    server.execute("ALTER ROLE lanes CONNECTION LIMIT -1");
    scene.arrive(|sql| server.values(sql));
    scene.end_after_outage();
}

#[test]
fn a_disk_is_full() {
    let Some(server) = PrivateServer::up() else { return };
    let Some(disk) = SmallDisk::mount(&server) else { return };
    server.execute(&format!("CREATE TABLESPACE small LOCATION '{}'", disk.as_seen_by_server));
    server.execute("ALTER DATABASE tailwater SET default_tablespace = 'small'");
    let mut scene = Scene::begin(server.url());
    disk.fill();
    scene.record("large", 5_000);
    scene.wait_for_lasting_outage("53100");
    fs::remove_file(disk.filler()).unwrap();
    scene.arrive(|sql| server.values(sql));
    scene.end_after_outage();
}

/// A file system in memory, mounted where just the server sees it; it goes with the server.
struct SmallDisk {
    path: PathBuf,
    as_seen_by_server: &'static str,
}

impl SmallDisk {
    /// `None`, after saying so, where nothing can be mounted for the server.
    fn mount(server: &PrivateServer) -> Option<Self> {
        let data = server.data_dir();
        let pid = fs::read_to_string(data.join("postmaster.pid"));
        let Some(pid) = pid.ok().and_then(|text| text.lines().next().map(str::to_owned)) else {
            skip("the server runs in a container, where nothing can be mounted from here");
            return None;
        };
        let process = Path::new("/proc").join(pid);
        let user = fs::metadata(data).unwrap();
        let user = std::os::unix::fs::MetadataExt::uid(&user);
        fs::create_dir(data.join("small")).unwrap();
        let path = fs::read_link(process.join("root")).unwrap().join("srv/small");
        let mut mount = Command::new("nsenter");
        mount.arg(format!("--mount={}", process.join("ns/mnt").display()));
        mount
            .args(["mount", "-t", "tmpfs", "-o", &format!("size=32m,mode=0700,uid={user}"), "tmpfs"])
            .arg(path);
        assert!(mount.status().unwrap().success(), "{mount:?}");
        Some(Self { path: process.join("root/srv/small"), as_seen_by_server: "/srv/small" })
    }

    fn filler(&self) -> PathBuf {
        self.path.join("filler")
    }

    /// Leaves nothing.
    fn fill(&self) {
        let mut file = fs::File::create(self.filler()).unwrap();
        while file.write_all(&[7; 4096]).is_ok() {}
    }
}
