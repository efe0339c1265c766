//! The floor of projecting: what psql's `\copy` does with the same rows into the same table.
//!
//! The rows are those of a table that a projector has filled, as the server itself gives them, so that both ways
//! write the same and the floor has nothing left to compute.

use std::io::Cursor;
use std::pin::pin;
use std::sync::Arc;

use futures_util::{SinkExt, TryStreamExt};
use tokio_postgres::Client;

/// What a binary COPY begins with: its signature, no flags, no extension.
const HEADER: &[u8; 19] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// What it ends with.
const TRAILER: &[u8; 2] = &[0xff; 2];
/// As the projector sends it; psql's own pieces of 8 KiB are no faster.
const PIECE_BYTES: usize = 128 * 1024;
const COLUMNS: &str = "time, agent_name, role, tool, runtime, state, cpu_percent, mem_used_bytes, mem_limit_bytes, \
     mem_percent, net_rx_bytes, net_tx_bytes, disk_read_bytes, disk_write_bytes, host, log_no, position";

type Piece = Arc<[u8]>;

/// Rows of `agent_metrics` in binary COPY format, in the order of their positions.
#[derive(Debug)]
pub struct Rows {
    batches: Vec<Vec<Piece>>,
}

impl Rows {
    /// Takes all rows of a table, cut into batches of `batch_rows`.
    pub async fn take(client: &Client, batch_rows: usize) -> Self {
        let sql =
            format!("COPY (SELECT {COLUMNS} FROM agent_metrics ORDER BY position) TO STDOUT (FORMAT binary)");
        let mut messages = pin!(client.copy_out(&sql).await.expect("COPY … TO STDOUT"));
        let (mut batches, mut pieces, mut piece, mut rows) = (Vec::new(), Vec::new(), Vec::new(), 0_usize);
        while let Some(message) = messages.try_next().await.expect("a row") {
            // A message is a row; the first one has the header in front.
            let row = message.strip_prefix(HEADER.as_slice()).unwrap_or(&message);
            if row.is_empty() || row == TRAILER {
                continue;
            }
            piece.extend_from_slice(row);
            rows += 1;
            let is_batch = rows.is_multiple_of(batch_rows);
            if is_batch || piece.len() >= PIECE_BYTES {
                pieces.push(Piece::from(std::mem::take(&mut piece)));
            }
            if is_batch {
                batches.push(std::mem::take(&mut pieces));
            }
        }
        pieces.push(Piece::from(piece));
        batches.push(pieces);
        Self { batches }
    }

    /// One COPY, and so one transaction, for all; gives the number of rows.
    pub async fn copy_at_once(&self, client: &Client) -> u64 {
        copy(client, self.batches.iter().flatten().cloned()).await
    }

    /// One COPY for each batch; gives the number of rows.
    pub async fn copy_in_batches(&self, client: &Client) -> u64 {
        let mut rows = 0;
        for pieces in &self.batches {
            rows += copy(client, pieces.iter().cloned()).await;
        }
        rows
    }
}

async fn copy(client: &Client, pieces: impl Iterator<Item = Piece>) -> u64 {
    let sql = format!("COPY agent_metrics ({COLUMNS}) FROM STDIN (FORMAT binary)");
    let sink = client.copy_in::<_, Cursor<Piece>>(&sql).await;
    let mut sink = pin!(sink.expect("COPY … FROM STDIN"));
    let (header, trailer) = (Piece::from(HEADER.as_slice()), Piece::from(TRAILER.as_slice()));
    for piece in std::iter::once(header).chain(pieces).chain([trailer]) {
        sink.feed(Cursor::new(piece)).await.expect("a server that takes it");
    }
    sink.finish().await.expect("a COPY that is complete")
}
