//! Names that are no setting, and the setting that was probably meant.

use std::ffi::OsString;

use super::catalogue::CATALOGUE;

const PREFIX: &str = "TAILWATER_";
/// Variables that are no settings: of the hooks of a coding tool, of the command line, of the traces.
const OTHERS: [&str; 3] = ["TAILWATER_AGENT", "TAILWATER_CONFIG", "TAILWATER_TRACE"];
/// The tests' own begin so.
const OF_TESTS: &str = "TAILWATER_TEST_";
/// From how much alike two names are on, from 0 to 1, that one may be a slip for the other.
const ALIKE: f64 = 0.6;

/// Variables that look like ours and are none, told in one line; `None` where there are none.
///
/// NOTE: no error, because others name variables too: Kubernetes sets `TAILWATER_PORT` beside a service of that name.
#[must_use]
pub fn unknown_variables(names: impl IntoIterator<Item = OsString>) -> Option<String> {
    let known: Vec<&str> =
        CATALOGUE.iter().flat_map(|setting| setting.variables).copied().chain(OTHERS).collect();
    let is_unknown =
        |name: &str| name.starts_with(PREFIX) && !name.starts_with(OF_TESTS) && !known.contains(&name);
    let names = names.into_iter().filter_map(|name| name.into_string().ok());
    let mut names: Vec<String> = names.filter(|name| is_unknown(name)).collect();
    names.sort_unstable();
    let told: Vec<String> = names
        .iter()
        .map(|name| {
            let own = name.strip_prefix(PREFIX).unwrap_or(name);
            let known = known.iter().filter_map(|known| known.strip_prefix(PREFIX));
            match nearest(own, known) {
                Some(meant) => format!("{name} (did you mean {PREFIX}{meant}?)"),
                None => name.clone(),
            }
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

/// The known name that this one is a slip or an end of.
fn nearest<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let alike = |known: &'n str| {
        let is_end = known.strip_suffix(name).is_some_and(|before| before.ends_with(['.', '_']));
        let alike = if is_end { 1.0 } else { strsim::normalized_damerau_levenshtein(name, known) };
        (alike, known)
    };
    let best = known.map(alike).max_by(|(one, _), (other, _)| one.total_cmp(other))?;
    (best.0 >= ALIKE).then_some(best.1)
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
        assert!(!advice("colour").contains("did you mean"), "{}", advice("colour"));
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
        let ours: Vec<&str> = ours.chain(OTHERS).chain(["TAILWATER_TEST_DOCKER", "TAILWATERS"]).collect();
        assert_eq!(told(&ours), None);
    }
}
