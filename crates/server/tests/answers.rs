//! Answers over real HTTP: which path asks what, in which form it comes, and what is said when nothing can be answered.
#![cfg(test)]

mod support;

use event::Time;
use query::{Answer, ChannelRow, Cut, Fill, Names, Question, ReadError, ReadErrorKind};
use serde_json::json;
use server::{Answered, Source};
use support::Running;

fn rows() -> Answered {
    let row = ChannelRow { channel_name: "general".into(), message_count: 3, ..ChannelRow::default() };
    Answered {
        answer: Answer::Channels(vec![row]),
        source: Source::Log,
        covers_from: Some(Time::from_micros(0)),
        covers_hosts: vec!["here".into()],
    }
}

/// Asks a path and gives the question that it became.
fn asked(running: &Running, path: &str) -> Question {
    *running.fake.answer.lock().unwrap() = Some(Ok(rows()));
    let answer = running.get(path, &[]);
    assert_eq!(answer.status, 200, "{path}: {answer:?}");
    running.fake.asked.lock().unwrap().pop().expect("a question")
}

#[test]
fn each_path_of_the_go_package_asks_its_question() {
    let running = Running::new();
    for metric in ["cpu", "mem", "net", "disk"] {
        let system = asked(&running, &format!("/api/system/stats/{metric}?system=db&from=-1h&interval=1m"));
        assert!(
            matches!(&system, Question::System(it, Fill::Nothing) if it.filter.system_name == Names::only(["db"])),
            "{system:?}"
        );
        let agents = asked(&running, &format!("/api/agents/stats/{metric}?agent=a%2Cb&state=idle"));
        assert!(
            matches!(&agents, Question::Agents(it, _) if it.filter.agent_name == Names::only(["a", "b"]))
        );
    }
    for path in ["tokens", "cost"] {
        let question =
            asked(&running, &format!("/api/agents/stats/{path}?day=true&tz=Europe/Berlin&by=model"));
        assert!(matches!(&question, Question::Tokens(it) if matches!(it.cut, Cut::Days(_))), "{question:?}");
    }
    assert!(matches!(asked(&running, "/api/agents/stats/latest"), Question::Latest(_)));
    assert!(matches!(asked(&running, "/api/agents/stats/states?limit=5"), Question::States(_)));
    for path in ["messages", "members", "reactions"] {
        assert!(matches!(asked(&running, &format!("/api/channels/stats/{path}")), Question::Channels(..)));
    }
    let filled = asked(&running, "/api/channels/stats/messages?fill=true");
    assert!(matches!(filled, Question::Channels(_, Fill::Empty)), "{filled:?}");
    assert!(matches!(asked(&running, "/api/gaps?host=h"), Question::Gaps(_)));
    let summary = asked(&running, "/api/agents/stats/summary/a%2Fb%20%C3%A9?from=-1d");
    assert!(
        matches!(&summary, Question::Summary { agent_name, .. } if agent_name == "a/b \u{e9}"),
        "{summary:?}"
    );
}

#[test]
fn an_answer_tells_where_it_is_from_and_comes_as_json_or_csv() {
    let running = Running::new();
    let ask = |accept: &str| {
        *running.fake.answer.lock().unwrap() = Some(Ok(rows()));
        running.get("/api/channels/stats/messages", &[("accept", accept)])
    };
    let answer = ask("*/*");
    assert_eq!((answer.status, answer.media_type.as_str()), (200, "application/json"));
    assert_eq!(answer.json()[0]["channel_name"], "general");
    let header = |name: &str| answer.header(name);
    assert_eq!(header("tailwater-source").as_deref(), Some("log"));
    assert_eq!(header("tailwater-covers-from").as_deref(), Some("1970-01-01T00:00:00.000000Z"));
    assert_eq!(header("tailwater-covers-hosts").as_deref(), Some("here"));
    let csv = ask("text/csv");
    assert!(csv.media_type.starts_with("text/csv"), "{csv:?}");
    assert_eq!(csv.text().lines().nth(1), Some("1970-01-01T00:00:00.000000Z,general,3,,0,"));
    assert_eq!(ask("text/html").status, 406);
}

