//! An engine that misbehaves: it hangs, forgets, fails, talks nonsense, ends and begins again.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use event::{Resources, State};
use sampler::Sampler;
use sampler::docker::EngineSettings;

use super::{Containers, patient};

/// How the engine answers a request.
enum Reply {
    Json(String),
    Status(u16, &'static str),
    Hang,
    HangUp,
}

/// An engine that gives one answer to everything.
type Sulky = fn() -> Reply;

type Answers = dyn Fn(&str) -> Reply + Send + Sync;

/// An engine at a socket; it ends with this value, and leaves the socket behind as one that was killed.
struct Fake {
    socket: PathBuf,
    requests: Arc<Mutex<Vec<String>>>,
    stop: Arc<AtomicBool>,
    accepting: Option<JoinHandle<()>>,
}

impl Fake {
    fn start(socket: &Path, answers: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Self {
        let _ = std::fs::remove_file(socket);
        let listener = UnixListener::bind(socket).unwrap();
        let (requests, stop) = (Arc::default(), Arc::new(AtomicBool::new(false)));
        let (shared, stopped, answers) = (Arc::clone(&requests), Arc::clone(&stop), Arc::new(answers));
        let accepting = std::thread::spawn(move || {
            let held = Arc::new(Mutex::new(Vec::new()));
            for stream in listener.incoming() {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let (answers, requests, held): (Arc<Answers>, Arc<Mutex<Vec<String>>>, _) =
                    (Arc::clone(&answers) as Arc<Answers>, Arc::clone(&shared), Arc::clone(&held));
                std::thread::spawn(move || serve(stream.unwrap(), &*answers, &requests, &held));
            }
        });
        Self { socket: socket.to_owned(), requests, stop, accepting: Some(accepting) }
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = UnixStream::connect(&self.socket);
        let _ = self.accepting.take().unwrap().join();
    }
}

fn serve(
    stream: UnixStream,
    answers: &Answers,
    requests: &Mutex<Vec<String>>,
    held: &Mutex<Vec<UnixStream>>,
) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 || line == "\r\n" {
            break;
        }
        lines.push(line);
    }
    let Some(path) = lines.first().and_then(|line| line.split(' ').nth(1)).map(str::to_owned) else { return };
    requests.lock().unwrap().push(path.clone());
    let (status, body) = match answers(&path) {
        Reply::Json(body) => (200, body),
        Reply::Status(status, body) => (status, body.to_owned()),
        Reply::Hang => return held.lock().unwrap().push(stream),
        Reply::HangUp => return,
    };
    let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    // NOTE: who has lost patience has closed its end.
    let _ = (&stream).write_all(format!("{head}{body}").as_bytes());
}

