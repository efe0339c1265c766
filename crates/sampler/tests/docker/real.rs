//! The real engine of `scripts/dockerd`, with containers of known load; the kernel is the witness.

use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use event::{State, Text};
use sampler::docker::{DockerListing, DockerProbe};

use super::{Containers, patient, wait_for};

/// Containers whose names begin with a prefix of the test's own; they end with this value.
struct Docker {
    socket: PathBuf,
    prefix: String,
}

impl Docker {
    /// The engine that tests may use; without one the test says so and is over.
    fn find(test: &str) -> Option<Self> {
        let Some(socket) = std::env::var_os("TAILWATER_TEST_DOCKER") else {
            println!("SKIPPED: {test}: TAILWATER_TEST_DOCKER names no engine (scripts/dockerd)");
            return None;
        };
        // NOTE: an odd number keeps the containers of two runs apart.
        let prefix = format!("bc-{:08x}{:04x}", std::process::id(), fastrand::u16(..));
        Some(Self { socket: socket.into(), prefix })
    }

    fn name(&self, name: &str) -> String {
        format!("{}-{name}", self.prefix)
    }

    /// Runs the docker command line and returns what it says.
    fn run(&self, args: &[&str]) -> String {
        let mut command = Command::new("docker");
        command.arg("--host").arg(format!("unix://{}", self.socket.display())).args(args);
        let output = command.output().expect("the docker command line, which scripts/dockerd installs");
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    /// Starts a container that runs this shell script.
    fn start(&self, name: &str, options: &[&str], script: &str) {
        let name = self.name(name);
        let mut args = vec!["run", "--detach", "--name", &name];
        args.extend(options);
        args.extend(["tailwater-busybox", "/bin/sh", "-c", script]);
        self.run(&args);
    }

    fn inspect(&self, name: &str, field: &str) -> String {
        self.run(&["inspect", "--format", &format!("{{{{{field}}}}}"), &self.name(name)])
    }

    /// CPU time of a container of one process, milliseconds, by the scheduler's own account.
    fn scheduled_ms(&self, name: &str) -> f64 {
        let pid = self.inspect(name, ".State.Pid");
        let text = fs::read_to_string(format!("/proc/{pid}/schedstat")).unwrap();
        text.split(' ').next().unwrap().parse::<f64>().unwrap() / 1e6
    }

    /// A sampler of this test's containers alone.
    fn sampler(&self) -> Containers {
        Containers::new(patient(&self.socket), &format!("{}-(?<agent>.+)", self.prefix))
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        let filter = format!("name={}", self.prefix);
        let ids = self.run(&["ps", "--all", "--quiet", "--filter", &filter]);
        let mut args = vec!["rm", "--force", "--volumes"];
        args.extend(ids.lines());
        if args.len() > 3 {
            self.run(&args);
        }
    }
}

const SLEEPS: &str = "exec sleep 100000";
const BURNS: &str = "while :; do :; done";

#[test]
fn a_busy_container_reads_what_the_kernel_gave_it_and_a_sleeping_one_zero() {
    let Some(docker) = Docker::find("busy containers") else { return };
    docker.start("burn", &[], BURNS);
    docker.start("fifth", &["--cpus", "0.2"], BURNS);
    docker.start("zen", &[], SLEEPS);
    let mut sampler = docker.sampler();
    let first = sampler.good_pass();
    assert_eq!(first.names(), NAMES);
    assert!(first.agents.iter().all(|agent| agent.resources.cpu_percent.is_none()), "{first:?}");

    // NOTE: the engine reads a container by a clock of its own, up to a second from ours. Where the machine is shared, a
    // core is given by fits and starts, and the two can be told apart; a wrong account never agrees with the kernel's.
    let mut disagreement = String::new();
    for _ in 0..WINDOWS_MAX {
        match docker.disagreement(&mut sampler) {
            None => return,
            Some(told) => disagreement = told,
        }
    }
    panic!("{disagreement}");
}

const NAMES: [&str; 3] = ["burn", "fifth", "zen"];
const WINDOWS_MAX: u32 = 8;
const INTERVALS: u32 = 5;

impl Docker {
    /// Samples for some intervals; what the sampler tells otherwise than the kernel, beyond five points.
    fn disagreement(&self, sampler: &mut Containers) -> Option<String> {
        let scheduled = || NAMES.map(|name| self.scheduled_ms(name));
        let (began, before) = (Instant::now(), scheduled());
        let mut told = [0.0; 3];
        for _ in 0..INTERVALS {
            let from = self.scheduled_ms("burn");
            wait_for("the burner to burn", || self.scheduled_ms("burn") > from + 500.0);
            let pass = sampler.good_pass();
            for (sum, name) in told.iter_mut().zip(NAMES) {
                *sum += pass.numbers(name).cpu_percent.unwrap() / f64::from(INTERVALS);
            }
        }
        let (after, elapsed_ms) = (scheduled(), began.elapsed().as_secs_f64() * 1e3);
        let [burn, fifth, zen] = told;
        assert!(burn <= 105.0, "one loop is one core: {burn}");
        assert!(fifth <= 25.0, "it may have a fifth of a core: {fifth}");
        assert!(zen < 1.0, "{zen}");
        // NOTE: 100, 20 and 0 on a machine with idle cores; on a busy one the kernel gives less, and that is what is so.
        let kernel: Vec<f64> =
            after.iter().zip(before).map(|(after, before)| (after - before) / elapsed_ms * 100.0).collect();
        let agrees = told.iter().zip(&kernel).all(|(told, kernel)| (told - kernel).abs() <= 5.0);
        (!agrees).then(|| format!("{NAMES:?}: told {told:?} %, the kernel gave {kernel:?} %"))
    }
}

/// The unit that the command line prints, in bytes.
fn bytes(text: &str) -> f64 {
    let digits = text.find(|it: char| it.is_ascii_alphabetic()).unwrap();
    let unit = match &text[digits..] {
        "B" => 1.0,
        "KiB" => 1024.0,
        "MiB" => 1024.0 * 1024.0,
        "GiB" => 1024.0 * 1024.0 * 1024.0,
        other => panic!("{other}"),
    };
    text[..digits].parse::<f64>().unwrap() * unit
}

#[test]
fn memory_is_what_the_command_line_shows() {
    let Some(docker) = Docker::find("memory") else { return };
    // Twenty in memory, and ten more that are only cached from a file.
    let script = "dd if=/dev/zero of=/dev/shm/x bs=1M count=20; dd if=/dev/zero of=/tmp/y bs=1M count=10 conv=fsync; \
                  echo done; exec sleep 100000";
    docker.start("fat", &["--memory", "64m"], script);
    docker.start("free", &[], SLEEPS);
    wait_for("the memory to be used", || docker.run(&["logs", &docker.name("fat")]).contains("done"));
    let told = docker.sampler().good_pass();
    let fat = told.numbers("fat");
    let used = fat.mem_used_bytes.unwrap() as f64;
    let shown = docker.run(&["stats", "--no-stream", "--format", "{{.MemUsage}}", &docker.name("fat")]);
    let (shown, limit) = shown.split_once(" / ").unwrap();
    assert!((used - bytes(shown)).abs() <= 512.0 * 1024.0, "told {used}, shown {shown}");
    assert!((20..25).contains(&(fat.mem_used_bytes.unwrap() >> 20)), "{used}");
    assert_eq!(fat.mem_limit_bytes.map(|limit| limit as f64), Some(bytes(limit)));
    assert_eq!(fat.mem_percent, Some(used / f64::from(64 << 20) * 100.0));
    let machine = fs::read_to_string("/proc/meminfo").unwrap();
    let kib: u64 = machine.split_whitespace().nth(1).unwrap().parse().unwrap();
    assert_eq!(told.numbers("free").mem_limit_bytes, Some(kib * 1024), "without a limit it is the machine's");
}

#[test]
fn what_comes_over_the_network_is_counted() {
    let Some(docker) = Docker::find("network") else { return };
    const SENT: usize = 3_000_000;
    docker.start("ears", &[], "nc -l -p 9000 >/dev/null; exec sleep 100000");
    docker.start("host", &["--network", "host"], SLEEPS);
    docker.start("none", &["--network", "none"], SLEEPS);
    let mut sampler = docker.sampler();
    let before = *sampler.good_pass().numbers("ears");
    let address = docker.inspect("ears", ".NetworkSettings.IPAddress");
    let mut stream = None;
    wait_for("it to listen", || {
        stream = TcpStream::connect((address.as_str(), 9000)).ok();
        stream.is_some()
    });
    stream.unwrap().write_all(&vec![0; SENT]).unwrap();
    let gained = |now: Option<u64>, before: Option<u64>| now.unwrap() - before.unwrap();
    wait_for("all of it to arrive", || {
        let now = *sampler.good_pass().numbers("ears");
        assert!(gained(now.net_tx_bytes, before.net_tx_bytes) < SENT as u64 / 2, "it only answers");
        gained(now.net_rx_bytes, before.net_rx_bytes) >= SENT as u64
    });
    let told = sampler.good_pass();
    assert!(told.numbers("ears").net_rx_bytes.unwrap() < 2 * SENT as u64);
    for name in ["host", "none"] {
        let numbers = told.numbers(name);
        assert_eq!(
            (numbers.net_rx_bytes, numbers.net_tx_bytes),
            (None, None),
            "{name} has no network of its own"
        );
        assert!(numbers.mem_used_bytes.is_some());
    }
}

/// The disk below the engine's folder, for what only a disk that is throttled counts.
fn disk(docker: &Docker) -> Option<String> {
    let device = fs::metadata(docker.run(&["info", "--format", "{{.DockerRootDir}}"])).ok()?.dev();
    let (major, minor) = ((device >> 8) & 0xfff, (device & 0xff) | ((device >> 12) & 0xfff00));
    let entry = fs::canonicalize(format!("/sys/dev/block/{major}:{minor}")).ok()?;
    let whole = if entry.join("partition").exists() { entry.parent()? } else { &entry };
    let uevent = fs::read_to_string(whole.join("uevent")).ok()?;
    let name = uevent.lines().find_map(|line| line.strip_prefix("DEVNAME="))?;
    Path::new("/dev").join(name).to_str().map(str::to_owned)
}

#[test]
fn what_goes_to_the_disk_is_counted() {
    let Some(docker) = Docker::find("block I/O") else { return };
    let Some(disk) = disk(&docker) else {
        println!("SKIPPED: block I/O: the engine's folder lies on no disk");
        return;
    };
    // NOTE: the kernel counts for a disk that somebody throttles; a rate this high slows nothing.
    let script = "dd if=/dev/zero of=/tmp/x bs=1M count=8 oflag=direct; dd if=/tmp/x of=/dev/null bs=1M count=4 iflag=direct; \
                  echo done; exec sleep 100000";
    docker.start("disk", &["--device-read-bps", &format!("{disk}:100gb")], script);
    wait_for("the disk to be used", || docker.run(&["logs", &docker.name("disk")]).contains("done"));
    let told = docker.sampler().good_pass();
    let numbers = told.numbers("disk");
    let (read, written) = (numbers.disk_read_bytes.unwrap(), numbers.disk_write_bytes.unwrap());
    assert!((4 << 20..6 << 20).contains(&read), "read {read}");
    assert!((8 << 20..10 << 20).contains(&written), "written {written}");
}

#[test]
fn lives_begin_end_and_begin_again() {
    let Some(docker) = Docker::find("lives") else { return };
    docker.start("a1", &[], "dd if=/dev/zero of=/dev/null bs=1M count=2000; exec sleep 100000");
    docker.start("a10", &[], SLEEPS);
    docker.start("never", &[], "exit 0");
    docker.run(&["create", "--name", &docker.name("made"), "tailwater-busybox", "/bin/sh"]);
    wait_for("one to end", || docker.inspect("never", ".State.Status") == "exited");
    let mut sampler = docker.sampler();
    assert_eq!(sampler.good_pass().names(), ["a1", "a10"], "what was stopped before is nobody");
    assert!(sampler.good_pass().numbers("a10").cpu_percent.is_some_and(|percent| percent < 1.0));

    docker.run(&["pause", &docker.name("a10")]);
    let told = sampler.good_pass();
    assert_eq!(told.agent("a10").state, State::Unknown, "what is paused runs");
    assert_eq!(told.numbers("a10").cpu_percent, Some(0.0));
    docker.run(&["unpause", &docker.name("a10")]);

    docker.run(&["restart", "--time", "0", &docker.name("a1")]);
    let told = sampler.good_pass();
    assert_eq!(told.numbers("a1").cpu_percent, None, "its counter began again");
    assert!(told.numbers("a10").cpu_percent.is_some());
    let again = sampler.good_pass();
    assert!(again.numbers("a1").cpu_percent.is_some_and(|percent| percent >= 0.0), "{again:?}");

    docker.run(&["stop", "--time", "0", &docker.name("a1")]);
    for _ in 0..2 {
        let told = sampler.good_pass();
        assert_eq!(told.agent("a1").state, State::Stopped);
        let numbers = told.numbers("a1");
        let zeros =
            (numbers.cpu_percent, numbers.mem_used_bytes, numbers.net_rx_bytes, numbers.disk_write_bytes);
        assert_eq!(zeros, (Some(0.0), Some(0), Some(0), Some(0)));
        assert_eq!(told.agent("a10").state, State::Unknown);
    }
    docker.run(&["start", &docker.name("a1")]);
    assert_eq!(sampler.good_pass().numbers("a1").cpu_percent, None);
    docker.run(&["rm", "--force", &docker.name("a1")]);
    assert_eq!(sampler.good_pass().agent("a1").state, State::Stopped);
    assert_eq!(sampler.good_pass().names(), ["a10"]);
}

#[test]
fn labels_and_patterns_tell_whose_it_is() {
    let Some(docker) = Docker::find("labels") else { return };
    let name = format!("labelled {}", docker.prefix);
    let label = format!("tailwater.agent={name}");
    let others = ["--label", "tailwater.role=lead", "--label", "tailwater.tool=claude"];
    docker.start("db", &[&["--label", &label], &others[..]].concat(), SLEEPS);
    docker.start("x-db", &[], SLEEPS);
    docker.start("q", &["--label", &format!("tailwater.system={}", docker.name("queue"))], SLEEPS);
    let told = docker.sampler().good_pass();
    assert_eq!(told.names(), Vec::<&str>::new());
    let agent = told.agent(&name);
    let expected = (&Text::new("lead"), &Text::new("claude"), &Text::new("docker"));
    assert_eq!((&agent.role, &agent.tool, &agent.runtime), expected);
    // NOTE: other tests have systems as well.
    let systems: Vec<&str> = told.systems.iter().map(|system| system.system_name.as_str()).collect();
    for name in ["x-db", "queue"] {
        assert!(systems.contains(&docker.name(name).as_str()), "{name} is not in {systems:?}");
    }
}

#[test]
fn fifty_containers_are_one_pass() {
    let Some(docker) = Docker::find("fifty containers") else { return };
    const COUNT: usize = 50;
    std::thread::scope(|scope| {
        for part in 0..5 {
            let docker = &docker;
            scope.spawn(move || {
                for number in 0..COUNT / 5 {
                    docker.start(&format!("n{}", part * COUNT / 5 + number), &["--network", "none"], SLEEPS);
                }
            });
        }
    });
    let mut sampler = docker.sampler();
    sampler.good_pass();
    let began = Instant::now();
    let told = sampler.good_pass();
    println!("a pass over {COUNT} containers took {:?}", began.elapsed());
    assert_eq!(told.names().len(), COUNT);
    for name in told.names() {
        let numbers = told.numbers(name);
        assert!(numbers.cpu_percent.is_some() && numbers.mem_used_bytes > Some(0), "{name}: {numbers:?}");
    }
}

#[test]
fn the_engine_says_what_it_is() {
    let Some(docker) = Docker::find("version") else { return };
    let mut engine = sampler::docker::DockerEngine::new(patient(&docker.socket));
    let version = engine.version().unwrap().unwrap();
    assert_eq!(version.engine, docker.run(&["version", "--format", "{{.Server.Version}}"]));
    assert_eq!(version.api, docker.run(&["version", "--format", "{{.Server.APIVersion}}"]));
    assert!(matches!(engine.containers().unwrap(), DockerListing::Containers(_)));
}
