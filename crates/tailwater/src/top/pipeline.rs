//! How recording and projecting are doing.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Wrap};
use serde_json::Value;

use super::app::App;
use super::ask::{Facts, More};
use super::draw::{faint, state_style};
use crate::output::{bytes, count, counted, harmless, to_the_second};
use crate::service::LogStatAnswer;

/// Draws it.
pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, app: &mut App) {
    let Some(facts) = &app.facts else { return };
    let lines = lines(facts, usize::from(area.width), app.is_coloured);
    let paragraph = Paragraph::new(lines).wrap(Wrap { trim: false });
    let height = u16::try_from(paragraph.line_count(area.width)).unwrap_or(u16::MAX);
    app.scrolled = app.scrolled.min(height.saturating_sub(area.height));
    frame.render_widget(paragraph.scroll((app.scrolled, 0)), area);
}

fn lines(facts: &Facts, width: usize, is_coloured: bool) -> Vec<Line<'static>> {
    let strong = Style::default().add_modifier(Modifier::BOLD);
    let named = |name: &str, text: String| {
        Line::from(vec![Span::styled(format!("{name:<13}"), faint(is_coloured)), text.into()])
    };
    let status = &facts.status;
    let mut lines = vec![Line::styled("log", strong)];
    if let More::Log(stat) = &facts.more {
        lines.extend(bar(stat, facts, width, is_coloured));
        let each = stat.bytes_per_event.map(|bytes| format!(", {bytes:.0} bytes each")).unwrap_or_default();
        let segments = counted(stat.segments, "segment");
        lines.push(named(
            "events",
            format!("{}{each}, {} in {segments}", count(stat.events), bytes(status.log.bytes)),
        ));
    }
    lines.push(named(
        "positions",
        format!(
            "{} to {}",
            count(status.log.first_position),
            count(status.log.next_position.saturating_sub(1))
        ),
    ));
    let refused = status.recording.refused_events;
    if refused > 0 {
        lines.push(named("refused", counted(refused, "event")));
    }
    lines.push(named("lost", format!("{}, told by gap events", counted(status.gaps.events, "event"))));
    lines.push(Line::default());
    lines.push(Line::styled("database", strong));
    lines.extend(projection(facts).into_iter().map(|(name, text)| named(name, text)));
    lines.push(Line::default());
    lines.push(Line::styled("samplers", strong));
    lines.extend(status.samplers.iter().map(|sampler| sampler_line(sampler, is_coloured)));
    lines.push(Line::default());
    let ingest = &status.ingest;
    let address = ingest.address.clone().unwrap_or_else(|| ingest.state.clone());
    lines.push(Line::styled("HTTP", strong));
    lines.push(named("address", address));
    lines.push(named(
        "posted",
        format!("{} in {}", counted(ingest.tally.events, "event"), counted(ingest.tally.requests, "request")),
    ));
    lines
}

fn projection(facts: &Facts) -> Vec<(&'static str, String)> {
    let projection = &facts.status.projection;
    let mut told = vec![("state", projection.state.replace('_', " "))];
    if projection.state == "disabled" {
        return vec![("state", "none is set: the log keeps everything until there is one".to_owned())];
    }
    if let Some(events) = projection.lag_events {
        let seconds = projection.lag_seconds.filter(|_| events > 0);
        let old = seconds.map(|seconds| format!(", the oldest {seconds:.0} s old")).unwrap_or_default();
        told.push(("behind", format!("{}{old}", counted(events, "event"))));
    }
    told.push(("rate", format!("{}/s", counted(projection.events_per_second, "event"))));
    if let Some(since) = &projection.outage_since {
        told.push(("away since", to_the_second(since)));
    }
    told.push(("sent", counted(projection.counts.sent, "event")));
    told.push(("refused", format!("{} in quarantine", counted(facts.status.quarantine.events, "event"))));
    if let Some(error) = &projection.error {
        told.push(("error", harmless(error)));
    }
    told
}

fn sampler_line(sampler: &Value, is_coloured: bool) -> Line<'static> {
    let text = |field: &str| sampler.get(field).and_then(Value::as_str).map(harmless).unwrap_or_default();
    let state = text("state");
    let style = state_style(&state, is_coloured);
    let last = to_the_second(&text("last_run"));
    let error = text("error");
    let behind = if error.is_empty() { String::new() } else { format!("  {error}") };
    Line::from(vec![
        format!("{:<13}", text("name")).into(),
        Span::styled(format!("{state:<9}"), style),
        format!("{last}{behind}").into(),
    ])
}

/// All positions as one line: in the database, still to come, no longer there.
fn bar(stat: &LogStatAnswer, facts: &Facts, width: usize, is_coloured: bool) -> Vec<Line<'static>> {
    let next = stat.log.next_position;
    let width = width.min(100);
    if next <= 1 || width == 0 {
        return Vec::new();
    }
    let ranges = &facts.status.projection.ranges;
    let part = (next - 1).div_ceil(width as u64);
    let width = usize::try_from((next - 1).div_ceil(part)).unwrap_or(width);
    let place = |column: usize| 1 + part * column as u64;
    let kind = |column: usize| {
        let (from, to) = (place(column), place(column + 1).max(place(column) + 1));
        let touches = |lo: u64, hi: u64| lo < to && from < hi;
        if stat.holes.iter().any(|hole| touches(hole.from, hole.to + 1)) {
            return ('\u{2591}', Color::Red);
        }
        let is_pending = ranges.iter().any(|range| touches(range.next, range.hi.unwrap_or(next)));
        if ranges.is_empty() || is_pending { ('\u{2592}', Color::Yellow) } else { ('\u{2588}', Color::Green) }
    };
    let cells: Vec<Span<'static>> = (0..width)
        .map(|column| {
            let (mark, colour) = kind(column);
            let style = if is_coloured { Style::default().fg(colour) } else { Style::default() };
            Span::styled(mark.to_string(), style)
        })
        .collect();
    let key = if ranges.is_empty() {
        "\u{2592} in the log  \u{2591} no longer in the log"
    } else {
        "\u{2588} in the database  \u{2592} still to come  \u{2591} no longer in the log"
    };
    vec![Line::from(cells), Line::styled(key, faint(is_coloured))]
}
