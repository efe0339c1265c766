//! The fleet: a row for each agent, ordered by any column.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use event::{Text, Time};
use query::{AgentRow, TokenRow};
use ratatui::Frame;
use ratatui::layout::{Constraint, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Cell, Paragraph, Table};

use super::app::App;
use super::ask::Facts;
use super::draw::{ago, faint, state_style};
use crate::chart::{Unit, sparkline};
use crate::output::{harmless, shortened_inside};

/// Buckets of a sparkline: half an hour.
pub(super) const MARKS: usize = 30;
/// The most columns for a name.
const NAME_WIDTH_MAX: usize = 28;
/// Minutes whose tokens are those of now.
const TOKEN_MINUTES: f64 = 5.0;

/// A column, and what the fleet is ordered by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Column {
    Name,
    Host,
    State,
    Role,
    Tool,
    Cpu,
    Marks,
    Memory,
    Tokens,
    Cost,
    Seen,
}

impl Column {
    /// All that can be ordered by, as they stand.
    pub(super) const ALL: [Self; 7] =
        [Self::Name, Self::State, Self::Cpu, Self::Memory, Self::Tokens, Self::Cost, Self::Seen];
    /// All, as they stand.
    const SHOWN: [Self; 11] = [
        Self::Name,
        Self::Host,
        Self::State,
        Self::Role,
        Self::Tool,
        Self::Cpu,
        Self::Marks,
        Self::Memory,
        Self::Tokens,
        Self::Cost,
        Self::Seen,
    ];
    /// What goes where there is no room, the first one first.
    const SPARE: [Self; 8] =
        [Self::Tool, Self::Role, Self::Host, Self::Marks, Self::Cost, Self::Seen, Self::Tokens, Self::Memory];

    const fn title(self) -> &'static str {
        match self {
            Self::Name => "AGENT",
            Self::Host => "HOST",
            Self::State => "STATE",
            Self::Role => "ROLE",
            Self::Tool => "TOOL",
            Self::Cpu => "CPU %",
            Self::Marks => "30 MINUTES",
            Self::Memory => "MEMORY",
            Self::Tokens => "TOK/MIN",
            Self::Cost => "COST 24H",
            Self::Seen => "SEEN",
        }
    }

    /// The letter that orders by it.
    pub(super) const fn key(self) -> Option<char> {
        match self {
            Self::Name => Some('n'),
            Self::State => Some('s'),
            Self::Cpu => Some('c'),
            Self::Memory => Some('m'),
            Self::Tokens => Some('t'),
            Self::Cost => Some('$'),
            Self::Seen => Some('l'),
            Self::Host | Self::Role | Self::Tool | Self::Marks => None,
        }
    }

    /// The one so many places on, round and round.
    pub(super) fn next(self, places: usize) -> Self {
        let place = Self::ALL.iter().position(|column| *column == self).unwrap_or_default();
        Self::ALL.into_iter().cycle().nth(place + places).unwrap_or(self)
    }

    /// What is worth a look comes first, or last when it is reversed; what is not known always comes last.
    pub(super) fn compare(self, a: &Row, b: &Row, is_reversed: bool) -> Ordering {
        let turned = |order: Ordering| if is_reversed { order.reverse() } else { order };
        let most_first = |a: Option<f64>, b: Option<f64>| match (a, b) {
            (Some(a), Some(b)) => turned(b.total_cmp(&a)),
            _ => a.is_none().cmp(&b.is_none()),
        };
        match self {
            Self::Cpu | Self::Marks => most_first(a.cpu, b.cpu),
            Self::Memory => most_first(a.memory, b.memory),
            Self::Tokens => most_first(a.tokens_per_minute, b.tokens_per_minute),
            Self::Cost => most_first(a.cost, b.cost),
            Self::Seen => turned(b.seen.cmp(&a.seen)),
            Self::State => turned(rank(&a.state).cmp(&rank(&b.state))),
            Self::Name | Self::Host | Self::Role | Self::Tool => turned(a.key().cmp(&b.key())),
        }
    }

    const fn is_number(self) -> bool {
        matches!(self, Self::Cpu | Self::Memory | Self::Tokens | Self::Cost | Self::Seen)
    }
}

