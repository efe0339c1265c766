//! `GET /api/live`: events as they become durable, as server-sent events.
//!
//! ```text
//! id: 4711                    the position, to go on behind it with Last-Event-ID
//! event: agent_sample         the kind, or `hole`, or `problem` in front of the end
//! data: {"kind":…}            the event as a line of NDJSON, always with its host
//! ```
//!
//! A stream reads the log when its client takes what was read before: a slow client gathers nothing here, and misses
//! nothing. <https://html.spec.whatwg.org/multipage/server-sent-events.html>

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event as Message, KeepAlive};
use axum::response::{IntoResponse, Response, Sse};
use event::wire::Decoded;
use event::{Event, Hole, Kind, Position, Stretch, Text, json};
use futures_util::{Stream, stream};
use query::Names;
use serde_json::json;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;

use crate::answers::parameters;
use crate::intake::Intake;
use crate::problem::Problem;
use crate::reads::Reads;
use crate::routes::App;

/// How often a quiet stream says that it is there, so that nothing on the way takes it for dead.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// When a client that lost its connection should come again.
const RETRY: Duration = Duration::from_secs(2);
/// After so many events that were not chosen the client is told how far it is.
const UNTOLD_MAX: u64 = 1_000;
/// When a client should try again for which there is no place.
const BUSY_WAIT: Duration = Duration::from_secs(10);

/// The parameters that it understands.
pub(crate) const PARAMETERS: [&str; 6] = ["after", "kind", "agent", "system", "channel", "host"];

/// That the server is to end.
#[derive(Clone)]
pub(crate) struct Stop(pub(crate) CancellationToken);

/// Which events a client wants.
#[derive(Debug, Default)]
struct Choice {
    kinds: Option<Vec<Kind>>,
    agent: Names,
    system: Names,
    channel: Names,
    host: Names,
}

/// A client and where it is.
struct Live<B> {
    app: Arc<App<B>>,
    choice: Choice,
    host: Text,
    at: Position,
    /// Read, and not yet taken.
    messages: VecDeque<Message>,
    /// Events since the last message.
    untold: u64,
    is_over: bool,
    stop: CancellationToken,
    _place: OwnedSemaphorePermit,
}

/// Answers `/api/live`.
pub(crate) async fn live<B: Intake + Reads>(
    State(app): State<Arc<App<B>>>,
    request: Request,
) -> Result<Response, Problem> {
    let parameters = parameters(request.uri().query());
    let choice = Choice::parse(&parameters)?;
    let head = app.backend.head()?;
    let after = after(request.headers(), &parameters)?.unwrap_or_else(|| head.next.before());
    if after >= head.next {
        let detail = format!("position {after} is not there yet: the last one is {}", head.next.before());
        return Err(field("after", detail));
    }
    let place = Arc::clone(&app.live_places).try_acquire_owned().map_err(|_| {
        let detail = "as many streams are open as there may be; close some, or come again";
        Problem::later(StatusCode::SERVICE_UNAVAILABLE, detail, BUSY_WAIT)
    })?;
    let stop = request.extensions().get::<Stop>().map(|stop| stop.0.clone()).unwrap_or_default();
    // NOTE: without data it is no event, and still tells a client where to go on.
    let begin = Message::default().id(after.to_string()).retry(RETRY);
    let live = Live {
        app,
        choice,
        host: head.host,
        at: after.next(),
        messages: VecDeque::from([begin]),
        untold: 0,
        is_over: false,
        stop,
        _place: place,
    };
    let stream = Sse::new(live.stream()).keep_alive(KeepAlive::new().interval(KEEP_ALIVE));
    Ok(stream.into_response())
}

/// The position behind which to begin, if the client says.
fn after(headers: &HeaderMap, parameters: &[(String, String)]) -> Result<Option<Position>, Problem> {
    let header = headers.get("last-event-id").map(|value| value.to_str().unwrap_or("?"));
    let parameter = parameters.iter().find(|(name, _)| name == "after").map(|(_, text)| text.as_str());
    let Some(text) = header.filter(|text| !text.is_empty()).or(parameter) else { return Ok(None) };
    let position = text.parse().map(|position| Some(Position(position)));
    position
        .map_err(|_| field("after", format!("{text:?} is no position: it is a whole number such as 4711")))
}

fn field(name: &str, detail: impl std::fmt::Display) -> Problem {
    Problem { field: Some(name.to_owned()), ..Problem::bad_request(format!("parameter {name}: {detail}")) }
}

impl Choice {
    fn parse(parameters: &[(String, String)]) -> Result<Self, Problem> {
        let mut seen: Vec<&str> = Vec::new();
        for (name, _) in parameters {
            if !PARAMETERS.contains(&name.as_str()) {
                return Err(field(name, format!("is not one of {}", PARAMETERS.join(", "))));
            }
            if seen.contains(&name.as_str()) {
                return Err(field(name, "stands there twice"));
            }
            seen.push(name);
        }
        let get =
            |wanted: &str| parameters.iter().find(|(name, _)| name == wanted).map(|(_, text)| text.as_str());
        let names = |name: &'static str| Names::parse(name, get(name));
        Ok(Self {
            kinds: get("kind").filter(|text| !text.is_empty()).map(kinds).transpose()?,
            agent: names("agent")?,
            system: names("system")?,
            channel: names("channel")?,
            host: names("host")?,
        })
    }

