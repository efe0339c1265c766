//! Names that are no setting, and the setting that was probably meant.

use std::ffi::OsString;

use super::catalogue::CATALOGUE;

const PREFIX: &str = "TAILWATER_";
/// After the prefix, what is no setting: of the hooks of a coding tool, of the command line, of the traces.
const OTHERS: [&str; 3] = ["AGENT", "CONFIG", "TRACE"];
/// The tests' own go on so.
const OF_TESTS: &str = "TEST_";
/// From how much alike two names are on, from 0 to 1, that one may be a slip for the other.
const ALIKE: f64 = 0.6;

/// Variables that look like ours and are none, told in one line; `None` where there are none.
///
/// NOTE: no error, because others name variables too: Kubernetes sets `TAILWATER_PORT` beside a service of that name.
#[must_use]
pub fn unknown_variables(names: impl IntoIterator<Item = OsString>) -> Option<String> {
    let settings = CATALOGUE.iter().flat_map(|setting| setting.variables);
    let known: Vec<&str> = settings.filter_map(|name| name.strip_prefix(PREFIX)).chain(OTHERS).collect();
    let names = names.into_iter().filter_map(|name| Some(name.to_str()?.strip_prefix(PREFIX)?.to_owned()));
    let mut names: Vec<String> =
        names.filter(|name| !name.starts_with(OF_TESTS) && !known.contains(&name.as_str())).collect();
    names.sort_unstable();
    let told: Vec<String> = names
        .iter()
        .map(|name| match nearest(name, known.iter().copied()) {
            Some(meant) => format!("{PREFIX}{name} (did you mean {PREFIX}{meant}?)"),
            None => format!("{PREFIX}{name}"),
        })
        .collect();
    let (is, setting) = if told.len() == 1 { ("is", "setting") } else { ("are", "settings") };
    (!told.is_empty())
        .then(|| format!("{} {is} no {setting}: nothing reads it; docs/config.md lists all", told.join(", ")))
}

/// What to add to the name of an unknown setting: the one that was probably meant, or where all are.
#[must_use]
pub(super) fn advice(key: &str) -> String {
    match nearest(key, CATALOGUE.iter().map(|setting| setting.key)) {
        Some(meant) => format!("did you mean {meant}? `tailwater config show` lists all"),
        None => "`tailwater config show` lists all".to_owned(),
    }
}

/// The known name that this one is a slip or an end of; none where it could as well be another.
fn nearest<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let alike = |known: &'n str| {
        let is_end = known.strip_suffix(name).is_some_and(|before| before.ends_with(['.', '_']));
        (if is_end { 1.0 } else { strsim::normalized_damerau_levenshtein(name, known) }, known)
    };
    let mut known: Vec<(f64, &str)> = known.map(alike).filter(|(alike, _)| *alike >= ALIKE).collect();
    known.sort_by(|(one, _), (other, _)| other.total_cmp(one));
    match known[..] {
        [(_, meant)] => Some(meant),
        [(best, meant), (next, _), ..] if best > next => Some(meant),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_and_a_forgotten_table_are_understood() {
        let check = |key: &str, meant: &str| {
            let advice = advice(key);
            assert!(advice.starts_with(&format!("did you mean {meant}?")), "{key}: {advice}");
        };
        check("log.snyc", "log.sync");
        check("listen", "server.listen");
        check("database.uri", "database.url");
        check("server.token", "server.tokens");
        for key in ["colour", "interval", "enabled"] {
            assert!(!advice(key).contains("did you mean"), "{key}: {}", advice(key));
        }
    }

    #[test]
    fn variables_that_nothing_reads_are_told() {
        let told = |names: &[&str]| unknown_variables(names.iter().map(OsString::from));
        assert_eq!(
            told(&["TAILWATER_LOG_SNYC", "PATH"]).unwrap(),
            "TAILWATER_LOG_SNYC (did you mean TAILWATER_LOG_SYNC?) is no setting: nothing reads it; docs/config.md lists all"
        );
        let two = told(&["TAILWATER_XYZ", "TAILWATER_LISTEN"]).unwrap();
        let begin = "TAILWATER_LISTEN (did you mean TAILWATER_SERVER_LISTEN?), TAILWATER_XYZ are no settings";
        assert!(two.starts_with(begin), "{two}");
        let ours = CATALOGUE.iter().flat_map(|setting| setting.variables).copied();
        let others =
            ["TAILWATER_AGENT", "TAILWATER_CONFIG", "TAILWATER_TRACE", "TAILWATER_TEST_DOCKER", "TAILWATERS"];
        let ours: Vec<&str> = ours.chain(others).collect();
        assert_eq!(told(&ours), None);
    }
}