/// Who needs somebody comes first.
fn rank(state: &str) -> usize {
    let order = ["stuck", "error", "working", "idle", "done", "stopped"];
    order.iter().position(|known| *known == state).unwrap_or(order.len())
}

/// An agent. What is not known is none, never 0.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Row {
    pub name: Text,
    pub host: Text,
    pub state: Text,
    pub role: Text,
    pub tool: Text,
    pub cpu: Option<f64>,
    /// CPU of the last half hour, by the minute.
    pub points: BTreeMap<usize, f64>,
    /// Bytes.
    pub memory: Option<f64>,
    pub tokens_per_minute: Option<f64>,
    /// US dollars of 24 hours.
    pub cost: Option<f64>,
    pub seen: Time,
}

impl Row {
    /// Whose it is.
    pub(super) const fn key(&self) -> (&Text, &Text) {
        (&self.name, &self.host)
    }

    /// Whether one of its words has this in it; this is in small letters.
    pub(super) fn has(&self, wanted: &str) -> bool {
        let words = [&self.name, &self.host, &self.state, &self.role, &self.tool];
        words.iter().any(|word| word.to_lowercase().contains(wanted))
    }

    fn text(&self, column: Column, now: Time) -> String {
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "\u{2013}".to_owned());
        match column {
            Column::Name => shortened_inside(&harmless(&self.name), NAME_WIDTH_MAX),
            Column::Host => harmless(&self.host),
            Column::State if self.state.is_empty() => or_dash(None),
            Column::State => harmless(&self.state),
            Column::Role => harmless(&self.role),
            Column::Tool => harmless(&self.tool),
            Column::Cpu => or_dash(self.cpu.map(|cpu| format!("{cpu:.1}"))),
            Column::Marks => sparkline(&self.points, MARKS, MARKS, self.most().max(100.0)),
            Column::Memory => or_dash(self.memory.map(|bytes| Unit::Bytes.show(bytes))),
            Column::Tokens => or_dash(self.tokens_per_minute.map(|tokens| Unit::Tokens.show(tokens))),
            Column::Cost => or_dash(self.cost.map(|cost| Unit::Dollars.show(cost))),
            Column::Seen => ago(self.seen, now),
        }
    }

    fn most(&self) -> f64 {
        self.points.values().copied().fold(0.0, f64::max)
    }
}

/// A row for each agent that was seen in the last 24 hours.
pub(super) fn rows(facts: &Facts) -> Vec<Row> {
    let used = |rows: &'_ [TokenRow], of: &AgentRow| {
        rows.iter().find(|row| row.agent_name == of.agent_name && row.host == of.host).map(|row| row.used)
    };
    let mut points: BTreeMap<(&Text, &Text), BTreeMap<usize, f64>> = BTreeMap::new();
    for row in &facts.cpu {
        if let (Some(cpu), Some(mark)) = (row.resources.cpu_percent, mark(row.time, facts.at)) {
            points.entry((&row.agent_name, &row.host)).or_default().insert(mark, cpu);
        }
    }
    let mut rows = Vec::with_capacity(facts.latest.len());
    for of in &facts.latest {
        let tokens = used(&facts.tokens, of).map(|used| {
            let kinds = [used.input_tokens, used.output_tokens, used.cache_read, used.cache_create];
            kinds.map(whole).iter().sum::<f64>() / TOKEN_MINUTES
        });
        rows.push(Row {
            name: of.agent_name.clone(),
            host: of.host.clone(),
            state: of.state.clone(),
            role: of.role.clone(),
            tool: of.tool.clone(),
            cpu: of.resources.cpu_percent,
            points: points.remove(&(&of.agent_name, &of.host)).unwrap_or_default(),
            memory: of.resources.mem_used_bytes.map(whole),
            tokens_per_minute: tokens,
            cost: used(&facts.day, of).and_then(|used| used.cost_usd),
            seen: of.time,
        });
    }
    rows
}

