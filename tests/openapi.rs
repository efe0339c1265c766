//! The HTTP interface against its own document and against whoever means harm: every answer has the fields and types that
//! clients build on, whatever is asked is answered or refused, and nothing that is asked can change anything.
#![cfg(test)]

mod support;

use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use support::database::Database;
use support::log::Log;
use support::{agent_lines, eventually, json as answer_of, record};

/// The fields that the Go package's clients read, and ours beside them, route by route.
const FIELDS: [(&str, &str); 12] = [
    (
        "/api/system/stats/cpu",
        "time system_name cpu_percent mem_used_bytes mem_limit_bytes mem_percent net_rx_bytes net_tx_bytes \
         disk_read_bytes disk_write_bytes host net_rx_per_second net_tx_per_second disk_read_per_second \
         disk_write_per_second",
    ),
    ("/api/agents/stats/cpu", AGENT),
    ("/api/agents/stats/mem", AGENT),
    ("/api/agents/stats/net", AGENT),
    ("/api/agents/stats/disk", AGENT),
    ("/api/agents/stats/latest", AGENT),
    ("/api/agents/stats/tokens", TOKENS),
    ("/api/agents/stats/cost", TOKENS),
    ("/api/agents/stats/states", "time agent_name role tool runtime state started_at host"),
    ("/api/channels/stats/messages", "time channel_name message_count member_count reaction_count host"),
    ("/api/gaps", "time from to events what reason host"),
    (
        "/api/agents/stats/summary/{name}",
        "agent_name role tool runtime state cpu{avg_percent,max_percent} memory{avg_bytes,max_bytes,avg_percent} \
         disk{read_bytes,write_bytes} network{rx_bytes,tx_bytes} tokens{input,output,cache_read,cache_create} \
         cost{total_usd} models[model,cost_usd,input_tokens,output_tokens]",
    ),
];
const AGENT: &str = "time agent_name role tool runtime state cpu_percent mem_used_bytes mem_limit_bytes mem_percent \
                     net_rx_bytes net_tx_bytes disk_read_bytes disk_write_bytes host net_rx_per_second \
                     net_tx_per_second disk_read_per_second disk_write_per_second";
const TOKENS: &str = "time agent_name model input_tokens output_tokens cache_read cache_create cost_usd \
                      reported_cost_usd unpriced_events host";
const DAY: &str = "from=2026-01-01T00:00:00Z&to=2026-01-03T00:00:00Z";

/// What harm looks like in SQL, in paths, in JSON and in headers.
const PAYLOADS: [&str; 18] = [
    "' OR '1'='1",
    "'; DROP TABLE agent_metrics; --",
    "zen'); DELETE FROM agent_metrics; --",
    "\"; DROP SCHEMA public CASCADE; --",
    "1; SELECT pg_sleep(20)",
    "' UNION SELECT usename, passwd FROM pg_shadow --",
    "$$; DROP TABLE gaps; $$",
    "$1",
    "%27%20OR%201%3D1",
    "\\'; DROP TABLE gaps; --",
    "a' || (SELECT version()) || '",
    "{\"$ne\":null}",
    "../../etc/passwd",
    "${jndi:ldap://x}",
    "<script>alert(1)</script>",
    "a\r\nSet-Cookie: x=1",
    "\u{2019} OR 1=1",
    "0x27204f522031",
];

struct Server {
    log: Log,
    client: ureq::Agent,
    url: String,
}

impl Server {
    /// A daemon whose log has events of every kind.
    fn new(arguments: &[&str]) -> Self {
        let mut log = Log::new(false);
        let others = [
            json!({"kind": "system_sample", "time": "2026-01-02T00:00:05Z", "system_name": "db", "cpu_percent": 1.5}),
            json!({"kind": "channel_sample", "time": "2026-01-02T00:00:05Z", "channel_name": "c", "message_count": 3,
                "reaction_count": 1}),
            json!({"kind": "agent_state", "time": "2026-01-02T00:00:05Z", "agent_name": "zen", "state": "stuck"}),
            json!({"kind": "agent_sample", "time": "2026-01-02T00:30:05Z", "agent_name": "zen", "net_rx_bytes": 7, "net_tx_bytes": 1}),
            json!({"kind": "agent_sample", "time": "2026-01-02T00:31:05Z", "agent_name": "zen", "net_rx_bytes": 9, "net_tx_bytes": 1}),
            json!({"kind": "token_usage", "time": "2026-01-02T00:00:05Z", "agent_name": "zen", "model": "claude-opus-4-5",
                "message_id": "msg_1", "input_tokens": 10, "output_tokens": 20, "final": true}),
            json!({"kind": "gap", "time": "2026-01-02T00:00:05Z", "from": "2026-01-02T00:00:01Z",
                "to": "2026-01-02T00:00:02Z", "events": 7, "what": "tmux", "reason": "full"}),
        ];
        let others: String = others.iter().map(|line| format!("{line}\n")).collect();
        answer_of(&record(&log.data(), &(agent_lines("zen", 20) + &others)));
        log.start_daemon_with(arguments);
        let status = log.daemon.as_ref().expect("a daemon").status();
        let address = status["ingest"]["address"].as_str().expect("it listens").to_owned();
        let config = ureq::Agent::config_builder().http_status_as_error(false);
        let client = config.timeout_global(Some(Duration::from_secs(60))).build().into();
        Self { log, client, url: format!("http://{address}") }
    }

    /// The same with a database that has everything.
    fn with(database: &Database) -> Self {
        let server = Self::new(&["--database-url", &database.url()]);
        eventually("all is in the database", || {
            let status = server.log.daemon.as_ref().expect("a daemon").status();
            (status["projection"]["lag_events"] == 0).then_some(())
        });
        server
    }

