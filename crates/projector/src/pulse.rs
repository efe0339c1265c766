//! What the projector knows of its own pace: how old the oldest event before the live lane is, how many events a
//! second it sends, and whether it gets on at all.
//!
//! All of it is derived from commits, and from nothing that a lane believes: a lane that waits in a COPY to a server
//! that does not answer, believes that it is well.

use std::collections::VecDeque;
use std::time::Duration;

use event::Position;
use tokio::time::Instant;

use crate::target::LaneName;

/// How often the head is looked at.
pub(crate) const LOOK_INTERVAL: Duration = Duration::from_millis(250);
/// Over how long a rate is measured.
const RATE_WINDOW: Duration = Duration::from_secs(10);
/// The most looks that are remembered: a lag of more than a minute and a half is known to be at least that.
const LOOKS_MAX: usize = 400;

/// Looks at the head, and commits.
#[derive(Debug)]
pub(crate) struct Pulse {
    /// Heads that the live lane has not reached, and when each was first seen.
    ahead: VecDeque<(Position, Instant)>,
    /// Events sent until then.
    sent: VecDeque<(Instant, u64)>,
    /// Since when the live lane has work, and has committed nothing of it.
    live_idle: Option<Instant>,
    /// The same of the backlog lanes together. NOTE: apart, so that a live lane that is well does not hide that
    /// nothing else gets on.
    backlog_idle: Option<Instant>,
}

impl Pulse {
    pub(crate) fn new() -> Self {
        Self { ahead: VecDeque::new(), sent: VecDeque::new(), live_idle: None, backlog_idle: None }
    }

    /// The log ends before `head`; the live lane is at `live`; `sent` events were sent so far.
    pub(crate) fn look(&mut self, now: Instant, head: Position, live: Option<Position>, sent: u64) {
        self.reached(live);
        let is_new = self.ahead.back().is_none_or(|(last, _)| *last < head);
        if is_new && live.is_none_or(|live| live < head) && self.ahead.len() < LOOKS_MAX {
            self.ahead.push_back((head, now));
        }
        self.sent.push_back((now, sent));
        while self.sent.front().is_some_and(|(at, _)| now.duration_since(*at) > RATE_WINDOW) {
            self.sent.pop_front();
        }
    }

    /// Whether there is work to do now: for the live lane, and for the others.
    pub(crate) fn has_work(&mut self, now: Instant, live: bool, backlog: bool) {
        for (has_work, idle) in [(live, &mut self.live_idle), (backlog, &mut self.backlog_idle)] {
            *idle = has_work.then(|| idle.unwrap_or(now));
        }
    }

    /// A lane has committed what moves its range.
    pub(crate) fn committed(&mut self, lane: LaneName, now: Instant) {
        let idle = match lane {
            LaneName::Live => &mut self.live_idle,
            LaneName::Backlog(_) => &mut self.backlog_idle,
        };
        *idle = idle.map(|_| now);
    }

    /// What has kept every lane from its work is over.
    pub(crate) fn resumed(&mut self, now: Instant) {
        self.live_idle = self.live_idle.map(|_| now);
        self.backlog_idle = self.backlog_idle.map(|_| now);
    }

    /// The live lane is here now.
    pub(crate) fn reached(&mut self, live: Option<Position>) {
        while self.ahead.front().is_some_and(|(head, _)| live.is_some_and(|live| live >= *head)) {
            self.ahead.pop_front();
        }
    }

    /// How long the oldest event that the live lane has not applied has been waiting; zero when there is none.
    pub(crate) fn live_lag(&self, now: Instant) -> Duration {
        self.ahead.front().map_or(Duration::ZERO, |(_, since)| now.duration_since(*since))
    }

    /// Events sent in a second, lately.
    pub(crate) fn rate(&self) -> u64 {
        let (Some((from, before)), Some((to, after))) = (self.sent.front(), self.sent.back()) else {
            return 0;
        };
        let millis = to.duration_since(*from).as_millis().max(1);
        u64::try_from(u128::from(after.saturating_sub(*before)) * 1_000 / millis).unwrap_or(u64::MAX)
    }

    /// For how long nothing was committed though there is work.
    pub(crate) fn stalled(&self, now: Instant) -> Duration {
        let since = [self.live_idle, self.backlog_idle].into_iter().flatten().min();
        since.map_or(Duration::ZERO, |since| now.duration_since(since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many milliseconds behind `from`.
    fn at(from: Instant, millis: u64) -> Instant {
        from + Duration::from_millis(millis)
    }

    #[test]
    fn the_lag_is_the_age_of_the_oldest_look_that_was_not_reached() {
        let (mut pulse, start) = (Pulse::new(), Instant::now());
        let lag = |pulse: &Pulse, millis| pulse.live_lag(at(start, millis)).as_millis();
        pulse.look(start, Position(10), Some(Position(10)), 0);
        assert_eq!(lag(&pulse, 5_000), 0, "at the head");
        pulse.look(at(start, 1_000), Position(20), Some(Position(10)), 0);
        pulse.look(at(start, 2_000), Position(30), Some(Position(15)), 5);
        assert_eq!(lag(&pulse, 2_500), 1_500);
        pulse.reached(Some(Position(20)));
        assert_eq!(lag(&pulse, 2_500), 500);
        pulse.reached(Some(Position(31)));
        assert_eq!(lag(&pulse, 9_000), 0);
    }

    #[test]
    fn a_head_that_stands_still_is_looked_at_once() {
        let (mut pulse, start) = (Pulse::new(), Instant::now());
        for second in 0..3_600 {
            pulse.look(at(start, second * 1_000), Position(20), Some(Position(10)), 0);
        }
        assert_eq!(pulse.ahead.len(), 1);
        assert!(pulse.sent.len() <= 11);
    }

    #[test]
    fn the_rate_is_that_of_the_last_seconds() {
        let (mut pulse, start) = (Pulse::new(), Instant::now());
        for second in 0..60 {
            pulse.look(at(start, second * 1_000), Position(1), None, second * 100);
        }
        assert_eq!(pulse.rate(), 100);
    }

    #[test]
    fn only_commits_end_a_stall() {
        let (mut pulse, start) = (Pulse::new(), Instant::now());
        let stalled = |pulse: &Pulse, millis| pulse.stalled(at(start, millis)).as_millis();
        pulse.has_work(start, false, false);
        assert_eq!(stalled(&pulse, 60_000), 0);
        pulse.has_work(at(start, 60_000), true, false);
        pulse.has_work(at(start, 70_000), true, true);
        assert_eq!(stalled(&pulse, 80_000), 20_000);
        pulse.committed(LaneName::Live, at(start, 80_000));
        assert_eq!(stalled(&pulse, 81_000), 11_000, "the others have committed nothing");
        pulse.committed(LaneName::Backlog(2), at(start, 81_000));
        assert_eq!(stalled(&pulse, 82_000), 2_000);
        pulse.resumed(at(start, 85_000));
        assert_eq!(stalled(&pulse, 86_000), 1_000);
        pulse.has_work(at(start, 86_000), false, false);
        assert_eq!(stalled(&pulse, 99_000), 0);
    }
}