#[test]
fn a_long_answer_is_packed_for_who_takes_that_and_every_answer_says_what_it_is_not() {
    let running = Running::new();
    let raw = |accepted: &str, count: usize| {
        let row = ChannelRow { channel_name: "general".into(), ..ChannelRow::default() };
        let answer = Answered { answer: Answer::Channels(vec![row; count]), ..rows() };
        *running.fake.answer.lock().unwrap() = Some(Ok(answer));
        let path = "/api/channels/stats/messages";
        running.raw(
            format!("GET {path} HTTP/1.1\r\nhost: localhost\r\naccept-encoding: {accepted}\r\nconnection: close\r\n\r\n")
                .as_bytes(),
        )
    };
    let is_packed = |answer: &str| answer.to_ascii_lowercase().contains("\r\ncontent-encoding: gzip\r\n");
    let (long, packed) = (raw("identity", 1_000), raw("br, gzip", 1_000));
    assert!(!is_packed(&long) && is_packed(&packed) && packed.len() < long.len() / 10, "{}", packed.len());
    assert!(!is_packed(&raw("gzip", 1)), "a short one is not");
    for path in ["/api/gaps", "/healthz", "/nothing"] {
        let answer = running.get(path, &[]);
        let header = |name: &str| answer.header(name).unwrap_or_default();
        assert!(header("content-security-policy").contains("default-src 'none'"), "{answer:?}");
        assert_eq!(
            (header("x-content-type-options"), header("cache-control")),
            ("nosniff".into(), "no-store".into())
        );
    }
    *running.fake.answer.lock().unwrap() = Some(Ok(rows()));
    let unpacked = running.get("/api/channels/stats/messages", &[("accept-encoding", "gzip")]);
    assert_eq!(unpacked.json()[0]["message_count"], 3);
}

#[test]
fn what_cannot_be_answered_is_a_problem_that_says_why() {
    let running = Running::new();
    let check = |path: &str, status: u16, says: &str, field: Option<&str>| {
        let problem = running.get(path, &[]).problem(status, says);
        assert_eq!(problem["field"].as_str(), field, "{problem}");
    };
    check("/api/agents/stats/cpu?interval=5parsecs", 400, "interval: \"5parsecs\"", Some("interval"));
    check("/api/agents/stats/cpu?colour=red", 400, "colour: is no parameter here", Some("colour"));
    check("/api/agents/stats/cpu?from=-1h&from=-2h", 400, "from: is there twice", Some("from"));
    check("/api/agents/stats/cpu?agent=a%00", 400, "NUL", Some("agent"));
    check("/api/agents/stats/weather", 404, "nothing at this path", None);
    check("/api/gaps", 503, "nobody is there", None);
    let ask = |answer: Result<Answered, ReadError>, path: &str| {
        *running.fake.answer.lock().unwrap() = Some(answer);
        running.get(path, &[])
    };
    let failed = |kind| Err(ReadError::new(kind, "it is so"));
    ask(failed(ReadErrorKind::Invalid), "/api/gaps").problem(400, "it is so");
    ask(failed(ReadErrorKind::Fatal), "/api/gaps").problem(500, "it is so");
    assert!(ask(failed(ReadErrorKind::Unavailable), "/api/gaps").header("retry-after").is_some());
    let nobody = Answered { answer: Answer::Summary(None), ..rows() };
    ask(Ok(nobody), "/api/agents/stats/summary/zen").problem(404, "an agent \"zen\"");
    let posted = running.post("/api/gaps", &[], b"");
    posted.problem(405, "another method");
    let foreign = running.get("/api/gaps", &[("origin", "https://example.com")]);
    foreign.problem(403, "web pages from elsewhere");
}

#[test]
fn how_it_is_doing_is_told_to_people_probes_and_prometheus() {
    let running = Running::new();
    assert_eq!(running.get("/api/status", &[]).json(), json!({"log": {}}));
    assert_eq!(running.get("/api/stats/summary", &[]).json()["agents"]["total_agents"], 0);
    let metrics = running.get("/metrics", &[]);
    assert!(metrics.media_type.starts_with("text/plain; version=0.0.4"), "{metrics:?}");
    assert_eq!(running.get("/healthz", &[]).text(), "ok\n");
    assert_eq!(running.get("/readyz", &[]).text(), "ready\n");
    *running.fake.ailment.lock().unwrap() = Some("the log is full".to_owned());
    running.get("/readyz", &[]).problem(503, "the log is full");
}
