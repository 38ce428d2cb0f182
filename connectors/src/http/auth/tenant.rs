//! What a tenant sees.
//!
//! A view without the tenant column mixes tenants, so that for somebody with a tenant it is not there; of the others they see
//! the rows with their own value of the column. Posts and alerts go by the same column.

use super::Principal;
use crate::http::App;
use crate::hub::events::filter::EventFilter;
use crate::hub::filter::{AlertFilter, Filter};
use crate::hub::{Feed, Hub};
use groundswell_core::id::Dim;
use groundswell_core::serving::{AlertChange, LivePost};
use groundswell_core::spec::{GroupColumn, ViewSpec};

/// A tenant and the column that holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::http) struct Tenancy {
    column: GroupColumn,
    tenant: Dim,
}

impl Principal {
    /// What the principal is restricted to, if to anything.
    pub(in crate::http) fn tenancy(&self, app: &App) -> Option<Tenancy> {
        let tenant = Dim::of(self.tenant.as_deref()?);
        // Who has a tenant where there is no such column was not let in.
        let column = app.auth.as_ref().and_then(|auth| auth.tenant)?;
        Some(Tenancy { column, tenant })
    }
}

impl Tenancy {
    /// Whether a view is there at all.
    pub(in crate::http) fn sees(&self, spec: &ViewSpec) -> bool {
        spec.group_by.contains(&self.column)
    }

    /// Whether a feed is.
    pub(in crate::http) fn sees_feed(&self, hub: &Hub, feed: Feed) -> bool {
        match feed {
            Feed::View(index) => hub.specs().get(index).is_some_and(|spec| self.sees(spec)),
            Feed::Posts | Feed::Alerts | Feed::Events => true,
        }
    }

    /// Narrows a filter on a view that the tenant sees.
    pub(in crate::http) fn rows(&self, spec: &ViewSpec, filter: &mut Filter) {
        filter.only(&spec.group_by, self.column, self.tenant);
    }

    /// Narrows a filter on posts.
    pub(in crate::http) fn posts(&self, filter: &mut Filter) {
        filter.only(&GroupColumn::OF_POSTS, self.column, self.tenant);
    }

    /// Narrows a filter on alerts.
    pub(in crate::http) fn alerts(&self, hub: &Hub, filter: &mut AlertFilter) {
        let slot = |spec: &ViewSpec| spec.group_by.iter().position(|c| *c == self.column);
        let slots = hub
            .specs()
            .iter()
            .filter_map(|s| Some((s.name.as_str().into(), slot(s)?)));
        filter.only(slots.collect(), self.tenant);
    }

    /// Whether a post is theirs.
    pub(in crate::http) fn owns_post(&self, post: &LivePost) -> bool {
        let mut own = Filter::default();
        self.posts(&mut own);
        own.post(post)
    }

    /// Narrows a filter on keyword events; to none, where the tenant is in a column that events do not have.
    pub(in crate::http) fn events(&self, filter: &mut EventFilter) {
        filter.only(self.column, self.tenant);
    }

    /// Whether an alert is theirs.
    pub(in crate::http) fn owns_alert(&self, hub: &Hub, alert: &AlertChange) -> bool {
        let mut own = AlertFilter::default();
        self.alerts(hub, &mut own);
        own.alert(alert)
    }

    /// Tells tags of one tenant's answers from those of others.
    pub(in crate::http) fn tag(&self) -> u64 {
        self.tenant.0
    }
}
