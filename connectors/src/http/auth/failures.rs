//! Wrong credentials, by address.
//!
//! In: refusals, and where they go. Out: the refusal, or 429 once an address has had too many. State: a token bucket per
//! address that failed lately. A good credential is let in whatever its address did: there is nothing to guess in a key of
//! 256 random bits or in a signature, and behind a proxy many share one address, so that shutting it out would be a way to
//! shut out others.

use super::ApiError;
use axum::http::StatusCode;
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Wrong tries at once; in the long run one a second.
const BURST: NonZeroU32 = NonZeroU32::new(100).expect("not zero");
/// Buckets that are full again are thrown away after so many tries.
const TIDY: usize = 1_024;

pub(super) struct Failures {
    buckets: DefaultKeyedRateLimiter<Option<IpAddr>>,
    clock: DefaultClock,
    seen: AtomicUsize,
}

impl Default for Failures {
    fn default() -> Self {
        Failures {
            buckets: RateLimiter::keyed(Quota::per_second(NonZeroU32::MIN).allow_burst(BURST)),
            clock: DefaultClock::default(),
            seen: AtomicUsize::new(0),
        }
    }
}

impl Failures {
    /// Counts a refusal for its credential; others are handed on.
    pub(super) fn count(&self, refusal: ApiError, peer: Option<IpAddr>) -> ApiError {
        if refusal.status != StatusCode::UNAUTHORIZED {
            return refusal;
        }
        if self.seen.fetch_add(1, Ordering::Relaxed) % TIDY == TIDY - 1 {
            self.buckets.retain_recent();
        }
        match self.buckets.check_key(&peer.map(network)) {
            Ok(()) => refusal,
            Err(not_until) => {
                let wait = not_until.wait_time_from(self.clock.now());
                let message = "Too many wrong credentials from this address";
                ApiError::new(StatusCode::TOO_MANY_REQUESTS, "RATE_LIMITED", message)
                    .retry_after(wait.as_secs() + u64::from(wait.subsec_nanos() > 0))
            }
        }
    }
}

/// Whoever has one IPv6 address has the 2^64 of its network.
fn network(peer: IpAddr) -> IpAddr {
    match peer {
        IpAddr::V4(_) => peer,
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{forbidden, unauthenticated};
    use super::*;

    #[test]
    fn an_address_runs_out_of_wrong_tries() {
        let failures = Failures::default();
        let from = |text: &str| Some(text.parse().expect("an address"));
        let status = |peer| failures.count(unauthenticated("no"), peer).status.as_u16();
        for i in 0..BURST.get() {
            assert_eq!(status(from("10.0.0.1")), 401, "{i}");
        }
        let refused = failures.count(unauthenticated("no"), from("10.0.0.1"));
        assert_eq!((refused.status.as_u16(), refused.retry_after), (429, Some(1)));
        assert_eq!(status(from("10.0.0.2")), 401);
        // A role that does not suffice is no wrong credential.
        assert_eq!(failures.count(forbidden("no"), from("10.0.0.1")).status.as_u16(), 403);
        for i in 0..BURST.get() {
            assert_eq!(status(from(&format!("2001:db8::{i:x}"))), 401);
        }
        assert_eq!(status(from("2001:db8::ffff")), 429, "one network, many addresses");
        assert_eq!(status(from("2001:db8:0:1::1")), 401);
    }
}
