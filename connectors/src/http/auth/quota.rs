//! How often somebody may ask: a token bucket per principal, or per address where nobody is known.

use super::{ApiError, Principal};
use axum::http::StatusCode;
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, RateLimiter};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Buckets that are full again are thrown away after so many requests.
const TIDY: usize = 4_096;

/// Requests that are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// A second, in the long run.
    pub per_second: NonZeroU32,
    /// At once.
    pub burst: NonZeroU32,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Who {
    Named(std::sync::Arc<str>),
    From(Option<IpAddr>),
}

/// The buckets.
pub(in crate::http) struct Limiter {
    buckets: DefaultKeyedRateLimiter<Who>,
    clock: DefaultClock,
    asked: AtomicUsize,
}

impl Limiter {
    pub(in crate::http) fn new(quota: Quota) -> Self {
        let rate = governor::Quota::per_second(quota.per_second).allow_burst(quota.burst);
        Limiter {
            buckets: RateLimiter::keyed(rate),
            clock: DefaultClock::default(),
            asked: AtomicUsize::new(0),
        }
    }

    /// Takes a token.
    ///
    /// # Errors
    /// 429 with the seconds to wait if there is none.
    pub(super) fn take(&self, principal: &Principal, peer: Option<IpAddr>) -> Result<(), ApiError> {
        let who = match &*principal.name {
            "anonymous" => Who::From(peer),
            _ => Who::Named(principal.name.clone()),
        };
        if self.asked.fetch_add(1, Ordering::Relaxed) % TIDY == TIDY - 1 {
            self.buckets.retain_recent();
        }
        self.buckets.check_key(&who).map_err(|not_until| {
            let wait = not_until.wait_time_from(self.clock.now());
            let message = "More requests than the quota allows";
            ApiError::new(StatusCode::TOO_MANY_REQUESTS, "RATE_LIMITED", message)
                .retry_after(wait.as_secs() + u64::from(wait.subsec_nanos() > 0))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::Role;
    use super::*;

    #[test]
    fn one_does_not_use_up_what_is_anothers() {
        let one = NonZeroU32::MIN;
        let limiter = Limiter::new(Quota {
            per_second: one,
            burst: one.saturating_add(1),
        });
        let named = |name: &str| Principal {
            name: name.into(),
            role: Role::Read,
            tenant: None,
            expires: None,
        };
        let peer = |last| Some(IpAddr::from([10, 0, 0, last]));
        assert!(limiter.take(&named("a"), None).is_ok() && limiter.take(&named("a"), peer(1)).is_ok());
        let refused = limiter.take(&named("a"), None).expect_err("the third");
        assert_eq!((refused.status.as_u16(), refused.retry_after), (429, Some(1)));
        assert!(limiter.take(&named("b"), None).is_ok());
        // Without a name it is the address that counts.
        for _ in 0..2 {
            assert!(limiter.take(&named("anonymous"), peer(1)).is_ok());
        }
        assert!(limiter.take(&named("anonymous"), peer(1)).is_err());
        assert!(limiter.take(&named("anonymous"), peer(2)).is_ok());
    }
}
