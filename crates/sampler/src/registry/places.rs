//! Whose a path is: the agent in whose place it lies.

use std::path::Path;

use event::Text;

/// A folder that an agent has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    pub(super) agent: &'a Text,
    pub(super) path: &'a str,
    pub(super) claim: Claim,
}

/// How good the agent's claim is, the weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Claim {
    /// It was seen there before it stopped.
    Left,
    /// It was seen there and runs.
    Works,
    /// The configuration says so.
    Configured,
}

/// The agent in whose place `path` lies: the configured ones first, then the longest, then the better claim. `None`
/// when there is none, or several agents have the same.
///
/// A place that was merely seen and holds the user's home counts for itself alone: an agent that was started in
/// there would own everybody's files.
pub(super) fn owner<'a>(
    path: &str,
    places: impl Iterator<Item = Place<'a>>,
    user_home: Option<&str>,
) -> Option<&'a Text> {
    let path = Path::new(path);
    if !path.is_absolute() {
        return None;
    }
    let holds_home = |place: &Path| user_home.is_some_and(|home| Path::new(home).starts_with(place));
    let is_in = |place: &Place<'_>| {
        let folder = Path::new(place.path);
        let is_wide = place.claim != Claim::Configured && (folder.parent().is_none() || holds_home(folder));
        folder.is_absolute() && if is_wide { path == folder } else { path.starts_with(folder) }
    };
    let rank = |place: &Place<'_>| {
        let depth = Path::new(place.path).components().count();
        (place.claim == Claim::Configured, depth, place.claim)
    };
    let mut best: Option<Place<'a>> = None;
    let mut others = false;
    for place in places.filter(is_in) {
        match best.map(|best| rank(&place).cmp(&rank(&best))) {
            None | Some(std::cmp::Ordering::Greater) => (best, others) = (Some(place), false),
            Some(std::cmp::Ordering::Equal) => others |= best.is_some_and(|best| best.agent != place.agent),
            Some(std::cmp::Ordering::Less) => {}
        }
    }
    best.filter(|_| !others).map(|place| place.agent)
}
