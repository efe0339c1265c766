//! What the keys do, for the last line and for the page that explains them.

use super::ask::Wanted;

/// The keys of a page, the ones that matter first.
pub(super) const fn of(page: &Wanted, is_filtering: bool) -> &'static [(&'static str, &'static str)] {
    if is_filtering {
        return &[("Enter", "keep"), ("Esc", "all"), ("\u{2026}", "any text of a row")];
    }
    match page {
        Wanted::Fleet => &[
            ("q", "quit"),
            ("\u{2191}\u{2193}", "choose"),
            ("Enter", "agent"),
            ("p", "pipeline"),
            ("/", "filter"),
            ("< >", "order"),
            ("r", "reverse"),
            ("?", "keys"),
        ],
        Wanted::Agent { .. } | Wanted::Pipeline => &[
            ("q", "quit"),
            ("Esc", "fleet"),
            ("p", "pipeline"),
            ("\u{2191}\u{2193}", "scroll"),
            ("?", "keys"),
        ],
    }
}

/// All of them.
pub(super) const ALL: [(&str, &str); 14] = [
    ("q, Ctrl-C", "quit"),
    ("\u{2191} \u{2193}, k j", "one row up, down"),
    ("PgUp PgDn", "ten rows"),
    ("Home End, g G", "the first, the last row"),
    ("Enter, \u{2192}", "the agent of this row"),
    ("Esc, \u{2190}, f", "back to the fleet; there Esc shows all of it"),
    ("p", "how recording and projecting are doing"),
    ("/", "only rows with this text"),
    ("< >, Tab", "order by the column before, behind"),
    ("n s c m", "order by name, state, CPU, memory"),
    ("t $ l", "order by tokens a minute, cost, last seen"),
    ("r", "the other way round; so does its letter again"),
    ("?, h", "this page; any key leaves it"),
    ("", "\u{2013} is what is not known: it is never 0"),
];