    /// Whether a client wants this event. A choice of names is one of events that have such a name.
    fn has(&self, event: &Event) -> bool {
        let is_named = [&self.agent, &self.system, &self.channel].iter().any(|it| it.chosen().is_some());
        let named = |names: &Names, name: &str| match names.chosen() {
            Some(_) => names.has(name),
            None => !is_named,
        };
        let has_name = match event {
            Event::AgentSample(it) => named(&self.agent, &it.agent_name),
            Event::TokenUsage(it) => named(&self.agent, &it.agent_name),
            Event::AgentState(it) => named(&self.agent, &it.agent_name),
            Event::SystemSample(it) => named(&self.system, &it.system_name),
            Event::ChannelSample(it) => named(&self.channel, &it.channel_name),
            Event::Gap(_) => !is_named,
        };
        let has_kind = self.kinds.as_ref().is_none_or(|kinds| kinds.contains(&event.kind()));
        has_name && has_kind && self.host.has(event.host().unwrap_or_default())
    }
}

fn kinds(text: &str) -> Result<Vec<Kind>, Problem> {
    let kind = |name: &str| {
        let all = || Kind::ALL.map(Kind::name).join(", ");
        Kind::from_name(name).ok_or_else(|| field("kind", format!("{name:?} is not one of {}", all())))
    };
    text.split(',').map(kind).collect()
}

impl<B: Intake + Reads> Live<B> {
    fn stream(self) -> impl Stream<Item = Result<Message, Infallible>> {
        stream::unfold(self, |mut live| async move {
            loop {
                if let Some(message) = live.messages.pop_front() {
                    return Some((Ok(message), live));
                }
                if live.is_over || !live.read().await {
                    return None;
                }
            }
        })
    }

    /// Waits for what lies at its place and reads it; false when the server ends.
    async fn read(&mut self) -> bool {
        let read = tokio::select! {
            () = self.stop.cancelled() => return false,
            read = self.app.backend.read(self.at) => read,
        };
        match read {
            Ok(Stretch::Events(entries)) => {
                for entry in entries {
                    self.at = entry.position.next();
                    match entry.event {
                        Decoded::Event(event) => self.take(entry.position, event),
                        Decoded::Unknown { .. } => self.untold += 1,
                    }
                }
                if self.untold >= UNTOLD_MAX {
                    self.say(Message::default().id(self.at.before().to_string()));
                }
            }
            Ok(Stretch::Hole(hole)) => self.take_hole(hole),
            Err(error) => {
                self.say(
                    Message::default()
                        .event("problem")
                        .data(json!({"detail": error.to_string()}).to_string()),
                );
                self.is_over = true;
            }
        }
        true
    }

    fn take(&mut self, position: Position, mut event: Event) {
        event.host_mut().get_or_insert_with(|| self.host.clone());
        if !self.choice.has(&event) {
            self.untold += 1;
            return;
        }
        let message = Message::default().id(position.to_string()).event(event.kind().name());
        self.say(message.data(json::to_line(&event)));
    }

    fn take_hole(&mut self, hole: Hole) {
        let Hole { lo, hi, .. } = hole;
        let from = lo.max(self.at);
        self.at = hi.next();
        let data = json!({
            "from": from.0, "to": hi.0, "events": hi.next().since(from), "cause": hole.cause.to_string(),
        });
        self.say(Message::default().id(hi.to_string()).event("hole").data(data.to_string()));
    }

    fn say(&mut self, message: Message) {
        self.untold = 0;
        self.messages.push_back(message);
    }
}

#[cfg(test)]
mod tests {
    use event::{AgentSample, ChannelSample, Gap, TokenUsage};

    use super::*;

    fn choice(parameters: &[(&str, &str)]) -> Result<Choice, String> {
        let own = |(name, text): &(&str, &str)| ((*name).to_owned(), (*text).to_owned());
        Choice::parse(&parameters.iter().map(own).collect::<Vec<_>>()).map_err(|problem| problem.detail)
    }

    #[test]
    fn a_choice_of_names_is_one_of_what_has_such_a_name() {
        let host = Some(Text::new("h"));
        let agent = AgentSample { agent_name: "zen".into(), host: host.clone(), ..AgentSample::default() };
        let usage = TokenUsage { agent_name: "zen1".into(), host: host.clone(), ..TokenUsage::default() };
        let channel =
            ChannelSample { channel_name: "c".into(), host: host.clone(), ..ChannelSample::default() };
        let gap = Gap { host, ..Gap::default() };
        let events = [
            Event::AgentSample(agent),
            Event::TokenUsage(usage),
            Event::ChannelSample(channel),
            Event::Gap(gap),
        ];
        let check = |parameters: &[(&str, &str)], expected: [bool; 4]| {
            let choice = choice(parameters).unwrap();
            assert_eq!(events.each_ref().map(|event| choice.has(event)), expected, "{parameters:?}");
        };
        check(&[], [true; 4]);
        check(&[("agent", "zen")], [true, false, false, false]);
        check(&[("agent", "zen"), ("channel", "c,d")], [true, false, true, false]);
        check(&[("kind", "token_usage,gap")], [false, true, false, true]);
        check(&[("kind", "token_usage"), ("agent", "zen")], [false; 4]);
        check(&[("host", "h")], [true; 4]);
        check(&[("host", "g")], [false; 4]);
    }

    #[test]
    fn a_parameter_that_means_nothing_is_named() {
        let check = |name: &str, text: &str, expected: &str| {
            let problem = choice(&[(name, text)]).unwrap_err();
            assert_eq!(problem, format!("parameter {expected}"));
        };
        check("kinds", "gap", "kinds: is not one of after, kind, agent, system, channel, host");
        check(
            "kind",
            "gaps",
            "kind: \"gaps\" is not one of agent_sample, system_sample, channel_sample, token_usage, agent_state, gap",
        );
        check(
            "agent",
            "a,,b",
            "agent: has an empty name: write names with single commas between them, such as a,b",
        );
        assert!(choice(&[("agent", "a"), ("agent", "b")]).unwrap_err().contains("twice"));
    }
}
