//! How many events each client may send.

use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU32;
use std::time::Duration;

use axum::http::StatusCode;
use governor::clock::{Clock, DefaultClock};
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};

use crate::problem::Problem;

/// How many seconds' worth of events may come at once.
const BURST_SECONDS: u32 = 10;
/// How many clients are told apart; those that come while so many are busy share one allowance.
const CLIENTS_MAX: usize = 1_024;
/// Whose allowance the others share: nobody's address.
const THE_OTHERS: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// The allowances of the clients.
pub(crate) struct Rates(Option<Limiter>);

struct Limiter {
    clients: RateLimiter<IpAddr, HashMapStateStore<IpAddr>, DefaultClock>,
    clock: DefaultClock,
    rate: NonZeroU32,
    burst: NonZeroU32,
}

impl Rates {
    pub(crate) fn new(rate: Option<NonZeroU32>) -> Self {
        Self(rate.map(|rate| {
            let burst = rate.saturating_mul(NonZeroU32::MIN.saturating_add(BURST_SECONDS - 1));
            let quota = Quota::per_second(rate).allow_burst(burst);
            Limiter { clients: RateLimiter::hashmap(quota), clock: DefaultClock::default(), rate, burst }
        }))
    }

    /// Takes so many events off a client's allowance.
    ///
    /// NOTE: a request that has more than a full allowance takes all of it, and so has to wait for a full one: no
    /// request that the limits allow is refused for ever.
    pub(crate) fn admit(&self, client: IpAddr, events: usize) -> Result<(), Problem> {
        let Some(limiter) = &self.0 else { return Ok(()) };
        let events = u32::try_from(events).unwrap_or(u32::MAX).min(limiter.burst.get());
        let Some(events) = NonZeroU32::new(events) else { return Ok(()) };
        match limiter.clients.check_key_n(&limiter.known(client), events) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(not_yet)) => Err(limiter.refused(not_yet.wait_time_from(limiter.clock.now()))),
            Err(_) => Err(limiter.refused(Duration::from_secs(u64::from(BURST_SECONDS)))),
        }
    }
}

impl Limiter {
    fn known(&self, client: IpAddr) -> IpAddr {
        if self.clients.len() >= CLIENTS_MAX {
            self.clients.retain_recent();
        }
        if self.clients.len() >= CLIENTS_MAX { THE_OTHERS } else { client }
    }

    fn refused(&self, wait: Duration) -> Problem {
        let detail = format!(
            "more than {} events a second (setting server.rate): nothing of this request was recorded; send it again \
             later",
            self.rate
        );
        Problem::later(StatusCode::TOO_MANY_REQUESTS, detail, wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
    const OTHER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

    #[test]
    fn each_client_has_ten_seconds_worth_and_a_larger_request_takes_it_all() {
        let rates = Rates::new(NonZeroU32::new(1));
        assert_eq!(rates.admit(ONE, 7), Ok(()));
        assert_eq!(rates.admit(ONE, 0), Ok(()));
        let refused = rates.admit(ONE, 1_000_000).unwrap_err();
        assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
        let wait = refused.retry_after.unwrap();
        assert!(wait > Duration::ZERO && wait <= Duration::from_secs(7), "{wait:?}");
        assert_eq!(rates.admit(OTHER, 1_000_000), Ok(()));
        assert!(rates.admit(OTHER, 1).is_err());
        assert_eq!(Rates::new(None).admit(ONE, usize::MAX), Ok(()));
    }

    #[test]
    fn clients_are_bounded() {
        let rates = Rates::new(NonZeroU32::new(1));
        let client = |number: u32| IpAddr::V4(Ipv4Addr::from(0x7f00_0001 + number));
        for number in 0..3_000 {
            let _ = rates.admit(client(number), 10);
        }
        assert!(rates.0.unwrap().clients.len() <= CLIENTS_MAX + 1);
    }
}
