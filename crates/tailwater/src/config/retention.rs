//! How long a database keeps events: the setting `database.retention`, and which database it is said of.

use std::time::Duration;

use event::span;
use store::DatabaseUrl;

use super::meaning::required;
use super::raw::{ConfigError, Origin, RawConfig, RawValue};

/// The shortest retention: a database is not a queue, and clocks may be an hour apart.
const LEAST: Duration = Duration::from_secs(3_600);
/// The longest one that is not for ever: a hundred years.
const MOST: Duration = Duration::from_secs(36_500 * 86_400);

/// How long a database keeps events, by their own time, and which one that is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    kept: Option<Duration>,
    /// The fingerprint of the database that is meant.
    database: Option<[u8; 32]>,
}

impl Retention {
    /// Checks what was typed. `database` is the database in use.
    ///
    /// IMPORTANT: what is older is dropped. So a file or a variable that has both settings says it of the database
    /// that it names, and not of another one that the command line names in its place; only `--retention` does.
    pub(super) fn new(raw: &RawConfig, database: Option<&DatabaseUrl>) -> Result<Self, ConfigError> {
        let kept = required(raw, "database.retention", retention)?;
        let beneath = raw.beneath("database.url").filter(|it| !it.text.is_empty());
        let database = match (raw.get("database.retention"), beneath) {
            (Some(RawValue { origin: Origin::Flag(_), .. }), _) | (_, None) => {
                database.map(DatabaseUrl::fingerprint)
            }
            // A URL that means nothing is no database's.
            (_, Some(beneath)) => beneath.text.parse().ok().as_ref().map(DatabaseUrl::fingerprint),
        };
        Ok(Self { kept, database })
    }

    /// How long this database keeps events; `None` means for ever, or that nothing is known of it. Two spellings of
    /// one host are two databases here.
    #[must_use]
    pub fn of(&self, database: &DatabaseUrl) -> Option<Duration> {
        self.kept.filter(|_| self.database == Some(database.fingerprint()))
    }
}

fn retention(text: &str) -> Result<Option<Duration>, String> {
    if text == "none" {
        return Ok(None);
    }
    let kept = span::parse(text).filter(|span| (LEAST..=MOST).contains(span));
    kept.map(Some).ok_or_else(|| {
        format!("{text:?} is neither none nor a length of time from 1h to 36500d, such as 12h or 90d")
    })
}

#[cfg(test)]
mod tests {
    use super::super::Overrides;
    use super::*;

    #[test]
    fn events_are_kept_for_ever_or_for_a_time() {
        assert_eq!(retention("none"), Ok(None));
        assert_eq!(retention("1h"), Ok(Some(LEAST)));
        assert_eq!(retention("90d"), Ok(Some(Duration::from_secs(90 * 86_400))));
        assert_eq!(retention("36500d"), Ok(Some(MOST)));
        for text in ["", "all", "90", "59m", "0d", "36501d", "-1d", "99999999999999999999d"] {
            assert!(retention(text).unwrap_err().contains("neither none nor"), "{text}");
        }
    }

    const OURS: &str = "postgres://me@db/ours";
    const OTHER: &str = "postgres://me@db/other";

    /// What is known of the two databases, where variables and flags say this of URL and retention.
    fn check(variables: [Option<&str>; 2], flags: [Option<&str>; 2], days: [Option<u64>; 2]) {
        let variable = |name: &str| match name {
            "TAILWATER_DATABASE_URL" => variables[0].map(str::to_owned),
            "TAILWATER_DATABASE_RETENTION" => variables[1].map(str::to_owned),
            _ => None,
        };
        let flag = |key, text: Option<&str>| {
            let origin = Origin::Flag("--it".to_owned());
            text.map(|text| (key, RawValue { text: text.to_owned(), origin }))
        };
        let flags: Overrides = [flag("database.url", flags[0]), flag("database.retention", flags[1])]
            .into_iter()
            .flatten()
            .collect();
        let raw = RawConfig::gather(None, variable, flags).unwrap();
        let used = raw.get("database.url").and_then(|it| it.text.parse().ok());
        let retention = Retention::new(&raw, used.as_ref()).unwrap();
        let of = |url: &str| retention.of(&url.parse().unwrap()).map(|kept| kept.as_secs() / 86_400);
        assert_eq!([of(OURS), of(OTHER)], days, "{variables:?} {raw:?}");
    }

    #[test]
    fn it_is_said_of_one_database() {
        let (none, ours, other) = (None, Some(OURS), Some(OTHER));
        check([ours, none], [none, none], [None, None]);
        check([ours, Some("90d")], [none, none], [Some(90), None]);
        check([ours, Some("none")], [none, none], [None, None]);
        // The command line names another database, or the same once more.
        check([ours, Some("90d")], [other, none], [Some(90), None]);
        check([ours, Some("90d")], [ours, none], [Some(90), None]);
        // The command line says both.
        check([ours, Some("90d")], [other, Some("7d")], [None, Some(7)]);
        check([ours, Some("90d")], [none, Some("7d")], [Some(7), None]);
        check([ours, Some("90d")], [none, Some("none")], [None, None]);
        // There is only one that can be meant.
        check([none, Some("90d")], [other, none], [None, Some(90)]);
        check([none, Some("90d")], [none, none], [None, None]);
        check([Some("nonsense"), Some("90d")], [ours, none], [None, None]);
    }
}
