//! One agent: its last hour, what its calls used, what it has said.

use std::collections::BTreeMap;

use event::Time;
use query::{AgentRow, TokenRow};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Sparkline, SparklineBar};

use super::app::App;
use super::ask::{AgentFacts, More, Wanted};
use super::draw::{ago, faint, state_style};
use crate::chart::Unit;
use crate::output::{harmless, shortened, to_the_second};

/// Minutes of the last hour.
const MINUTES: usize = 60;
/// Rows of a curve.
const CURVE_HEIGHT: u16 = 4;

/// What of a sample is drawn.
type Value = fn(&AgentRow) -> Option<f64>;

/// The curves: title, unit, value, and what the top at least is.
const CURVES: [(&str, Unit, Value, f64); 6] = [
    ("CPU", Unit::Percent, |row| row.resources.cpu_percent, 100.0),
    ("memory", Unit::Bytes, |row| row.resources.mem_used_bytes.map(whole), 1.0),
    ("disk read", Unit::BytesPerSecond, |row| row.rates.disk_read_per_second, 1.0),
    ("disk written", Unit::BytesPerSecond, |row| row.rates.disk_write_per_second, 1.0),
    ("network received", Unit::BytesPerSecond, |row| row.rates.net_rx_per_second, 1.0),
    ("network sent", Unit::BytesPerSecond, |row| row.rates.net_tx_per_second, 1.0),
];

/// Draws the agent of this page.
pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, app: &mut App) {
    let Wanted::Agent { name, host } = app.page.clone() else { return };
    let Some(facts) = &app.facts else { return };
    let now = facts.at;
    let [head, rest] = Layout::vertical([Constraint::Length(2), Constraint::Min(0)]).areas(area);
    let title = format!("{}@{}", harmless(&name), harmless(&host));
    frame.render_widget(Paragraph::new(head_lines(app, title, now)), head);
    let More::Agent(known) = &facts.more else {
        return frame.render_widget(Paragraph::new("asking \u{2026}"), rest);
    };
    if known.name != name || known.host != host {
        return frame.render_widget(Paragraph::new("asking \u{2026}"), rest);
    }
    let curves: Vec<_> = CURVES.iter().map(|curve| (curve, points(&known.samples, now, curve.2))).collect();
    let drawn: Vec<_> = curves.iter().filter(|(_, points)| !points.is_empty()).collect();
    let columns = if rest.width >= 100 { 2 } else { 1 };
    let lines = text(known, now, app.is_coloured, curves.iter().skip(4).all(|(_, points)| points.is_empty()));
    let wanted = u16::try_from(drawn.len().div_ceil(columns)).unwrap_or_default() * (CURVE_HEIGHT + 1);
    // NOTE: a small terminal has the first curves, and always some lines of text.
    let room = rest.height.saturating_sub(u16::try_from(lines.len().min(6)).unwrap_or(6));
    let rows = wanted.min(room / (CURVE_HEIGHT + 1) * (CURVE_HEIGHT + 1));
    let [pictures, below] = Layout::vertical([Constraint::Length(rows), Constraint::Min(0)]).areas(rest);
    for (place, (curve, points)) in drawn.into_iter().enumerate() {
        if let Some(area) = cell(pictures, place, columns) {
            curve_in(frame, area, curve, points, app.is_coloured);
        }
    }
    let most = u16::try_from(lines.len()).unwrap_or(u16::MAX).saturating_sub(below.height);
    app.scrolled = app.scrolled.min(most);
    frame.render_widget(Paragraph::new(lines).scroll((app.scrolled, 0)), below);
}

fn head_lines(app: &App, title: String, now: Time) -> Vec<Line<'static>> {
    let mut words = vec![Span::styled(title, Style::default().add_modifier(Modifier::BOLD))];
    let Some(row) = app.agent() else {
        return vec![Line::from(words), Line::from("It was not seen in the last 24 hours.")];
    };
    if !row.state.is_empty() {
        words.push("  ".into());
        words.push(Span::styled(harmless(&row.state), state_style(&row.state, app.is_coloured)));
    }
    let labels = [&row.role, &row.tool, &row.runtime];
    let labels: Vec<String> = labels.into_iter().filter(|it| !it.is_empty()).map(|it| harmless(it)).collect();
    let line = format!("{}  seen {} ago", labels.join(", "), ago(row.time, now));
    vec![Line::from(words), Line::styled(line.trim().to_owned(), faint(app.is_coloured))]
}

