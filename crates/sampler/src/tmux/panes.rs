//! The answer of `tmux list-panes -a`: one line for each pane, gathered into sessions.
//!
//! `server pid:session id:created:pane id:pane pid:dead:name`. The numbers come first and hold no colon, the
//! name comes last and may hold anything: tmux allows no colon in it and writes line ends and tabs as `\n` and
//! `\t`, but nothing here depends on that except one line for one pane.

use std::collections::HashMap;

use crate::proc::{Parsed, Pid};

/// The format that [`parse`] reads, for `list-panes -F`.
pub const FORMAT: &str =
    "#{pid}:#{session_id}:#{session_created}:#{pane_id}:#{pane_pid}:#{pane_dead}:#{session_name}";

/// A session for its whole life, whatever it is renamed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionKey {
    /// The process of the tmux server.
    pub server: Pid,
    /// tmux's number of it, without the dollar sign; never used again by the same server.
    pub id: u64,
    /// When it was made, seconds since the epoch.
    pub created: u64,
}

/// A pane, for as long as its server lives; without the percent sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PaneId(pub u64);

/// A session and its panes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TmuxSession {
    /// Which one.
    pub key: SessionKey,
    /// Its name, as tmux writes it.
    pub name: String,
    /// Its panes and their first processes; `None` where the process ended and the pane stays.
    pub panes: Vec<(PaneId, Option<Pid>)>,
}

/// Reads the answer. The sessions come oldest first.
#[must_use]
pub fn parse(text: &[u8]) -> Parsed<TmuxSession> {
    let mut parsed: Parsed<TmuxSession> = Parsed::default();
    let mut places: HashMap<SessionKey, usize> = HashMap::new();
    for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let Some((key, pane, name)) = pane(line) else {
            parsed.problems.push(format!("tmux lists the pane {}", crate::proc::show(line)));
            continue;
        };
        let place = *places.entry(key).or_insert(parsed.items.len());
        match parsed.items.get_mut(place) {
            Some(session) => session.panes.push(pane),
            None => parsed.items.push(TmuxSession { key, name, panes: vec![pane] }),
        }
    }
    parsed.items.sort_by_key(|session| session.key);
    parsed
}

type PaneLine = (SessionKey, (PaneId, Option<Pid>), String);

fn pane(line: &[u8]) -> Option<PaneLine> {
    let mut fields = std::str::from_utf8(line).ok()?.splitn(7, ':');
    let server = Pid(fields.next()?.parse().ok()?);
    let id = fields.next()?.strip_prefix('$')?.parse().ok()?;
    let created = fields.next()?.parse().ok()?;
    let pane = PaneId(fields.next()?.strip_prefix('%')?.parse().ok()?);
    let root = Pid(fields.next()?.parse().ok()?);
    let root = match fields.next()? {
        "" | "0" => Some(root),
        _ => None,
    };
    let name = fields.next().filter(|name| !name.is_empty())?.to_owned();
    Some((SessionKey { server, id, created }, (pane, root), name))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lines_become_sessions_oldest_first() {
        let text = "10:$3:1700:%5:55:0:work\n10:$0:1600:%1:21:0:zén: 世界\n10:$3:1700:%6:56:1:work\n";
        let parsed = parse(text.as_bytes());
        assert_eq!(parsed.problems, Vec::<String>::new());
        let expected = [
            TmuxSession {
                key: SessionKey { server: Pid(10), id: 0, created: 1600 },
                name: "zén: 世界".to_owned(),
                panes: vec![(PaneId(1), Some(Pid(21)))],
            },
            TmuxSession {
                key: SessionKey { server: Pid(10), id: 3, created: 1700 },
                name: "work".to_owned(),
                panes: vec![(PaneId(5), Some(Pid(55))), (PaneId(6), None)],
            },
        ];
        assert_eq!(parsed.items, expected);
    }

    #[test]
    fn odd_names_are_kept_as_they_are() {
        for name in [" ", " a ", "a:b:c", "\\ttab", "-t", "=a1", "a*", "$1", "%1"] {
            let parsed = parse(format!("10:$3:1700:%5:55:0:{name}\n").as_bytes());
            assert_eq!(parsed.items[0].name, name);
        }
    }

    #[test]
    fn a_bad_line_does_not_spoil_the_others() {
        let text = b"10:$3:1700:%5:55:0:a\ncannot\n10:3:1700:%5:55:0:b\n10:$3:1700:%5:x:0:c\n10:$4:1:%5:55:0:\n\xff:$1\n10:$5:1:%9:99:0:z\n";
        let parsed = parse(text);
        let names: Vec<&str> = parsed.items.iter().map(|session| session.name.as_str()).collect();
        assert_eq!(names, ["a", "z"]);
        assert_eq!(parsed.problems.len(), 5);
        assert_eq!(parsed.problems[0], "tmux lists the pane \"cannot\"");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&bytes);
        }
    }
}
