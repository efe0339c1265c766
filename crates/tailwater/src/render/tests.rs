//! Each sort of entry in each style.

use event::{HoleCause, Resources, State, Time};

use super::*;

const OWN: &str = "here";

fn page(style: Style, add: impl FnOnce(&Renderer, &mut Page)) -> Page {
    let renderer = Renderer::new(style, HostName::new(OWN).unwrap());
    let mut page = Page::default();
    add(&renderer, &mut page);
    page
}

fn time() -> Time {
    "2026-01-02T03:04:05.678901Z".parse().unwrap()
}

fn entry(event: Decoded) -> Entry {
    Entry { position: Position(1_234), checksum: 7, bytes: 9, event }
}

fn sample() -> Event {
    Event::AgentSample(AgentSample {
        time: time(),
        agent_name: "zen".into(),
        role: "a,b".into(),
        state: State::Working,
        resources: Resources {
            cpu_percent: Some(87.5),
            mem_used_bytes: Some(3 << 20),
            mem_limit_bytes: Some(2 << 30),
            net_rx_bytes: Some(1_536),
            ..Resources::default()
        },
        ..AgentSample::default()
    })
}

fn rendered(style: Style, event: Event) -> String {
    page(style, |renderer, page| renderer.entry(entry(Decoded::Event(event)), page)).lines
}

fn hole(lo: u64, hi: u64) -> Hole {
    Hole { lo: Position(lo), hi: Position(hi), cause: HoleCause::Trimmed, checksum: None }
}

#[test]
fn an_export_spells_out_the_host_and_comes_back_as_it_was() {
    let line = rendered(Style::Export, sample());
    assert!(
        line.starts_with(
            r#"{"kind":"agent_sample","time":"2026-01-02T03:04:05.678901Z","host":"here","agent_name":"zen""#
        ),
        "{line}"
    );
    let mut expected = sample();
    *expected.host_mut() = Some(OWN.into());
    assert_eq!(event::json::parse_line(line.as_bytes()), Ok(expected));
    let mut foreign = sample();
    *foreign.host_mut() = Some("there".into());
    let line = rendered(Style::Export, foreign.clone());
    assert_eq!(event::json::parse_line(line.as_bytes()), Ok(foreign), "a host of its own stays");
}

#[test]
fn people_get_one_short_line() {
    let check = |event: Event, says: &str| {
        let line = rendered(Style::Tail(Format::Table), event);
        assert_eq!(line, format!("     1234  2026-01-02T03:04:05.678901Z  {says}\n"));
    };
    check(
        sample(),
        "agent_sample    zen               working  cpu 87.5%  mem 3.0 MiB of 2.0 GiB  net 1.5 KiB/?",
    );
    let mut foreign = sample();
    *foreign.host_mut() = Some("there".into());
    check(
        foreign,
        "agent_sample    zen@there         working  cpu 87.5%  mem 3.0 MiB of 2.0 GiB  net 1.5 KiB/?",
    );
    check(
        Event::ChannelSample(ChannelSample {
            time: time(),
            host: Some(OWN.into()),
            channel_name: "\u{1b}[2Jgeneral".into(),
            message_count: 1_200,
            ..ChannelSample::default()
        }),
        "channel_sample  \\u{1b}[2Jgeneral       1,200 messages  0 reactions",
    );
    check(
        Event::TokenUsage(TokenUsage {
            time: time(),
            agent_name: "zen".into(),
            model: "m-1".into(),
            input_tokens: 10,
            output_tokens: 2_000,
            cache_read: 5,
            cost_usd: Some(0.25),
            ..TokenUsage::default()
        }),
        "token_usage     zen               m-1  in 10 out 2,000  cache 5 read 0 made  $0.2500  not final",
    );
    check(
        Event::AgentState(AgentState { time: time(), agent_name: "zen".into(), ..AgentState::default() }),
        "agent_state     zen               unknown",
    );
    check(
        Event::Gap(Gap {
            time: time(),
            events: 1,
            what: "tmux".into(),
            reason: "queue_full".into(),
            ..Gap::default()
        }),
        "gap             tmux              1 event lost from 1970-01-01T00:00:00.000000Z to \
         1970-01-01T00:00:00.000000Z: queue_full",
    );
}

#[test]
fn programs_get_the_position_and_the_event() {
    let line = rendered(Style::Tail(Format::Json), sample());
    let value: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(
        (&value["position"], &value["host"], &value["cpu_percent"]),
        (&json!(1_234), &json!("here"), &json!(87.5))
    );
    assert!(line.starts_with(r#"{"position":1234,"kind":"agent_sample","#), "{line}");
}

#[test]
fn spreadsheets_get_every_field_in_its_column() {
    let head = csv_head();
    assert!(
        head.starts_with("position,kind,time,host,agent_name,role,tool,runtime,state,cpu_percent,"),
        "{head}"
    );
    assert!(head.ends_with(",final,started_at,from,to,events,what,reason"), "{head}");
    let line = rendered(Style::Tail(Format::Csv), sample());
    assert!(
        line.starts_with(
            "1234,agent_sample,2026-01-02T03:04:05.678901Z,here,zen,\"a,b\",,,working,87.5,3145728,"
        ),
        "{line}"
    );
    let commas = |text: &str| text.replace("\"a,b\"", "").matches(',').count();
    assert_eq!(commas(&line), commas(&head));
}

#[test]
fn a_hole_is_a_line_of_its_own_and_never_part_of_an_export() {
    let told = |style| page(style, |renderer, page| renderer.hole(&hole(3, 1_002), page));
    assert_eq!(
        told(Style::Tail(Format::Json)).lines,
        "{\"hole\":{\"from\":3,\"to\":1002,\"cause\":\"trimmed\"}}\n"
    );
    let table = told(Style::Tail(Format::Table)).lines;
    assert!(table.starts_with("   3-1002  ") && table.contains("hole"), "{table}");
    assert!(table.ends_with("1,000 events no longer there (trimmed)\n"), "{table}");
    let csv = told(Style::Tail(Format::Csv)).lines;
    assert!(csv.starts_with("3,hole,,") && csv.ends_with(",1000,,trimmed\n"), "{csv}");
    let export = told(Style::Export);
    assert_eq!(export.lines, "");
    assert_eq!(export.notices, ["positions 3 to 1002: 1,000 events no longer there (trimmed)"]);
    let one = page(Style::Export, |renderer, page| renderer.hole(&hole(3, 3), page));
    assert_eq!(one.notices, ["position 3: 1 event no longer there (trimmed)"]);
}

#[test]
fn what_a_newer_version_wrote_is_told() {
    let told = |style| {
        page(style, |renderer, page| {
            renderer.entry(entry(Decoded::Unknown { kind: 9, version: 2, payload: Box::default() }), page);
        })
    };
    assert_eq!(
        told(Style::Tail(Format::Json)).lines,
        "{\"position\":1234,\"unknown\":{\"kind\":9,\"version\":2}}\n"
    );
    assert!(told(Style::Tail(Format::Table)).lines.contains("kind 9 in version 2"));
    assert!(told(Style::Tail(Format::Csv)).lines.starts_with("1234,unknown 9 version 2,,"));
    let export = told(Style::Export);
    assert_eq!((export.lines.as_str(), export.unknown, export.events), ("", 1, 0));
}
