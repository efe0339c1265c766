//! What must hold for any bytes that are taken for tmux's list of panes.

use sampler::tmux::panes;

/// Each line is a pane or a problem; a session stands once, in order, with a name. Tells how many sessions.
pub fn check(bytes: &[u8]) -> usize {
    let parsed = panes::parse(bytes);
    let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count();
    let panes: usize = parsed.items.iter().map(|session| session.panes.len()).sum();
    assert_eq!(panes + parsed.problems.len(), lines, "{parsed:?}");
    assert!(parsed.items.is_sorted_by(|a, b| a.key < b.key), "{parsed:?}");
    assert!(!parsed.items.iter().any(|session| session.name.is_empty()), "{parsed:?}");
    assert!(!parsed.problems.iter().any(|problem| problem.contains('\n')), "{parsed:?}");
    parsed.items.len()
}