/// The place of a curve, from left to right and down; none below the end.
fn cell(area: Rect, place: usize, columns: usize) -> Option<Rect> {
    let row = u16::try_from(place / columns).ok()?;
    let column = u16::try_from(place % columns).ok()?;
    let width = area.width / u16::try_from(columns).ok()?;
    let top = row * (CURVE_HEIGHT + 1);
    (top + CURVE_HEIGHT < area.height).then_some(Rect {
        x: area.x + column * width,
        y: area.y + top,
        width: width.saturating_sub(1),
        height: CURVE_HEIGHT + 1,
    })
}

/// What was measured, by the minute of the hour.
fn points(rows: &[AgentRow], now: Time, value: Value) -> BTreeMap<usize, f64> {
    let minute = |time: Time| {
        let minutes = (now.micros() - time.micros()).div_euclid(60_000_000);
        usize::try_from(minutes).ok().and_then(|minutes| (MINUTES - 1).checked_sub(minutes))
    };
    rows.iter().filter_map(|row| Some((minute(row.time)?, value(row)?))).collect()
}

/// A title with the last and the greatest value, and bars; where nothing was measured is nothing.
fn curve_in(
    frame: &mut Frame<'_>,
    area: Rect,
    (title, unit, _, least_top): &(&str, Unit, Value, f64),
    points: &BTreeMap<usize, f64>,
    is_coloured: bool,
) {
    let most = points.values().copied().fold(0.0, f64::max);
    let last = points.values().next_back().copied().unwrap_or_default();
    let told = format!("{title} {}, at most {} in this hour", unit.show(last), unit.show(most));
    let [head, bars] = Layout::vertical([Constraint::Length(1), Constraint::Min(0)]).areas(area);
    frame.render_widget(
        Paragraph::new(Line::styled(shortened(&told, usize::from(head.width)), faint(is_coloured))),
        head,
    );
    let top = most.max(*least_top);
    let height = |value: f64| share(value, top);
    let wide = stretched(points, usize::from(bars.width));
    let data: Vec<SparklineBar> =
        wide.into_iter().map(|value| SparklineBar::from(value.map(height))).collect();
    let style = if is_coloured { Style::default().fg(Color::Cyan) } else { Style::default() };
    frame.render_widget(
        Sparkline::default().data(data).max(1_000).style(style).absent_value_symbol(" "),
        bars,
    );
}

/// Thousandths of the top; a little is never nothing.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 1000")]
fn share(value: f64, top: f64) -> u64 {
    (value.max(0.0) / top * 1_000.0).ceil() as u64
}

/// An hour in so many columns: the greatest of the minutes in each.
fn stretched(points: &BTreeMap<usize, f64>, columns: usize) -> Vec<Option<f64>> {
    let border = |column: usize| column * MINUTES / columns.max(1);
    (0..columns)
        .map(|column| {
            let end = border(column + 1).max(border(column) + 1);
            points.range(border(column)..end).map(|(_, value)| *value).reduce(f64::max)
        })
        .collect()
}

#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
fn whole(number: u64) -> f64 {
    number as f64
}

/// What its calls used, and what it has said, the newest first.
fn text(known: &AgentFacts, now: Time, is_coloured: bool, has_no_network: bool) -> Vec<Line<'static>> {
    let strong = Style::default().add_modifier(Modifier::BOLD);
    let mut lines = Vec::new();
    if known.samples.is_empty() {
        lines.push(Line::from("No sample in the last hour."));
    } else if has_no_network {
        lines.push(Line::styled("Network: only a container has counters of its own.", faint(is_coloured)));
    }
    lines.push(Line::styled("calls of 24 hours", strong));
    if known.models.is_empty() {
        lines.push(Line::from("none is known"));
    }
    lines.extend(known.models.iter().map(|row| Line::from(model_line(row))));
    lines.push(Line::styled("states of 24 hours", strong));
    if known.states.is_empty() {
        lines.push(Line::from("it has said nothing: docs/hooks tells how its tool can"));
    }
    for row in known.states.iter().rev() {
        let time = to_the_second(&row.time.to_string());
        let word = Span::styled(format!("{:<9}", harmless(&row.state)), state_style(&row.state, is_coloured));
        lines.push(Line::from(vec![
            format!("{time}  ").into(),
            word,
            format!("{} ago", ago(row.time, now)).into(),
        ]));
    }
    lines
}

fn model_line(row: &TokenRow) -> String {
    let used = &row.used;
    let tokens = |number: u64| Unit::Tokens.show(whole(number));
    let cost = used.cost_usd.map_or_else(|| "no price".to_owned(), |cost| Unit::Dollars.show(cost));
    format!(
        "{}: {} in, {} out, {} from the cache, {} into it; {cost}",
        harmless(&row.model),
        tokens(used.input_tokens),
        tokens(used.output_tokens),
        tokens(used.cache_read),
        tokens(used.cache_create),
    )
}
