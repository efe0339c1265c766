//! `tailwater log import`: the events of an NDJSON file, or of standard input, into the log.
//!
//! The input is read twice: first all of it is checked, so that a bad line at its end does not leave half of it
//! imported, then it is appended chunk by chunk. What cannot be read twice (a pipe) is kept in a file without a
//! name meanwhile, which goes with this process however it ends.

use std::fs::File;
use std::io::{self, BufReader, IsTerminal, Read, Seek, SeekFrom};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use indicatif::ProgressBar;

use super::ndjson::{Chunk, Chunks, Lines};
use crate::access::{self, Holder, Missing};
use crate::cli::ImportArgs;
use crate::commands::bar;
use crate::config::Config;
use crate::control::Task;
use crate::failure::Failure;
use crate::output;
use crate::service::{ImportAnswer, blocking};

/// The most bytes of one chunk: some ten thousand events, a tenth of a second of work for the log.
const CHUNK_BYTES_MAX: usize = 8 * 1024 * 1024;
/// How much of a pipe or a file is read at once.
const BUFFER_BYTES: usize = 256 * 1024;

/// Imports a file or standard input, and prints where it lies.
///
/// # Errors
/// When a line is bad: nothing was imported. When the log does not take it all: how much it took.
pub(crate) async fn import(config: &Config, args: &ImportArgs) -> Result<(), Failure> {
    let is_stdin = args.file.as_os_str() == "-";
    if is_stdin && io::stdin().is_terminal() {
        output::notice("reading events from the terminal, one JSON object a line; end with Ctrl-D");
    }
    let name = if is_stdin { "standard input".to_owned() } else { args.file.display().to_string() };
    let (path, data_dir, skip_invalid) = (args.file.clone(), config.data_dir.clone(), args.skip_invalid);
    let input = blocking(move || {
        let input = Input::open((!is_stdin).then_some(path), name, &data_dir)?;
        input.check(skip_invalid)
    });
    let input = input.await?;
    let mut holder = Holder::find(config, Missing::Create).await?;
    let imported = append(&mut holder, input, skip_invalid).await;
    let closed = holder.close().await;
    let answer = imported?;
    closed?;
    output::json(&answer).map_err(|failure| {
        let told = serde_json::to_string(&answer).unwrap_or_default();
        Failure::error(format!("imported {told}, but {failure}"))
    })
}

/// What can be read twice.
struct Input {
    file: File,
    name: String,
    start: u64,
    bytes: u64,
}

impl Input {
    fn open(path: Option<PathBuf>, name: String, data_dir: &Path) -> Result<Self, Failure> {
        let opened = match path {
            Some(path) => File::open(path),
            None => io::stdin().as_fd().try_clone_to_owned().map(File::from),
        };
        let opened = opened.and_then(|file| Ok((file.metadata()?, file)));
        let (metadata, mut file) = opened.map_err(|error| unread(&name, &error))?;
        if metadata.is_dir() {
            return Err(Failure::error(format!("{name} is a directory: give a file; nothing was imported")));
        }
        if !metadata.is_file() {
            file = spool(file, &name, data_dir)?;
        }
        let start = file.stream_position().map_err(|error| unread(&name, &error))?;
        let bytes = file.metadata().map_err(|error| unread(&name, &error))?.len().saturating_sub(start);
        Ok(Self { file, name, start, bytes })
    }

    /// Checks every line; with `skip_invalid` that is left to the appending. It blocks.
    fn check(mut self, skip_invalid: bool) -> Result<Self, Failure> {
        if skip_invalid {
            return Ok(self);
        }
        let bar = bar::of_bytes("checking ", self.bytes);
        let checked = check_lines(self.reader()?, &bar);
        bar.finish_and_clear();
        // NOTE: what is written to the file from now on is not imported.
        self.bytes = checked.map_err(|problem| match problem {
            Unusable::Unread(error) => unread(&self.name, &error),
            Unusable::Bad(error) => Failure::error(format!("{error}; nothing was imported")),
        })?;
        Ok(self)
    }

    fn reader(&mut self) -> Result<BufReader<io::Take<File>>, Failure> {
        let again = self.file.seek(SeekFrom::Start(self.start)).and_then(|_| self.file.try_clone());
        let file = again.map_err(|error| unread(&self.name, &error))?;
        Ok(BufReader::with_capacity(BUFFER_BYTES, file.take(self.bytes)))
    }
}

/// Why an input is not imported.
enum Unusable {
    /// It cannot be read.
    Unread(io::Error),
    /// A line of it is bad.
    Bad(event::json::ParseError),
}