/// How many minutes before the last mark this is, counted from the left.
pub(super) fn mark(time: Time, now: Time) -> Option<usize> {
    let minutes = (now.micros() - time.micros()).div_euclid(60_000_000);
    usize::try_from(minutes).ok().and_then(|minutes| (MARKS - 1).checked_sub(minutes))
}

#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
fn whole(number: u64) -> f64 {
    number as f64
}

/// Draws the fleet.
pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, app: &mut App) {
    let rows = app.rows();
    let Some(now) = app.at() else { return };
    if rows.is_empty() {
        let text = if app.filter.is_empty() {
            "No agent was seen in the last 24 hours. Start one in tmux or in a container: it is found by itself."
        } else {
            "No agent has this in its name, host, state, role or tool."
        };
        frame.render_widget(Paragraph::new(text).wrap(ratatui::widgets::Wrap { trim: true }), area);
        return;
    }
    let (columns, widths) = fitting(&rows, now, usize::from(area.width));
    let cell = |row: &Row, column: Column| {
        let line = Line::from(row.text(column, now));
        let line = if column.is_number() { line.right_aligned() } else { line };
        let style = match column {
            Column::State => state_style(&row.state, app.is_coloured),
            Column::Seen | Column::Host | Column::Role | Column::Tool => faint(app.is_coloured),
            _ => Style::default(),
        };
        Cell::from(line).style(style)
    };
    let cells =
        rows.iter().map(|row| ratatui::widgets::Row::new(columns.iter().map(|column| cell(row, *column))));
    let head = columns.iter().map(|column| {
        let arrow = match (app.sort == *column, app.is_reversed) {
            (true, false) => "\u{25be}",
            (true, true) => "\u{25b4}",
            _ => "",
        };
        let line = Line::from(format!("{}{arrow}", column.title()));
        Cell::from(if column.is_number() { line.right_aligned() } else { line })
    });
    let table = Table::new(cells, widths)
        .header(ratatui::widgets::Row::new(head).style(Style::default().add_modifier(Modifier::BOLD)))
        .row_highlight_style(Style::default().add_modifier(Modifier::REVERSED))
        .column_spacing(2);
    frame.render_stateful_widget(table, area, &mut app.table);
}

/// The columns that there is room for, with their widths.
fn fitting(rows: &[Row], now: Time, width: usize) -> (Vec<Column>, Vec<Constraint>) {
    let width_of = |column: Column| {
        let widest =
            rows.iter().map(|row| Line::from(row.text(column, now)).width()).max().unwrap_or_default();
        // NOTE: with room for the arrow.
        widest.max(column.title().len() + 1)
    };
    let mut columns: Vec<(Column, usize)> = Column::SHOWN.map(|column| (column, width_of(column))).to_vec();
    let has_one_host = rows.first().is_some_and(|first| rows.iter().all(|row| row.host == first.host));
    columns.retain(|(column, _)| match column {
        Column::Host => !has_one_host,
        Column::Role => rows.iter().any(|row| !row.role.is_empty()),
        Column::Tool => rows.iter().any(|row| !row.tool.is_empty()),
        _ => true,
    });
    for spare in Column::SPARE {
        let total: usize = columns.iter().map(|(_, width)| width + 2).sum();
        if total <= width + 2 {
            break;
        }
        columns.retain(|(column, _)| *column != spare);
    }
    columns
        .into_iter()
        .map(|(column, width)| (column, Constraint::Length(u16::try_from(width).unwrap_or(u16::MAX))))
        .unzip()
}