fn list(names: &[&str]) -> Reply {
    let container = |name: &&str| {
        format!(r#"{{"Id": "id{name}", "Names": ["/bc-{name}"], "State": "running", "Labels": {{}}}}"#)
    };
    let containers: Vec<String> = names.iter().map(container).collect();
    Reply::Json(format!("[{}]", containers.join(",")))
}

fn good(path: &str) -> Reply {
    Reply::Json(match path.contains("/stats") {
        true => {
            r#"{"cpu_stats": {"cpu_usage": {"total_usage": 5}}, "memory_stats": {"usage": 7}}"#.to_owned()
        }
        false => r#"{"State": {"Running": true, "StartedAt": "2026-01-02T03:04:05Z"}}"#.to_owned(),
    })
}

/// An engine with `a` and `zen`, of which `a` is answered for by `odd`.
fn with_odd(socket: &Path, odd: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Fake {
    Fake::start(socket, move |path| match path {
        path if path.starts_with("/containers/json") => list(&["a", "zen"]),
        path if path.starts_with("/containers/ida/") => odd(path),
        path => good(path),
    })
}

fn hasty(socket: &Path) -> EngineSettings {
    let answer_limit = Duration::from_millis(300);
    EngineSettings { answer_limit, ..patient(socket) }
}

fn sampler(settings: EngineSettings) -> Containers {
    Containers::new(settings, "bc-(?<agent>.+)")
}

#[test]
fn it_is_asked_without_a_version_and_for_one_reading() {
    let home = tempfile::tempdir().unwrap();
    let socket = home.path().join("d.sock");
    let fake =
        Fake::start(
            &socket,
            |path| if path.starts_with("/containers/json") { list(&["a"]) } else { good(path) },
        );
    let told = sampler(patient(&socket)).good_pass();
    assert_eq!(told.numbers("a").mem_used_bytes, Some(7));
    let mut requests = fake.requests.lock().unwrap().clone();
    requests.sort();
    let expected = [
        "/containers/ida/json",
        "/containers/ida/stats?stream=false&one-shot=true",
        "/containers/json?all=true",
    ];
    assert_eq!(requests, expected);
}

#[test]
fn one_that_hangs_or_fails_or_talks_nonsense_is_its_own_problem() {
    let home = tempfile::tempdir().unwrap();
    let socket = home.path().join("d.sock");
    let check = |settings: EngineSettings, odd: fn(&str) -> Reply, problem: &str| {
        let _fake = with_odd(&socket, odd);
        let told = sampler(settings).pass();
        assert_eq!((told.names(), &told.error), (vec!["a", "zen"], &None));
        assert_eq!(told.numbers("a"), &Resources::default(), "{problem}");
        assert_eq!(told.agent("a").state, State::Unknown);
        assert_eq!(told.numbers("zen").mem_used_bytes, Some(7));
        let [line] = &told.problems[..] else { panic!("{:?}", told.problems) };
        assert!(line.starts_with("container \"bc-a\": ") && line.contains(problem), "{line}");
        assert!(!line.contains("sekret") && !line.contains('\n'), "{line}");
    };
    check(hasty(&socket), |_| Reply::Hang, "did not answer within 300 ms");
    check(patient(&socket), |_| Reply::Status(500, r#"{"message": "boom\nmore"}"#), "500 boom");
    check(patient(&socket), |_| Reply::Status(500, ""), "500");
    check(patient(&socket), |_| Reply::Json("[\"sekret\"".to_owned()), "the answer is not JSON");
    check(
        patient(&socket),
        |_| Reply::Json("[\"sekret\"]".to_owned()),
        "of its numbers the answer is not an object",
    );
    check(patient(&socket), |_| Reply::HangUp, "the Docker engine at");
}

#[test]
fn an_odd_field_and_a_life_that_is_not_told_cost_themselves() {
    let home = tempfile::tempdir().unwrap();
    let socket = home.path().join("d.sock");
    let _fake = with_odd(&socket, |path| match path.contains("/stats") {
        true => {
            Reply::Json(r#"{"memory_stats": {"usage": 9}, "cpu_stats": {"online_cpus": "two"}}"#.to_owned())
        }
        false => Reply::Status(500, "no"),
    });
    let told = sampler(patient(&socket)).pass();
    assert_eq!((told.numbers("a").mem_used_bytes, &told.error), (Some(9), &None));
    assert_eq!(told.problems.len(), 2, "{:?}", told.problems);
    assert!(told.problems[0].ends_with("/cpu_stats/online_cpus is not a count"), "{:?}", told.problems);
    assert!(told.problems[1].contains("500 no"), "{:?}", told.problems);
}

#[test]
fn one_that_goes_after_the_list_has_stopped() {
    let home = tempfile::tempdir().unwrap();
    let socket = home.path().join("d.sock");
    let check = |gone: fn(&str) -> Reply| {
        let mut sampler = sampler(patient(&socket));
        {
            let _fake = with_odd(&socket, good);
            assert_eq!(sampler.good_pass().names(), ["a", "zen"]);
        }
        let _fake = with_odd(&socket, gone);
        let told = sampler.good_pass();
        assert_eq!(told.agent("a").state, State::Stopped);
        assert_eq!(told.numbers("a").cpu_percent, Some(0.0));
        assert_eq!(sampler.good_pass().names(), ["zen"]);
    };
    check(|_| Reply::Status(404, r#"{"message": "No such container: ida"}"#));
    // In the middle of its numbers it is a 200 with nothing in it.
    check(
        |path| {
            if path.contains("/stats") { Reply::Json(String::new()) } else { Reply::Json("{}".to_owned()) }
        },
    );
}

#[test]
fn a_list_that_cannot_be_had_is_an_error_and_a_new_engine_heals_it() {
    let home = tempfile::tempdir().unwrap();
    let socket = home.path().join("d.sock");
    let mut sampler = sampler(hasty(&socket));
    let told = sampler.good_pass();
    assert!(told.agents.is_empty(), "no socket, nothing known: {told:?}");
    let check_good = |sampler: &mut Containers| {
        let _fake = with_odd(&socket, good);
        assert_eq!(sampler.good_pass().names(), ["a", "zen"]);
    };
    let check = |sampler: &mut Containers, error: &str| {
        let told = sampler.pass();
        let line = told.error.clone().unwrap_or_default();
        assert!(line.contains("cannot list the containers") && line.contains(error), "{line}");
        assert!(!line.contains("sekret") && !line.contains('\n'), "{line}");
        assert_eq!(told.names(), ["a", "zen"]);
        assert_eq!((told.numbers("a"), told.agent("a").state), (&Resources::default(), State::Unknown));
    };
    check_good(&mut sampler);
    check(&mut sampler, "connection refused");
    check_good(&mut sampler);
    std::fs::remove_file(&socket).unwrap();
    check(&mut sampler, "its socket is gone");
    let replies: [(Sulky, &str); 5] = [
        (|| Reply::Hang, "did not answer within 300 ms"),
        (|| Reply::Status(503, "starting"), "503 starting"),
        (|| Reply::Status(404, "page not found"), "404 it knows no containers"),
        (|| Reply::Json("{\"sekret\": 1}".to_owned()), "not a list of containers"),
        (|| Reply::HangUp, "the Docker engine at"),
    ];
    for (reply, error) in replies {
        {
            let _fake = Fake::start(&socket, move |_| reply());
            check(&mut sampler, error);
        }
        check_good(&mut sampler);
    }
}

#[test]
fn a_hundred_that_hang_end_with_the_pass() {
    let home = tempfile::tempdir().unwrap();
    let socket = home.path().join("d.sock");
    let names: Vec<String> = (0..100).map(|number| format!("n{number}")).collect();
    let _fake = Fake::start(&socket, move |path| match path.starts_with("/containers/json") {
        true => list(&names.iter().map(String::as_str).collect::<Vec<_>>()),
        false => Reply::Hang,
    });
    // NOTE: one after the other they would take longer than any test may.
    let answer_limit = Duration::from_secs(5);
    let pass_limit = Duration::from_millis(500);
    let told = sampler(EngineSettings { socket, answer_limit, pass_limit }).pass();
    assert_eq!((told.names().len(), told.problems.len()), (100, 100));
    assert!(told.error.unwrap().starts_with("none of the containers could be seen"));
}

#[test]
fn it_can_be_asked_from_within_a_runtime() {
    let home = tempfile::tempdir().unwrap();
    let socket = home.path().join("d.sock");
    let _fake = with_odd(&socket, good);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let told = runtime.block_on(async { sampler(patient(&socket)).sampler.describe() });
    assert_eq!(told, "docker: 2 containers running, 2 agents, 0 systems");
}
