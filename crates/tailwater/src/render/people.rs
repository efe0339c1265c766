//! One short line per event for people: where, when, what, who, and the numbers that matter.

use event::{AgentSample, AgentState, Event, Gap, Hole, HostName, Position, Resources, State, TokenUsage};

use crate::output::{bytes, count, harmless};

/// A line for an event; its host is named where it is not the log's own.
pub(super) fn event(position: Position, event: &Event, own: &HostName) -> String {
    let (name, told) = match event {
        Event::AgentSample(it) => (&it.agent_name, agent_sample(it)),
        Event::SystemSample(it) => (&it.system_name, resources(&it.resources)),
        Event::ChannelSample(it) => {
            let members = it.member_count.map(|members| format!("{} members", count(members)));
            let counts = [
                Some(format!("{} messages", count(it.message_count))),
                Some(format!("{} reactions", count(it.reaction_count))),
                members,
            ];
            (&it.channel_name, joined(counts))
        }
        Event::TokenUsage(it) => (&it.agent_name, token_usage(it)),
        Event::AgentState(it) => (&it.agent_name, agent_state(it)),
        Event::Gap(it) => (&it.what, gap(it)),
    };
    let who = match event.host() {
        Some(host) if host != own.as_str() => format!("{name}@{host}"),
        _ => name.to_string(),
    };
    let what = format!("{:<14}  {who:<16}  {told}", event.kind());
    placed(&position.to_string(), &event.time().to_string(), "", &what)
}

/// A line of the tail: place, time, a word in place of a kind, and the rest.
pub(super) fn placed(place: &str, time: &str, word: &str, rest: &str) -> String {
    let word = if word.is_empty() { String::new() } else { format!("{word:<14}  ") };
    let line = format!("{place:>9}  {time:<27}  {word}{rest}");
    harmless(line.trim_end())
}

/// Where a hole is, as a place of the tail.
pub(super) fn range(hole: &Hole) -> String {
    if hole.lo == hole.hi { hole.lo.to_string() } else { format!("{}-{}", hole.lo, hole.hi) }
}

/// Where a hole is, as part of a sentence.
pub(super) fn positions(hole: &Hole) -> String {
    if hole.lo == hole.hi {
        format!("position {}", hole.lo)
    } else {
        format!("positions {} to {}", hole.lo, hole.hi)
    }
}

/// What is gone and why.
pub(super) fn hole(hole: &Hole) -> String {
    let events = if hole.positions() == 1 { "event" } else { "events" };
    format!("{} {events} no longer there ({})", count(hole.positions()), hole.cause)
}

/// What a newer version wrote.
pub(super) fn unknown(kind: u8, version: u8) -> String {
    format!("an event of kind {kind} in version {version}, for a newer tailwater to read")
}

fn joined(parts: impl IntoIterator<Item = Option<String>>) -> String {
    parts.into_iter().flatten().collect::<Vec<_>>().join("  ")
}

fn state(state: State) -> Option<String> {
    Some(state.to_string()).filter(|word| !word.is_empty())
}

fn agent_sample(it: &AgentSample) -> String {
    joined([state(it.state), Some(resources(&it.resources)).filter(|text| !text.is_empty())])
}

/// What was measured; the rest is left out.
fn resources(it: &Resources) -> String {
    let memory = it.mem_used_bytes.map(|used| match it.mem_limit_bytes {
        Some(limit) => format!("mem {} of {}", bytes(used), bytes(limit)),
        None => format!("mem {}", bytes(used)),
    });
    let pair = |name: &str, first: Option<u64>, second: Option<u64>| {
        let text = |number: Option<u64>| number.map_or_else(|| "?".to_owned(), bytes);
        (first.is_some() || second.is_some()).then(|| format!("{name} {}/{}", text(first), text(second)))
    };
    joined([
        it.cpu_percent.map(|percent| format!("cpu {percent:.1}%")),
        memory,
        pair("net", it.net_rx_bytes, it.net_tx_bytes),
        pair("disk", it.disk_read_bytes, it.disk_write_bytes),
    ])
}

fn token_usage(it: &TokenUsage) -> String {
    let cache = (it.cache_read > 0 || it.cache_create > 0)
        .then(|| format!("cache {} read {} made", count(it.cache_read), count(it.cache_create)));
    joined([
        Some(it.model.to_string()),
        Some(format!("in {} out {}", count(it.input_tokens), count(it.output_tokens))),
        cache,
        it.cost_usd.map(|cost| format!("${cost:.4}")),
        (!it.r#final).then(|| "not final".to_owned()),
    ])
}

fn agent_state(it: &AgentState) -> String {
    let word = state(it.state).unwrap_or_else(|| "unknown".to_owned());
    joined([Some(word), it.started_at.map(|time| format!("began {time}"))])
}

fn gap(it: &Gap) -> String {
    let events = if it.events == 1 { "event" } else { "events" };
    format!("{} {events} lost from {} to {}: {}", count(it.events), it.from, it.to, it.reason)
}
