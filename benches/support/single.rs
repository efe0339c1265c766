//! The way of the Go package: one INSERT for each sample, each a transaction of its own.

use std::time::{Duration, Instant, SystemTime};

use event::{AgentSample, Event};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Statement};

const INSERT: &str = "INSERT INTO agent_metrics (time, agent_name, role, tool, runtime, state, cpu_percent,
        mem_used_bytes, mem_limit_bytes, mem_percent, net_rx_bytes, net_tx_bytes, disk_read_bytes, disk_write_bytes,
        host, log_no, position)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, 'bench', 1, $15)";

/// Inserts them; gives the time that it took. The statement is prepared once, which is kinder than the Go package
/// was to itself.
pub async fn insert(client: &Client, events: impl Iterator<Item = Event>) -> Duration {
    let samples: Vec<AgentSample> = events
        .filter_map(|event| match event {
            Event::AgentSample(sample) => Some(sample),
            _ => None,
        })
        .collect();
    let statement = client.prepare(INSERT).await.expect("a statement");
    let begin = Instant::now();
    for (sample, position) in samples.iter().zip(1_i64..) {
        insert_one(client, &statement, sample, position).await;
    }
    begin.elapsed()
}

async fn insert_one(client: &Client, statement: &Statement, sample: &AgentSample, position: i64) {
    let it = &sample.resources;
    let time = SystemTime::UNIX_EPOCH + Duration::from_micros(sample.time.micros().cast_unsigned());
    let texts = [&*sample.agent_name, &*sample.role, &*sample.tool, &*sample.runtime, sample.state.as_str()];
    let [used, limit, rx, tx, read, write] = [
        it.mem_used_bytes,
        it.mem_limit_bytes,
        it.net_rx_bytes,
        it.net_tx_bytes,
        it.disk_read_bytes,
        it.disk_write_bytes,
    ]
    .map(|bytes| bytes.map(u64::cast_signed));
    let mut parameters: Vec<&(dyn ToSql + Sync)> = vec![&time];
    parameters.extend(texts.iter().map(|text| text as &(dyn ToSql + Sync)));
    let numbers: [&(dyn ToSql + Sync); 9] =
        [&it.cpu_percent, &used, &limit, &it.mem_percent, &rx, &tx, &read, &write, &position];
    parameters.extend(numbers);
    client.execute(statement, &parameters).await.expect("an INSERT");
}
