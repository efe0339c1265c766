//! What a task tells while it works, on its way to whoever asked for it.
//!
//! IMPORTANT: lines and notices go through a bounded channel. A reader that is slower than the log (a pager, a
//! stopped process) makes the task wait; it never makes the daemon's memory grow. Progress is a value that the
//! next one replaces, so it waits for nobody.

use tokio::sync::{mpsc, watch};

use super::Progress;
use crate::failure::Failure;

/// The most bytes of one piece of lines; a longer line is a piece of its own.
const PIECE_BYTES_MAX: usize = 64 * 1024;
/// How many pieces wait for a slow reader before the task does: half a megabyte for each client.
const PIECES_WAITING_MAX: usize = 8;

/// What is told before the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// How far the work is.
    Progress(Progress),
    /// Whole lines for standard output, each with its line end.
    Lines(String),
    /// A line for people, for standard error.
    Notice(String),
}

/// The task's end.
#[derive(Clone, Debug)]
pub(crate) struct Output {
    progress: watch::Sender<Progress>,
    told: mpsc::Sender<Told>,
}

/// The end of whoever asked for the task.
#[derive(Debug)]
pub(crate) struct Listener {
    progress: watch::Receiver<Progress>,
    told: mpsc::Receiver<Told>,
}

impl Output {
    /// Both ends.
    #[must_use]
    pub(crate) fn new() -> (Self, Listener) {
        let (progress, progressed) = watch::channel(Progress::default());
        let (told, heard) = mpsc::channel(PIECES_WAITING_MAX);
        (Self { progress, told }, Listener { progress: progressed, told: heard })
    }

    /// Tells how far the work is.
    pub(crate) fn progress(&self, progress: Progress) {
        self.progress.send_replace(progress);
    }

    /// Tells whole lines, each with its line end; waits for a slow reader.
    ///
    /// # Errors
    /// When nobody listens any more.
    pub(crate) async fn lines(&self, text: &str) -> Result<(), Failure> {
        for piece in pieces(text) {
            self.tell(Told::Lines(piece.to_owned())).await?;
        }
        Ok(())
    }

    /// Tells people something in one line, beside the lines; waits for a slow reader.
    ///
    /// # Errors
    /// When nobody listens any more.
    pub(crate) async fn notice(&self, line: String) -> Result<(), Failure> {
        self.tell(Told::Notice(line)).await
    }

    async fn tell(&self, told: Told) -> Result<(), Failure> {
        self.told.send(told).await.map_err(|_| Failure::unread())
    }
}

impl Listener {
    /// What is told next; waits for ever when that is nothing.
    pub(crate) async fn next(&mut self) -> Told {
        tokio::select! {
            Some(told) = self.told.recv() => told,
            Ok(()) = self.progress.changed() => Told::Progress(self.progress.borrow_and_update().clone()),
            else => std::future::pending().await,
        }
    }

    /// What was told and not heard yet, once the task has ended.
    pub(crate) fn next_of_rest(&mut self) -> Option<Told> {
        self.told.try_recv().ok()
    }

    /// Listens no more: a task that waits for a reader goes on, and learns that there is none.
    pub(crate) fn close(&mut self) {
        self.told.close();
    }
}

/// Cuts whole lines into pieces of whole lines.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (piece, behind) = rest.split_at_checked(piece_end(rest)).unwrap_or((rest, ""));
        rest = behind;
        Some(piece)
    })
}

/// Behind the last line end within the most bytes of a piece, else behind the first one.
fn piece_end(text: &str) -> usize {
    let bytes = text.as_bytes();
    let Some(window) = bytes.get(..PIECE_BYTES_MAX) else { return bytes.len() };
    let is_end = |byte: &u8| *byte == b'\n';
    let end = window.iter().rposition(is_end).or_else(|| bytes.iter().position(is_end));
    end.map_or(bytes.len(), |end| end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_between_lines() {
        let check = |text: &str, lengths: &[usize]| {
            let cut: Vec<&str> = pieces(text).collect();
            assert_eq!(cut.concat(), text);
            assert!(cut.iter().all(|piece| piece.ends_with('\n')));
            assert_eq!(cut.iter().map(|piece| piece.len()).collect::<Vec<_>>(), lengths);
        };
        check("", &[]);
        check("a\nb\n", &[4]);
        let line = "ü".repeat(499) + "\n";
        check(&line.repeat(200), &[65 * 999, 65 * 999, 65 * 999, 5 * 999]);
        let long = "x".repeat(100_000) + "\n";
        check(&format!("a\n{long}b\n"), &[2, 100_001, 2]);
    }

    #[tokio::test]
    async fn what_was_told_is_heard_in_order_after_the_end() {
        let (output, mut listener) = Output::new();
        output.lines("a\n").await.unwrap();
        output.notice("b".to_owned()).await.unwrap();
        drop(output);
        assert_eq!(listener.next_of_rest(), Some(Told::Lines("a\n".to_owned())));
        assert_eq!(listener.next_of_rest(), Some(Told::Notice("b".to_owned())));
        assert_eq!(listener.next_of_rest(), None);
    }

    #[tokio::test]
    async fn a_slow_reader_makes_the_task_wait_and_one_that_goes_ends_it() {
        let (output, mut listener) = Output::new();
        for _ in 0..PIECES_WAITING_MAX {
            output.lines("a\n").await.unwrap();
        }
        let more = tokio::spawn(async move { output.lines("b\n").await });
        tokio::task::yield_now().await;
        assert!(!more.is_finished(), "it waits for room");
        listener.close();
        assert!(more.await.unwrap().is_err(), "and hears that nobody listens");
    }
}
