//! What the engine tells of one container's life, `GET /containers/ID/json`. Of all that it holds, which may be
//! secrets, nothing else is kept.

use std::path::Path;

use event::{Text, Time};
use serde_json::Value;

use super::json::{AnswerError, object, text, time};
use super::listing::Phase;

/// The life of one container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inspection {
    /// Whether it runs.
    pub phase: Phase,
    /// When it was started the last time.
    pub started_at: Option<Time>,
    /// The folder of this machine that it works in: where its working directory is mounted from; `None` where it
    /// is not, for then nobody else knows the folder.
    pub directory: Option<Text>,
}

/// Reads it.
///
/// # Errors
/// When it is no JSON object.
pub fn parse(answer: &[u8]) -> Result<Inspection, AnswerError> {
    let value = object(answer)?;
    let flag = |pointer| value.pointer(pointer).and_then(Value::as_bool);
    // NOTE: one that is being restarted is said to run as well.
    let is_stopped = flag("/State/Running") == Some(false) || flag("/State/Restarting") == Some(true);
    Ok(Inspection {
        phase: if is_stopped { Phase::Stopped } else { Phase::Runs },
        started_at: time(&value, "/State/StartedAt"),
        directory: directory(&value),
    })
}

/// Looks for the mount that lies nearest to the working directory.
fn directory(value: &Value) -> Option<Text> {
    let inside = Path::new(text(value, "/Config/WorkingDir"));
    let mounts = value.get("Mounts")?.as_array()?;
    let covering = mounts.iter().filter_map(|mount| {
        let below = inside.strip_prefix(text(mount, "/Destination")).ok()?;
        let source = text(mount, "/Source");
        let is_folder = text(mount, "/Type") == "bind" && source.starts_with('/');
        is_folder.then(|| (below.components().count(), Path::new(source).join(below)))
    });
    let (_, folder) = covering.min_by_key(|(depth, _)| *depth).filter(|_| inside.is_absolute())?;
    folder.to_str().map(|folder| Text::new(folder.trim_end_matches('/')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_life_is_read() {
        let check = |state: &str, phase: Phase, started: Option<&str>| {
            let found = parse(format!(r#"{{"State": {state}}}"#).as_bytes()).unwrap();
            let started_at = started.map(|text| text.parse().unwrap());
            assert_eq!(found, Inspection { phase, started_at, directory: None }, "{state}");
        };
        let at = "2026-11-23T00:42:29.004676711Z";
        check(
            r#"{"Running": true, "Paused": true, "StartedAt": "2026-11-23T00:42:29.004676711Z"}"#,
            Phase::Runs,
            Some(at),
        );
        check(r#"{"Running": false, "StartedAt": "0001-01-01T00:00:00Z"}"#, Phase::Stopped, None);
        check(r#"{"Running": true, "Restarting": true, "StartedAt": 7}"#, Phase::Stopped, None);
        check("null", Phase::Runs, None);
        assert!(parse(b"[]").is_err());
    }

    #[test]
    fn the_folder_is_that_of_this_machine() {
        let check = |working: &str, mounts: &str, folder: Option<&str>| {
            let answer = format!(r#"{{"Config": {{"WorkingDir": "{working}"}}, "Mounts": {mounts}}}"#);
            assert_eq!(parse(answer.as_bytes()).unwrap().directory.as_deref(), folder, "{answer}");
        };
        let bind = r#"[{"Type": "bind", "Source": "/home/x", "Destination": "/w"}, {"Type": "bind", "Source": "/srv/p", "Destination": "/w/p"}]"#;
        check("/w", bind, Some("/home/x"));
        check("/w/p/q", bind, Some("/srv/p/q"));
        check("/w/pq", bind, Some("/home/x/pq"));
        check("/else", bind, None);
        check("", bind, None);
        check("/w", r#"[{"Type": "volume", "Source": "/var/lib/v", "Destination": "/w"}]"#, None);
        check("/w", "7", None);
    }
}
