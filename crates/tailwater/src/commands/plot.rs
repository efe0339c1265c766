//! `tailwater plot`: asks as `tailwater query` does, and draws the answer to a file.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use event::Time;
use query::{Cut, Question, Topic};
use serde_json::Value;

use crate::chart::{self, COST, Chart, Heading};
use crate::cli::{Asked, PictureArgs, PlotCommand};
use crate::commands::query::{answered, nothing_found};
use crate::config::Config;
use crate::failure::Failure;
use crate::output::{self, bytes, counted, to_the_second};

/// The size of a picture in pixels, where nothing was said.
const SIZE: (u32, u32) = (1200, 600);
/// A file that anybody may read, but for what the process's umask takes away.
const MODE: u32 = 0o666;

/// Asks and draws.
///
/// # Errors
/// Exit code 1 when there is nothing to draw, 2 when the question means nothing, nobody can answer it, or the file cannot
/// be written. There is no file then, or the one that was there before.
pub(crate) async fn plot(config: &Config, command: &PlotCommand) -> Result<(), Failure> {
    let (asked, measure, picture) = command.asked();
    let kind = Kind::of(&picture.out)?;
    let target = Target::new(&picture.out)?;
    let (question, answer) = answered(config, &asked).await?;
    let rows: &[Value] = answer.as_array().map_or(&[], Vec::as_slice);
    if rows.is_empty() {
        return Err(nothing_found());
    }
    let (chart, told) = Chart::of(&question, measure, rows).map(Chart::picked).ok_or_else(nothing_found)?;
    if chart.series.is_empty() {
        return Err(Failure::unhealthy(format!(
            "nothing to draw: no row of this range has a value of {}",
            measure.title
        )));
    }
    let heading = heading(&asked, &chart, &question, picture);
    let drawn = kind.draw(&chart, &heading, picture)?;
    target.fill(&drawn)?;
    if let Some(told) = told {
        output::notice(&told);
    }
    let unpriced = rows.iter().filter_map(|row| row.get("unpriced_events")?.as_u64()).sum();
    if measure == &COST && unpriced > 0 {
        output::notice(&format!(
            "{} without a price are not in it: `prices.toml` can have more",
            counted(unpriced, "call")
        ));
    }
    let (series, size) = (counted(chart.series.len() as u64, "line"), bytes(drawn.len() as u64));
    output::line(&format!("drew {series} to {} ({size})", picture.out.display()))
}

/// What a file's ending says that it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Svg,
    Png,
    Html,
}

impl Kind {
    fn of(path: &Path) -> Result<Self, Failure> {
        let ending = path.extension().map(|it| it.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
        match ending.as_str() {
            "svg" => Ok(Self::Svg),
            "png" => Ok(Self::Png),
            "html" | "htm" => Ok(Self::Html),
            _ => Err(Failure::error(format!(
                "--out {}: the ending says what to draw: .svg, .png or .html",
                path.display()
            ))),
        }
    }

    fn draw(self, chart: &Chart, heading: &Heading, picture: &PictureArgs) -> Result<Vec<u8>, Failure> {
        let size = (picture.width.unwrap_or(SIZE.0), picture.height.unwrap_or(SIZE.1));
        let drawn = match self {
            Self::Svg => chart::svg(chart, heading, size).map(String::into_bytes),
            Self::Png => chart::png(chart, heading, size),
            Self::Html => Ok(chart::html(chart, heading, (picture.width, picture.height)).into_bytes()),
        };
        drawn.map_err(|error| Failure::error(error.to_string()))
    }
}

/// A file that is there as a whole or not at all.
struct Target {
    path: PathBuf,
    /// In the same folder; it goes by itself unless it becomes the file.
    new: tempfile::NamedTempFile,
}

impl Target {
    /// Where nothing can be written, nothing needs to be asked.
    fn new(path: &Path) -> Result<Self, Failure> {
        let folder = path.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if path.is_dir() {
            return Err(failed(path, &io::ErrorKind::IsADirectory.into()));
        }
        let open = |path: &Path| OpenOptions::new().write(true).create_new(true).mode(MODE).open(path);
        let new = tempfile::Builder::new().prefix(".tailwater-plot-").make_in(folder, open);
        let new = new.map_err(|error| failed(path, &error))?;
        Ok(Self { path: path.to_owned(), new })
    }

    fn fill(mut self, content: &[u8]) -> Result<(), Failure> {
        let written = self.new.write_all(content).and_then(|()| self.new.flush());
        written.map_err(|error| failed(&self.path, &error))?;
        self.new.persist(&self.path).map_err(|error| failed(&self.path, &error.error))?;
        Ok(())
    }
}

fn failed(path: &Path, error: &io::Error) -> Failure {
    Failure::error(format!("cannot write {}: {error}", path.display()))
}

/// What was asked, in words.
fn heading(asked: &Asked, chart: &Chart, question: &Question, picture: &PictureArgs) -> Heading {
    let whose = match asked.topic {
        Topic::Agents => "Agents: ",
        Topic::System => "Systems: ",
        Topic::Channels => "Channels: ",
        _ => "",
    };
    let title = picture.title.clone().unwrap_or_else(|| capital(&format!("{whose}{}", chart.measure.title)));
    let cut = match question {
        Question::System(asked, _) => each(&asked.buckets),
        Question::Agents(asked, _) => each(&asked.buckets),
        Question::Channels(asked, _) => each(&asked.buckets),
        Question::Tokens(asked) => match &asked.cut {
            Cut::Buckets(buckets) => each(buckets),
            Cut::Days(_) => "each day".to_owned(),
            Cut::Whole(_) => "all of it".to_owned(),
        },
        _ => String::new(),
    };
    let shown = |time: Time| to_the_second(&time.to_string());
    let range = format!("{} to {}", shown(chart.range.from()), shown(chart.range.to()));
    let said = |(name, text): &(String, String)| match name.as_str() {
        "from" | "to" | "interval" | "day" | "fill" => None,
        name => Some(format!("{name} {text}")),
    };
    let parts = [range, cut].into_iter().chain(asked.parameters.iter().filter_map(said));
    Heading { title, subtitle: parts.collect::<Vec<_>>().join(", ") }
}

fn each(buckets: &query::Buckets) -> String {
    format!("each {}", buckets.interval())
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ending_says_what_is_drawn() {
        let check = |name: &str, kind: Kind| assert_eq!(Kind::of(Path::new(name)).ok(), Some(kind), "{name}");
        check("a.svg", Kind::Svg);
        check("/x/a.b.PNG", Kind::Png);
        check("a.html", Kind::Html);
        for name in ["a", "svg", ".svg", "a.svg/", "a.jpg"] {
            let kind = Kind::of(Path::new(name));
            assert_eq!(kind.is_ok(), name == "a.svg/", "{name}");
        }
    }
}
