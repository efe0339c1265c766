//! The screen: a line above that tells how tailwater is doing, the page, and the keys below.

use event::Time;
use query::AgentRow;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Paragraph};

use super::app::App;
use super::ask::{Facts, Wanted};
use super::{agent, fleet, keys, pipeline};
use crate::output::{Tone, bytes, count, harmless, shortened, to_the_second, tone_of_state};

/// Draws all of it.
pub(super) fn draw(frame: &mut Frame<'_>, app: &mut App) {
    let has_trouble =
        app.trouble.is_some() || app.facts.as_ref().is_some_and(|it| it.status.ailment().is_some());
    let parts = [
        Constraint::Length(2),
        Constraint::Length(u16::from(has_trouble)),
        Constraint::Min(1),
        Constraint::Length(1),
    ];
    let [head, trouble, page, foot] = Layout::vertical(parts).areas(frame.area());
    frame.render_widget(Paragraph::new(head_lines(app, usize::from(head.width))), head);
    if let Some(line) = trouble_line(app, usize::from(trouble.width)) {
        frame.render_widget(Paragraph::new(line), trouble);
    }
    match &app.page {
        Wanted::Fleet => fleet::draw(frame, page, app),
        Wanted::Agent { .. } => agent::draw(frame, page, app),
        Wanted::Pipeline => pipeline::draw(frame, page, app),
    }
    frame.render_widget(Paragraph::new(foot_line(app)), foot);
    if app.is_explaining {
        explain(frame, page);
    }
}

fn head_lines(app: &App, width: usize) -> Vec<Line<'static>> {
    let Some(facts) = &app.facts else { return vec![Line::from("tailwater top")] };
    let strong = Style::default().add_modifier(Modifier::BOLD);
    let time = to_the_second(&facts.at.to_string()).replace('T', " ");
    let mut words = vec![
        Span::styled("tailwater", strong),
        format!(" {}  {time}", harmless(&facts.status.log.host)).into(),
    ];
    words.extend(pipeline_words(facts, app.is_coloured));
    vec![Line::from(words), Line::from(shortened(&counts(&facts.latest), width))]
}

/// How recording and projecting are doing, in a few words.
fn pipeline_words(facts: &Facts, is_coloured: bool) -> Vec<Span<'static>> {
    let status = &facts.status;
    let behind = match status.projection.lag_events {
        None | Some(0) => String::new(),
        Some(events) => format!(", {} behind", count(events)),
    };
    let database = match status.projection.state.as_str() {
        "disabled" => "no database".to_owned(),
        state => format!("database {}{behind}", state.replace('_', " ")),
    };
    vec![
        "  recording ".into(),
        Span::styled(status.recording.state.clone(), state_style(&status.recording.state, is_coloured)),
        format!("  log {}  ", bytes(status.log.bytes)).into(),
        Span::styled(database, state_style(&status.projection.state, is_coloured)),
    ]
}

/// `7 agents: 2 working, 1 stuck`.
fn counts(latest: &[AgentRow]) -> String {
    let states = ["working", "stuck", "error", "idle", "done", "stopped"];
    let number = |state: &str| latest.iter().filter(|row| row.state == state).count() as u64;
    let mut parts: Vec<String> = states
        .into_iter()
        .filter(|state| number(state) > 0)
        .map(|state| format!("{} {state}", count(number(state))))
        .collect();
    if number("") > 0 && !parts.is_empty() {
        parts.push(format!("{} unknown", count(number(""))));
    }
    let agents = crate::output::counted(latest.len() as u64, "agent");
    if parts.is_empty() { agents } else { format!("{agents}: {}", parts.join(", ")) }
}

fn trouble_line(app: &App, width: usize) -> Option<Line<'static>> {
    let ailment = app.facts.as_ref().and_then(|facts| facts.status.ailment());
    let text = app.trouble.clone().or(ailment)?;
    let style = toned(Tone::Bad, app.is_coloured);
    Some(Line::styled(shortened(&harmless(&text), width), style))
}

fn foot_line(app: &App) -> Line<'static> {
    let mut words: Vec<Span<'static>> = Vec::new();
    if app.is_filtering || !app.filter.is_empty() && app.page == Wanted::Fleet {
        let mark = if app.is_filtering { "\u{2588}" } else { "" };
        words.push(format!("/{}{mark}  ", harmless(&app.filter)).into());
    }
    for (key, what) in keys::of(&app.page, app.is_filtering) {
        words.push(Span::styled(*key, Style::default().add_modifier(Modifier::BOLD)));
        words.push(Span::styled(format!(" {what}  "), faint(app.is_coloured)));
    }
    Line::from(words)
}

fn explain(frame: &mut Frame<'_>, page: Rect) {
    let lines: Vec<Line<'_>> = keys::ALL
        .iter()
        .map(|(key, what)| {
            Line::from(vec![
                Span::styled(format!(" {key:<14}"), Style::default().add_modifier(Modifier::BOLD)),
                Span::from(*what),
            ])
        })
        .collect();
    let height = u16::try_from(lines.len()).unwrap_or(u16::MAX).saturating_add(2);
    let [area] = Layout::horizontal([Constraint::Max(66)]).areas(page);
    let [area, _] = Layout::vertical([Constraint::Max(height), Constraint::Min(0)]).areas(area);
    frame.render_widget(Clear, area);
    frame.render_widget(Paragraph::new(lines).block(Block::bordered().title(" keys ")), area);
}

/// Of little interest.
pub(super) fn faint(is_coloured: bool) -> Style {
    toned(Tone::Faint, is_coloured)
}

/// What the colour of a state says.
pub(super) fn state_style(state: &str, is_coloured: bool) -> Style {
    toned(tone_of_state("state", state), is_coloured)
}

fn toned(tone: Tone, is_coloured: bool) -> Style {
    let style = Style::default();
    match tone {
        _ if !is_coloured => style,
        Tone::Plain => style,
        Tone::Good => style.fg(Color::Green),
        Tone::Odd => style.fg(Color::Yellow),
        Tone::Bad => style.fg(Color::Red),
        Tone::Faint => style.add_modifier(Modifier::DIM),
    }
}

/// `12s`, `3m`, `5h`, `2d`: how long ago.
pub(super) fn ago(time: Time, now: Time) -> String {
    let seconds = (now.micros() - time.micros()).max(0) / 1_000_000;
    match seconds {
        ..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m", seconds / 60),
        3_600..86_400 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}
