//! What is on the screen: which page, which row, in which order, and what the keys change about it.

use event::{Text, Time};
use query::AgentRow;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::widgets::TableState;

use super::ask::{Facts, News, Wanted};
use super::fleet::{self, Column, Row};

/// Whether it goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    /// It does.
    GoOn,
    /// Somebody has seen enough.
    Quit,
}

/// Rows of a page key.
const PAGE: i32 = 10;

/// What is on the screen.
pub(super) struct App {
    /// What is known.
    pub facts: Option<Facts>,
    /// Why it is not newer.
    pub trouble: Option<String>,
    /// Which page.
    pub page: Wanted,
    /// By what the fleet is ordered.
    pub sort: Column,
    /// Whether the other way round.
    pub is_reversed: bool,
    /// What a row must have in it.
    pub filter: String,
    /// Whether keys go into the filter.
    pub is_filtering: bool,
    /// Whether the keys are explained.
    pub is_explaining: bool,
    /// The fleet's table.
    pub table: TableState,
    /// Lines that are above the top of a long page.
    pub scrolled: u16,
    /// Whether there are colours.
    pub is_coloured: bool,
    /// Who is marked in the fleet; the row moves with the order.
    marked: Option<(Text, Text)>,
}

impl App {
    /// Nothing is known yet.
    pub(super) fn new(is_coloured: bool) -> Self {
        Self {
            facts: None,
            trouble: None,
            page: Wanted::Fleet,
            sort: Column::State,
            is_reversed: false,
            filter: String::new(),
            is_filtering: false,
            is_explaining: false,
            table: TableState::default(),
            scrolled: 0,
            is_coloured,
            marked: None,
        }
    }

    /// Takes what was told.
    pub(super) fn learn(&mut self, news: News) {
        match news {
            News::Facts(facts) => {
                self.facts = Some(*facts);
                self.trouble = None;
            }
            News::Trouble(trouble) => self.trouble = Some(trouble),
        }
    }

    /// What has to be asked for.
    pub(super) fn wanted(&self) -> Wanted {
        self.page.clone()
    }

    /// The fleet as it is shown: filtered and ordered. The mark stays at its agent.
    pub(super) fn rows(&mut self) -> Vec<Row> {
        let facts = self.facts.as_ref();
        let mut rows = facts.map(fleet::rows).unwrap_or_default();
        let wanted = self.filter.to_lowercase();
        rows.retain(|row| row.has(&wanted));
        rows.sort_by(|a, b| self.sort.compare(a, b, self.is_reversed).then_with(|| a.key().cmp(&b.key())));
        let marked = self.marked.as_ref();
        let place = rows.iter().position(|row| marked.is_some_and(|(name, host)| row.key() == (name, host)));
        let last = rows.len().saturating_sub(1);
        let place = place.unwrap_or_else(|| self.table.selected().unwrap_or_default().min(last));
        self.table.select((!rows.is_empty()).then_some(place));
        self.marked = rows.get(place).map(|row| (row.name.clone(), row.host.clone()));
        rows
    }

    /// The newest sample of the agent whose page this is.
    pub(super) fn agent(&self) -> Option<&AgentRow> {
        let Wanted::Agent { name, host } = &self.page else { return None };
        self.facts.as_ref()?.latest.iter().find(|row| row.agent_name == *name && row.host == *host)
    }

    /// When the facts were asked for.
    pub(super) fn at(&self) -> Option<Time> {
        self.facts.as_ref().map(|facts| facts.at)
    }

    /// Heeds a key.
    pub(super) fn press(&mut self, key: KeyEvent) -> Flow {
        if key.kind == KeyEventKind::Release {
            return Flow::GoOn;
        }
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return if matches!(key.code, KeyCode::Char('c' | 'd')) { Flow::Quit } else { Flow::GoOn };
        }
        if self.is_filtering {
            self.write(key.code);
            return Flow::GoOn;
        }
        if self.is_explaining {
            self.is_explaining = false;
            return Flow::GoOn;
        }
        match key.code {
            KeyCode::Char('q') => return Flow::Quit,
            KeyCode::Char('?' | 'h') => self.is_explaining = true,
            KeyCode::Char('p') => self.turn(Wanted::Pipeline),
            KeyCode::Char('f') => self.turn(Wanted::Fleet),
            KeyCode::Esc | KeyCode::Backspace | KeyCode::Left => self.leave(),
            KeyCode::Up | KeyCode::Char('k') => self.step(-1),
            KeyCode::Down | KeyCode::Char('j') => self.step(1),
            KeyCode::PageUp => self.step(-PAGE),
            KeyCode::PageDown | KeyCode::Char(' ') => self.step(PAGE),
            KeyCode::Home | KeyCode::Char('g') => self.step(i32::MIN),
            KeyCode::End | KeyCode::Char('G') => self.step(i32::MAX),
            code if self.page == Wanted::Fleet => self.press_in_fleet(code),
            _ => {}
        }
        Flow::GoOn
    }

    fn press_in_fleet(&mut self, code: KeyCode) {
        match code {
            KeyCode::Char('/') => self.is_filtering = true,
            KeyCode::Char('r') => self.is_reversed = !self.is_reversed,
            KeyCode::Char('<' | ',') => self.order_by(self.sort.next(Column::ALL.len() - 1)),
            KeyCode::Char('>' | '.') | KeyCode::Tab => self.order_by(self.sort.next(1)),
            KeyCode::Enter | KeyCode::Right => {
                if let Some((name, host)) = self.marked.clone() {
                    self.turn(Wanted::Agent { name, host });
                }
            }
            KeyCode::Char(letter) => {
                if let Some(column) = Column::ALL.into_iter().find(|column| column.key() == Some(letter)) {
                    self.order_by(column);
                }
            }
            _ => {}
        }
    }

    /// The same column again is the other way round.
    fn order_by(&mut self, column: Column) {
        self.is_reversed = self.sort == column && !self.is_reversed;
        self.sort = column;
    }

    fn turn(&mut self, page: Wanted) {
        self.scrolled = 0;
        self.page = page;
    }

    /// Back to the fleet; there, back to all of it.
    fn leave(&mut self) {
        if self.page == Wanted::Fleet {
            self.filter.clear();
        }
        self.turn(Wanted::Fleet);
    }

    fn step(&mut self, rows: i32) {
        if self.page != Wanted::Fleet {
            self.scrolled = u16::try_from(i32::from(self.scrolled).saturating_add(rows))
                .unwrap_or(if rows < 0 { 0 } else { u16::MAX });
            return;
        }
        let count = self.rows().len();
        let place = i64::try_from(self.table.selected().unwrap_or_default()).unwrap_or_default();
        let last = i64::try_from(count).unwrap_or_default() - 1;
        let place = usize::try_from((place + i64::from(rows)).min(last)).unwrap_or_default();
        self.marked = None;
        self.table.select(Some(place));
        self.rows();
    }

    fn write(&mut self, code: KeyCode) {
        match code {
            KeyCode::Enter => self.is_filtering = false,
            KeyCode::Esc => {
                self.is_filtering = false;
                self.filter.clear();
            }
            KeyCode::Backspace => _ = self.filter.pop(),
            KeyCode::Char(letter) => self.filter.push(letter),
            _ => {}
        }
    }
}