/// Checks every line; gives the bytes that were checked.
fn check_lines(input: impl io::BufRead, bar: &ProgressBar) -> Result<u64, Unusable> {
    let mut lines = Lines::new(input);
    while lines.advance().map_err(Unusable::Unread)? {
        lines.check().map_err(Unusable::Bad)?;
        // NOTE: the bar counts calls before it looks at a clock; often enough is every thousandth line.
        if lines.number().is_multiple_of(1_000) {
            bar.set_position(lines.offset());
        }
    }
    Ok(lines.offset())
}

fn unread(name: &str, error: &io::Error) -> Failure {
    Failure::error(format!("cannot read {name}: {error}; nothing was imported"))
}

/// Keeps what can be read only once in a file without a name.
fn spool(mut input: File, name: &str, data_dir: &Path) -> Result<File, Failure> {
    // NOTE: the data directory has room for it, or the import would not go into the log either.
    let dir = if data_dir.is_dir() { data_dir.to_owned() } else { std::env::temp_dir() };
    let unkept = |error: io::Error| {
        let dir = dir.display();
        Failure::error(format!(
            "cannot keep {name} in {dir}: {error}; nothing was imported: put it into a file and import that"
        ))
    };
    let mut spooled = tempfile::tempfile_in(&dir).map_err(unkept)?;
    let bar = bar::of_unknown_bytes("reading ");
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let read = match input.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(unread(name, &error)),
        };
        io::Write::write_all(&mut spooled, buffer.get(..read).unwrap_or_default()).map_err(unkept)?;
        bar.inc(read as u64);
    }
    bar.finish_and_clear();
    spooled.rewind().map_err(unkept)?;
    Ok(spooled)
}

/// Appends the whole input, chunk by chunk.
async fn append(holder: &mut Holder, mut input: Input, skip_invalid: bool) -> Result<ImportAnswer, Failure> {
    let bar = bar::of_bytes("importing", input.bytes);
    let mut done = Done { answer: ImportAnswer::default(), line: 0, offset: 0 };
    done.answer.skipped = skip_invalid.then_some(0);
    let mut chunks = Chunks::new(input.reader()?, CHUNK_BYTES_MAX);
    let outcome = loop {
        let (next, behind) = match blocking(move || Ok((chunks.next(), chunks))).await {
            Ok(read) => read,
            Err(failure) => break Err(failure),
        };
        chunks = behind;
        match next {
            Ok(None) => break done.check_whole(&input),
            Ok(Some(chunk)) => {
                if let Err(failure) = done.append(holder, chunk, skip_invalid).await {
                    break Err(failure);
                }
            }
            Err(error) => break Err(Failure::error(format!("cannot read {} again: {error}", input.name))),
        }
        bar.set_position(done.offset);
    };
    bar.finish_and_clear();
    outcome.map(|()| done.answer).map_err(|failure| done.failed(&failure))
}

/// What was imported so far.
struct Done {
    answer: ImportAnswer,
    line: u64,
    offset: u64,
}

impl Done {
    async fn append(&mut self, holder: &mut Holder, chunk: Chunk, skip_invalid: bool) -> Result<(), Failure> {
        let Chunk { bytes, lines_before, last_line, offset, too_long } = chunk;
        if too_long > 0 && !skip_invalid {
            return Err(Failure::error(format!(
                "the input has changed up to line {last_line} since it was checked"
            )));
        }
        let task = Task::Import { lines_before, skip_invalid, bytes: bytes.len() as u64 };
        let answer: ImportAnswer = access::understood(holder.ask(task, bytes, access::print).await?)?;
        self.answer.imported += answer.imported;
        self.answer.known += answer.known;
        self.answer.first_position = self.answer.first_position.or(answer.first_position);
        self.answer.last_position = answer.last_position.or(self.answer.last_position);
        self.answer.skipped =
            self.answer.skipped.map(|skipped| skipped + too_long + answer.skipped.unwrap_or_default());
        self.line = last_line;
        self.offset = offset;
        Ok(())
    }

    /// Whether everything that was checked was there to be imported.
    fn check_whole(&self, input: &Input) -> Result<(), Failure> {
        if self.offset == input.bytes {
            return Ok(());
        }
        Err(Failure::error(format!(
            "{} has shrunk from {} to {} bytes while it was imported",
            input.name, input.bytes, self.offset
        )))
    }

    /// What is so when it ends in the middle.
    fn failed(&self, failure: &Failure) -> Failure {
        let done = match self.answer.imported {
            0 => "no event was imported before that".to_owned(),
            events => format!("{events} events were imported before that, up to line {}", self.line),
        };
        let message = format!(
            "{}; {done}; import all of it again: a database keeps each event once, the log gets those again",
            failure.message
        );
        Failure { message, exit: failure.exit, is_lost: failure.is_lost }
    }
}