    fn get(&self, path: &str) -> (u16, String) {
        let mut response = self.client.get(format!("{}{path}", self.url)).call().expect("an answer");
        (response.status().as_u16(), response.body_mut().read_to_string().expect("text"))
    }

    fn document(&self) -> Value {
        serde_json::from_str(&self.get("/openapi.json").1).expect("JSON")
    }
}

/// The fields of a JSON value, nested ones in braces.
fn fields(value: &Value) -> String {
    let names =
        |object: &serde_json::Map<String, Value>| object.keys().cloned().collect::<Vec<_>>().join(",");
    let each = value.as_object().expect("an object").iter().map(|(name, value)| match value {
        Value::Object(inner) => format!("{name}{{{}}}", names(inner)),
        Value::Array(items) => {
            format!("{name}[{}]", names(items.first().and_then(Value::as_object).expect("items")))
        }
        _ => name.clone(),
    });
    each.collect::<Vec<_>>().join(" ")
}

#[test]
fn every_answer_is_as_the_document_says_and_as_the_go_package_had_it() {
    let server = Server::new(&[]);
    let document = server.document();
    let mut checked = 0;
    for (path, operations) in document["paths"].as_object().expect("paths") {
        let Some(answer) = operations["get"]["responses"]["200"].as_object() else { continue };
        let Some(schema) = answer["content"].get("application/json") else { continue };
        let has_range = operations["get"]["parameters"]
            .as_array()
            .is_some_and(|it| it.iter().any(|it| it["name"] == "from"));
        let query = if has_range { format!("?{DAY}") } else { String::new() };
        let (status, text) = server.get(&format!("{}{query}", path.replace("{name}", "zen")));
        assert_eq!(status, 200, "{path}: {text}");
        let answer: Value = serde_json::from_str(&text).expect("JSON");
        let validator = jsonschema::validator_for(&schema["schema"]).expect("a schema");
        let problems: Vec<String> = validator.iter_errors(&answer).map(|error| error.to_string()).collect();
        assert!(problems.is_empty(), "{path}: {problems:?}");
        // NOTE: only a database refuses events; tests/quarantine.rs has one.
        assert_eq!(answer == json!([]), path == "/api/quarantine", "{path}: {answer}");
        if let Some((_, expected)) = FIELDS.iter().find(|(known, _)| known == path) {
            let row = answer.as_array().map_or(&answer, |rows| &rows[0]);
            assert_eq!(fields(row), *expected, "{path}");
            checked += 1;
        }
    }
    assert_eq!(checked, FIELDS.len());
}

fn schemathesis(server: &Server) {
    let Some(program) = std::env::var_os("TAILWATER_TEST_SCHEMATHESIS") else {
        println!(
            "SKIPPED: schemathesis: TAILWATER_TEST_SCHEMATHESIS names no program (scripts/schemathesis)"
        );
        return;
    };
    let mut command = Command::new(program);
    command.args(["run", &format!("{}/openapi.json", server.url), "--no-color", "--max-examples", "25"]);
    // NOTE: a stream never ends; tests of its own ask for it.
    command.args(["--exclude-path", "/api/live", "--request-timeout", "60", "--checks"]);
    command.arg(
        "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,\
         response_schema_conformance",
    );
    let output = command.current_dir(server.log.home.path()).output().expect("schemathesis");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
    assert!(told.contains("Fuzzing"), "{told}");
}

#[test]
fn schemathesis_finds_no_fault_and_no_undocumented_answer_of_the_log() {
    schemathesis(&Server::new(&[]));
}

#[test]
fn schemathesis_finds_no_fault_and_no_undocumented_answer_of_the_database() {
    let Some(database) = Database::create() else { return };
    schemathesis(&Server::with(&database));
}

#[test]
fn what_is_asked_changes_nothing_and_tells_nothing_else() {
    let Some(database) = Database::create() else { return };
    let server = Server::with(&database);
    let state = || {
        let tables =
            "SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_class WHERE relkind IN ('r', 'v', 'i')
                      AND relnamespace = 'public'::regnamespace";
        let rows = "SELECT (SELECT count(*) FROM agent_metrics) + (SELECT count(*) FROM token_metrics)
                    + (SELECT count(*) FROM gaps) + (SELECT count(*) FROM agent_states)";
        (database.value::<String>(tables), database.value::<i64>(rows))
    };
    let before = state();
    let encode = |text: &str| -> String { text.bytes().map(|byte| format!("%{byte:02X}")).collect() };
    let mut asked = 0;
    for (path, operations) in server.document()["paths"].as_object().expect("paths") {
        let parameters = operations["get"]["parameters"].as_array().cloned().unwrap_or_default();
        for (parameter, payload) in parameters.iter().flat_map(|it| PAYLOADS.map(|payload| (it, payload))) {
            let name = parameter["name"].as_str().expect("a name");
            let path = match parameter["in"].as_str() {
                Some("path") => path.replace("{name}", &encode(payload)),
                Some("query") if path == "/api/live" && name != "after" && name != "kind" => continue,
                Some("query") => format!("{}?{name}={}", path.replace("{name}", "zen"), encode(payload)),
                _ => continue,
            };
            let (status, text) = server.get(&path);
            assert!([200, 400, 404].contains(&status), "{path}: {status} {text}");
            let leak = ["syntax error", "pg_", "SQL", "postgres", "root:", "/work", "panicked"];
            let told = text.replace(payload, "");
            assert!(!leak.iter().any(|leak| told.contains(leak)), "{path}: {text}");
            assert!(status != 200 || text == "[]" || name == "from" || name == "to", "{path}: {text}");
            asked += 1;
        }
    }
    assert!(asked > 1_000, "{asked}");
    assert_eq!(state(), before);
}
