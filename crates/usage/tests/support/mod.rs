//! Folders of transcripts, read as a sampler would read them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, Cursor};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use event::{Text, TokenUsage};
use usage::Tool;
use usage::transcript::{Call, Family, Told, TranscriptReader};

/// The most bytes of a reader's state: a few kilobytes.
const STATE_BYTES_MAX: usize = 8 * 1024;

/// A folder of transcripts, with what they should tell.
pub struct Fixture {
    pub name: String,
    pub tool: Tool,
    /// By their paths below the folder.
    pub files: BTreeMap<PathBuf, Vec<u8>>,
    /// What the file `told` says.
    pub told: String,
}

/// Every fixture of a tool.
pub fn fixtures(tool: Tool) -> Vec<Fixture> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(tool.name());
    let mut fixtures: Vec<Fixture> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let folder = entry.unwrap().path();
            let mut files = BTreeMap::new();
            collect(&folder, &folder, &mut files);
            let told = String::from_utf8(files.remove(Path::new("told")).unwrap()).unwrap();
            Fixture { name: folder.file_name().unwrap().to_str().unwrap().to_owned(), tool, files, told }
        })
        .collect();
    fixtures.sort_by(|a, b| a.name.cmp(&b.name));
    fixtures
}

fn collect(root: &Path, folder: &Path, files: &mut BTreeMap<PathBuf, Vec<u8>>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(root, &path, files);
        } else {
            files.insert(path.strip_prefix(root).unwrap().to_owned(), fs::read(&path).unwrap());
        }
    }
}

/// The sessions of a folder.
pub struct Sessions(pub BTreeMap<String, Vec<u8>>);

impl Family for Sessions {
    fn transcript(&self, session_id: &str) -> Option<Box<dyn BufRead + Send>> {
        Some(Box::new(Cursor::new(self.0.get(session_id)?.clone())))
    }
}

impl Fixture {
    /// Its sessions by their ids.
    pub fn family(&self) -> Arc<dyn Family> {
        let session = |(path, bytes): (&PathBuf, &Vec<u8>)| {
            Some((self.tool.session_of(path)?.to_string(), bytes.clone()))
        };
        Arc::new(Sessions(self.files.iter().filter_map(session).collect()))
    }

    /// Reads all, one file after the other.
    pub fn read(&self, family: &Arc<dyn Family>) -> Told {
        let mut told = Told::default();
        for (path, bytes) in &self.files {
            assert!(self.tool.is_transcript(path), "{}: {}", self.name, path.display());
            let mut reader = self.tool.reader(path, None, Arc::clone(family)).unwrap();
            lines(bytes).for_each(|line| reader.line(line, &mut told));
            reader.quiet(&mut told);
        }
        told
    }

    /// Reads a file in two parts, with nothing but the state between them.
    pub fn read_cut(&self, path: &Path, cut: usize, family: &Arc<dyn Family>) -> Told {
        let bytes = self.files.get(path).unwrap();
        let mut told = Told::default();
        let mut reader = self.tool.reader(path, None, Arc::clone(family)).unwrap();
        lines(bytes).take(cut).for_each(|line| reader.line(line, &mut told));
        let mut reader = again(self.tool, path, &*reader, family);
        lines(bytes).skip(cut).for_each(|line| reader.line(line, &mut told));
        reader.quiet(&mut told);
        told
    }
}

/// A reader that goes on from the state of another one.
fn again(
    tool: Tool,
    path: &Path,
    reader: &dyn TranscriptReader,
    family: &Arc<dyn Family>,
) -> Box<dyn TranscriptReader> {
    let state = reader.state();
    assert!(state.len() <= STATE_BYTES_MAX, "a state of {} bytes", state.len());
    tool.reader(path, Some(&state), Arc::clone(family)).unwrap()
}

pub fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.strip_suffix(b"\n").unwrap_or(bytes).split(|byte| *byte == b'\n')
}

/// What is counted of these calls: each once, its largest snapshot, with the time of the first.
pub fn counted(calls: &[Call]) -> Vec<Call> {
    let mut counted: BTreeMap<(Text, Text, i64), Call> = BTreeMap::new();
    for call in calls {
        let usage = &call.usage;
        let key = match usage.message_id.as_str() {
            "" => (Text::default(), Text::default(), usage.time.micros()),
            id if id.starts_with("msg_") => (Text::default(), id.into(), 0),
            id => (usage.session_id.clone(), id.into(), 0),
        };
        let first = counted.entry(key).or_insert_with(|| call.clone());
        if size(usage) > size(&first.usage) {
            let of_first = first.usage.clone();
            first.usage = TokenUsage {
                time: of_first.time,
                session_id: of_first.session_id,
                model: of_first.model,
                ..usage.clone()
            };
        }
    }
    counted.into_values().collect()
}

fn size(usage: &TokenUsage) -> (bool, u64, u64) {
    (usage.r#final, usage.output_tokens, usage.input_tokens + usage.cache_read + usage.cache_create)
}

/// The form of the files `told`: a line for each call that is counted, then one for each problem.
pub fn show(told: &Told) -> String {
    let or_dash = |text: &str| if text.is_empty() { "-".to_owned() } else { text.to_owned() };
    let mut calls: Vec<String> = counted(&told.calls)
        .iter()
        .map(|Call { usage, directory }| {
            format!(
                "{} {} {} {} in={} out={} read={} create={} hour={} reasoning={} cost={} {} {}",
                or_dash(&usage.session_id),
                or_dash(&usage.message_id),
                usage.model,
                usage.time,
                usage.input_tokens,
                usage.output_tokens,
                usage.cache_read,
                usage.cache_create,
                usage.cache_create_1h,
                usage.reasoning_tokens,
                usage.cost_usd.map_or("-".to_owned(), |cost| cost.to_string()),
                if usage.r#final { "final" } else { "open" },
                or_dash(directory),
            )
        })
        .collect();
    calls.sort();
    let mut text = String::new();
    calls.iter().for_each(|call| writeln!(text, "{call}").unwrap());
    told.problems.iter().for_each(|problem| writeln!(text, "! {problem}").unwrap());
    text
}
