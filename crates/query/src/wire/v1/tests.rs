//! The JSON that clients build on, byte by byte.

use event::{Resources, Time};

use super::*;
use crate::{CpuSummary, ModelSummary, Rates, TokenSummary};

fn columns<R: Row>(row: &R) -> Vec<&'static str> {
    assert_eq!(R::COLUMNS.len(), row.values().count());
    R::COLUMNS.to_vec()
}

#[test]
fn a_row_is_a_flat_object_in_the_order_of_its_columns() {
    let row = SystemRow {
        time: Time::from_micros(1_767_323_045_678_901),
        system_name: "db".into(),
        host: "h".into(),
        resources: Resources { cpu_percent: Some(1.5), mem_used_bytes: Some(7), ..Resources::default() },
        rates: Rates { net_rx_per_second: Some(0.25), ..Rates::default() },
    };
    assert_eq!(
        serde_json::to_string(&row).unwrap(),
        "{\"time\":\"2026-01-02T03:04:05.678901Z\",\"system_name\":\"db\",\"cpu_percent\":1.5,\
         \"mem_used_bytes\":7,\"mem_limit_bytes\":null,\"mem_percent\":null,\"net_rx_bytes\":null,\
         \"net_tx_bytes\":null,\"disk_read_bytes\":null,\"disk_write_bytes\":null,\"host\":\"h\",\
         \"net_rx_per_second\":0.25,\"net_tx_per_second\":null,\"disk_read_per_second\":null,\
         \"disk_write_per_second\":null}"
    );
    assert_eq!(columns(&row).len(), 15);
}

#[test]
fn an_agent_row_has_labels_as_well() {
    let row = AgentRow { agent_name: "a".into(), state: "idle".into(), ..AgentRow::default() };
    let json = serde_json::to_value(&row).unwrap();
    let mut names: Vec<_> = json.as_object().unwrap().keys().map(String::as_str).collect();
    let mut columns = columns(&row);
    // Whether a map of serde_json keeps the order depends on who else is built.
    names.sort_unstable();
    columns.sort_unstable();
    assert_eq!(names, columns);
    assert_eq!(json["state"], "idle");
}

#[test]
fn a_summary_is_nested_and_null_where_nothing_is_known() {
    let summary = AgentSummary {
        agent_name: "a".into(),
        cpu: CpuSummary { avg_percent: Some(1.0), max_percent: Some(2.0) },
        disk: Transfer { received: Some(3), sent: None },
        ..AgentSummary::default()
    };
    assert_eq!(
        serde_json::to_string(&summary).unwrap(),
        "{\"agent_name\":\"a\",\"role\":\"\",\"tool\":\"\",\"runtime\":\"\",\"state\":\"\",\
         \"cpu\":{\"avg_percent\":1.0,\"max_percent\":2.0},\
         \"memory\":{\"avg_bytes\":null,\"max_bytes\":null,\"avg_percent\":null},\
         \"disk\":{\"read_bytes\":3,\"write_bytes\":null},\
         \"network\":null,\"tokens\":null,\"cost\":null,\"models\":[]}"
    );
}

#[test]
fn the_columns_of_a_summary_are_the_members_of_its_json() {
    let summary = AgentSummary {
        network: Some(Transfer::default()),
        tokens: Some(TokenSummary::default()),
        cost_usd: Some(0.5),
        models: vec![ModelSummary { model: "m".into(), ..ModelSummary::default() }],
        ..AgentSummary::default()
    };
    let json = serde_json::to_value(&summary).unwrap();
    for (column, value) in columns(&summary).into_iter().zip(summary.values()) {
        let pointer = format!("/{}", column.replace('.', "/"));
        assert_eq!(json.pointer(&pointer), Some(&serde_json::to_value(value).unwrap()), "{column}");
    }
    assert_eq!(json["models"][0]["input_tokens"], 0);
}

#[test]
fn a_cell_is_the_same_value_as_text() {
    let check = |value: Value<'_>, text: &str| assert_eq!(value.to_string(), text);
    check(Value::Null, "");
    check(Value::Time(Time::from_micros(0)), "1970-01-01T00:00:00.000000Z");
    check(Value::Text("a,b"), "a,b");
    check(Value::Count(7), "7");
    check(Value::Number(0.1), "0.1");
}

#[test]
fn channels_tokens_states_and_gaps_are_flat_objects() {
    fn check<R: Row + Serialize>(row: &R, json: &str) {
        assert_eq!(serde_json::to_string(row).unwrap(), json);
        assert_eq!(columns(row).len(), json.matches("\":").count());
    }
    let time = Time::from_micros(1_767_323_045_678_901);
    let told = "2026-01-02T03:04:05.678901Z";
    let channel = ChannelRow {
        time,
        channel_name: "c".into(),
        message_count: 3,
        host: "h".into(),
        ..ChannelRow::default()
    };
    let numbers = r#""message_count":3,"member_count":null,"reaction_count":0"#;
    check(&channel, &format!(r#"{{"time":"{told}","channel_name":"c",{numbers},"host":"h"}}"#));
    let used = crate::TokensUsed {
        input_tokens: 1,
        cost_usd: Some(0.5),
        unpriced_events: 2,
        ..crate::TokensUsed::default()
    };
    let tokens = TokenRow { time, agent_name: "a".into(), model: "m".into(), used, host: "h".into() };
    let counts = r#""input_tokens":1,"output_tokens":0,"cache_read":0,"cache_create":0"#;
    let costs = r#""cost_usd":0.5,"reported_cost_usd":null,"unpriced_events":2"#;
    check(
        &tokens,
        &format!(r#"{{"time":"{told}","agent_name":"a","model":"m",{counts},{costs},"host":"h"}}"#),
    );
    let state = StateRow {
        time,
        agent_name: "a".into(),
        state: "idle".into(),
        started_at: Some(time),
        ..StateRow::default()
    };
    let labels = r#""role":"","tool":"","runtime":"","state":"idle""#;
    check(
        &state,
        &format!(r#"{{"time":"{told}","agent_name":"a",{labels},"started_at":"{told}","host":""}}"#),
    );
    let gap = GapRow {
        time,
        from: time,
        to: time,
        events: 9,
        what: "tmux".into(),
        reason: "full".into(),
        host: "h".into(),
    };
    let lost = r#""events":9,"what":"tmux","reason":"full","host":"h""#;
    check(&gap, &format!(r#"{{"time":"{told}","from":"{told}","to":"{told}",{lost}}}"#));
}
