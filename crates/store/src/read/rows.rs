//! Rows of the database made rows of the answer. The order of the cells is that of the SELECT lists beside.

use event::{Resources, Text, Time};
use query::{
    AgentRow, AgentSummary, ChannelRow, CpuSummary, GapRow, MemorySummary, Rates, StateRow, SystemRow,
    TokenRow, TokensUsed, Transfer,
};
use sqlx::postgres::PgRow;
use sqlx::{Decode, Postgres, Row as _, Type};

use super::pg_time::PgTime;

/// The cells of one row, from left to right.
struct Cells<'r> {
    row: &'r PgRow,
    index: usize,
}

impl<'r> Cells<'r> {
    fn of(row: &'r PgRow) -> Self {
        Self { row, index: 0 }
    }

    fn take<T: Decode<'r, Postgres> + Type<Postgres>>(&mut self) -> Result<T, sqlx::Error> {
        let value = self.row.try_get(self.index)?;
        self.index += 1;
        Ok(value)
    }

    fn text(&mut self) -> Result<Text, sqlx::Error> {
        self.take::<&str>().map(Text::from)
    }

    fn time(&mut self) -> Result<Time, sqlx::Error> {
        Ok(self.take::<PgTime>()?.0)
    }

    /// A sum or a column that is never null; below zero only by somebody's hand.
    fn total(&mut self) -> Result<u64, sqlx::Error> {
        Ok(self.take::<i64>()?.try_into().unwrap_or(0))
    }

    fn number(&mut self) -> Result<Option<f64>, sqlx::Error> {
        self.take()
    }

    /// NOTE: a count below zero cannot come from an event; if somebody wrote one, it is not a measurement.
    fn count(&mut self) -> Result<Option<u64>, sqlx::Error> {
        Ok(self.take::<Option<i64>>()?.and_then(|count| u64::try_from(count).ok()))
    }

    /// Whole bytes of an average, halves up.
    fn rounded(&mut self) -> Result<Option<u64>, sqlx::Error> {
        Ok(self.number()?.map(round))
    }

    fn rates(&mut self) -> Result<Rates, sqlx::Error> {
        Ok(Rates {
            net_rx_per_second: self.number()?,
            net_tx_per_second: self.number()?,
            disk_read_per_second: self.number()?,
            disk_write_per_second: self.number()?,
        })
    }

    fn transfer(&mut self) -> Result<Transfer, sqlx::Error> {
        Ok(Transfer { received: self.count()?, sent: self.count()? })
    }

    /// The eight numbers; `mem_used_bytes` is an average in a bucket and whole bytes in a sample.
    fn resources(
        &mut self,
        mem_used_bytes: fn(&mut Self) -> Result<Option<u64>, sqlx::Error>,
    ) -> Result<Resources, sqlx::Error> {
        Ok(Resources {
            cpu_percent: self.number()?,
            mem_used_bytes: mem_used_bytes(self)?,
            mem_limit_bytes: self.count()?,
            mem_percent: self.number()?,
            net_rx_bytes: self.count()?,
            net_tx_bytes: self.count()?,
            disk_read_bytes: self.count()?,
            disk_write_bytes: self.count()?,
        })
    }

    /// Everything of an agent up to its numbers.
    fn agent(&mut self) -> Result<AgentRow, sqlx::Error> {
        Ok(AgentRow {
            time: self.time()?,
            agent_name: self.text()?,
            role: self.text()?,
            tool: self.text()?,
            runtime: self.text()?,
            state: self.text()?,
            host: self.text()?,
            ..AgentRow::default()
        })
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "`as` has walls at the ends of u64"
)]
fn round(number: f64) -> u64 {
    number.round() as u64
}

pub(super) fn agent_bucket(row: &PgRow) -> Result<AgentRow, sqlx::Error> {
    let mut cells = Cells::of(row);
    let agent = cells.agent()?;
    Ok(AgentRow { resources: cells.resources(Cells::rounded)?, rates: cells.rates()?, ..agent })
}

pub(super) fn agent_sample(row: &PgRow) -> Result<AgentRow, sqlx::Error> {
    let mut cells = Cells::of(row);
    let agent = cells.agent()?;
    Ok(AgentRow { resources: cells.resources(Cells::count)?, ..agent })
}

pub(super) fn system_bucket(row: &PgRow) -> Result<SystemRow, sqlx::Error> {
    let mut cells = Cells::of(row);
    Ok(SystemRow {
        time: cells.time()?,
        system_name: cells.text()?,
        host: cells.text()?,
        resources: cells.resources(Cells::rounded)?,
        rates: cells.rates()?,
    })
}

pub(super) fn agent_summary(agent_name: &str, row: &PgRow) -> Result<AgentSummary, sqlx::Error> {
    let mut cells = Cells::of(row);
    Ok(AgentSummary {
        agent_name: agent_name.into(),
        role: cells.text()?,
        tool: cells.text()?,
        runtime: cells.text()?,
        state: cells.text()?,
        cpu: CpuSummary { avg_percent: cells.number()?, max_percent: cells.number()? },
        memory: MemorySummary {
            avg_bytes: cells.count()?,
            max_bytes: cells.count()?,
            avg_percent: cells.number()?,
        },
        disk: cells.transfer()?,
        network: cells.transfer()?.known(),
        ..AgentSummary::default()
    })
}

pub(super) fn channel_bucket(row: &PgRow) -> Result<ChannelRow, sqlx::Error> {
    let mut cells = Cells::of(row);
    let (time, channel_name, host) = (cells.time()?, cells.text()?, cells.text()?);
    let (message_count, member_count, reaction_count) = (cells.total()?, cells.count()?, cells.total()?);
    Ok(ChannelRow { time, channel_name, message_count, member_count, reaction_count, host })
}

pub(super) fn tokens(row: &PgRow) -> Result<TokenRow, sqlx::Error> {
    let mut cells = Cells::of(row);
    let (time, agent_name, model, host) = (cells.time()?, cells.text()?, cells.text()?, cells.text()?);
    let used = TokensUsed {
        input_tokens: cells.total()?,
        output_tokens: cells.total()?,
        cache_read: cells.total()?,
        cache_create: cells.total()?,
        cost_usd: cells.number()?,
        reported_cost_usd: cells.number()?,
        unpriced_events: cells.total()?,
    };
    Ok(TokenRow { time, agent_name, model, used, host })
}

pub(super) fn agent_state(row: &PgRow) -> Result<StateRow, sqlx::Error> {
    let mut cells = Cells::of(row);
    Ok(StateRow {
        time: cells.time()?,
        agent_name: cells.text()?,
        role: cells.text()?,
        tool: cells.text()?,
        runtime: cells.text()?,
        state: cells.text()?,
        started_at: cells.take::<Option<PgTime>>()?.map(|time| time.0),
        host: cells.text()?,
    })
}

pub(super) fn gap(row: &PgRow) -> Result<GapRow, sqlx::Error> {
    let mut cells = Cells::of(row);
    let (time, from, to, events) = (cells.time()?, cells.time()?, cells.time()?, cells.total()?);
    Ok(GapRow { time, from, to, events, what: cells.text()?, reason: cells.text()?, host: cells.text()? })
}
