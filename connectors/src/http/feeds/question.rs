//! What somebody wants to read: whose posts, in which order, and which not.

use super::one_of;
use crate::http::auth::Tenancy;
use crate::http::error::ApiError;
use crate::http::query::Params;
use crate::hub::feeds::rank::Algorithm;
use crate::hub::feeds::{Feeds, Scope};
use crate::hub::filter::{Filter, Invalid};
use crate::hub::posts::Entry;
use groundswell_core::id::{Dim, PostKey};
use groundswell_core::spec::GroupColumn;
use std::collections::BTreeSet;
use utoipa::{IntoParams, ToSchema};

/// The parameters of a feed.
pub(super) const NAMES: [&str; 10] = [
    "user",
    "algorithm",
    "scope",
    "mute",
    "source",
    "thread",
    "replies",
    "flagged",
    "limit",
    "cursor",
];

/// Most authors muted in one request.
const MOST_MUTES: usize = 500;

/// In which order, as it may be said.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[allow(dead_code)] // described, not read
pub(super) enum Order {
    /// Newest first.
    Chronological,
    /// Most likes + 2·comments + 3·reposts first.
    Engagement,
    /// By the mix of recency, engagement, affinity and the model.
    Ranked,
}

/// Whose posts.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[allow(dead_code)] // described, not read
pub(super) enum Whose {
    /// Those of whom the user follows.
    Following,
    /// Everybody's.
    Everyone,
}

/// Whether.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[allow(dead_code)] // described, not read
pub(super) enum Whether {
    /// They are in it.
    Show,
    /// They are not.
    Hide,
}

/// A feed.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code)] // described, not read
pub(super) struct Reading {
    /// Who reads.
    user: Option<String>,
    /// In which order.
    #[param(inline, default = "ranked")]
    algorithm: Option<Order>,
    /// Whose posts; `everyone` where nobody is said to read.
    #[param(inline)]
    scope: Option<Whose>,
    /// Authors whose posts are left out.
    mute: Option<Vec<String>>,
    /// Posts of this source; several are alternatives.
    source: Option<Vec<String>>,
    /// Posts of this thread; several are alternatives.
    thread: Option<Vec<String>>,
    /// Posts that reply to others.
    #[param(inline, default = "hide")]
    replies: Option<Whether>,
    /// Posts that the model calls toxic.
    #[param(inline, default = "show")]
    flagged: Option<Whether>,
    /// Posts in a page.
    #[param(minimum = 1, maximum = 1000, default = 20)]
    limit: Option<u32>,
    /// `next_cursor` of the previous page, with everything else as it was.
    cursor: Option<String>,
}

/// Posts of a user.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code)] // described, not read
pub(super) struct OfUser {
    /// Posts that reply to others.
    #[param(inline, default = "show")]
    replies: Option<Whether>,
    /// Posts that the model calls toxic.
    #[param(inline, default = "show")]
    flagged: Option<Whether>,
    /// Posts in a page.
    #[param(minimum = 1, maximum = 1000, default = 20)]
    limit: Option<u32>,
    /// `next_cursor` of the previous page.
    cursor: Option<String>,
}

/// What was done with a post.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code)] // described, not read
pub(super) struct OfPost {
    /// Users in a page.
    #[param(minimum = 1, maximum = 1000, default = 20)]
    limit: Option<u32>,
    /// `next_cursor` of the previous page.
    cursor: Option<String>,
}

const SHOW_OR_HIDE: [(&str, bool); 2] = [("show", true), ("hide", false)];

/// A feed that is asked for.
pub(super) struct Question {
    pub(super) user: Option<Dim>,
    pub(super) scope: Scope,
    pub(super) algorithm: Algorithm,
    mutes: BTreeSet<Dim>,
    filter: Filter,
    replies: bool,
    flagged: bool,
    tenancy: Option<Tenancy>,
    /// All of it as text, to tell questions apart.
    listing: String,
}

impl Question {
    /// Reads a feed's parameters.
    ///
    /// # Errors
    /// 400 for one that is not understood.
    pub(super) fn parse(params: &Params, tenancy: Option<Tenancy>) -> Result<Self, ApiError> {
        let user = params.one("user")?;
        if let Some(empty) = user.filter(|user| user.is_empty()) {
            return Err(Invalid::value("user", empty, &["a user"]).into());
        }
        let user = user.map(Dim::of);
        let following = one_of(
            params,
            "scope",
            &[("following", true), ("everyone", false)],
            user.is_some(),
        )?;
        let scope = match (following, user) {
            (true, Some(user)) => Scope::FollowedBy(user),
            (true, None) => {
                return Err(Invalid::value("scope", "following", &["everyone, or with a user"]).into());
            }
            (false, _) => Scope::Everyone,
        };
        let algorithm = one_of(params, "algorithm", &Algorithm::ALL, Algorithm::Ranked)?;
        let muted = params.iter().filter(|(name, _)| *name == "mute");
        let mutes: BTreeSet<Dim> = muted.map(|(_, author)| Dim::of(author)).collect();
        if mutes.len() > MOST_MUTES {
            return Err(Invalid::value("mute", "…", &[&format!("at most {MOST_MUTES} authors")]).into());
        }
        let mut filter = Filter::default();
        for (name, value) in params.iter().filter(|(name, _)| matches!(*name, "source" | "thread")) {
            filter.column(&GroupColumn::GIVEN, name, Some(value).filter(|v| !v.is_empty()))?;
        }
        let mut question = Question {
            user,
            scope,
            algorithm,
            mutes,
            filter,
            replies: one_of(params, "replies", &SHOW_OR_HIDE, false)?,
            flagged: one_of(params, "flagged", &SHOW_OR_HIDE, true)?,
            tenancy,
            listing: String::new(),
        };
        question.name(params);
        Ok(question)
    }

    /// Reads what is asked of one author's posts.
    ///
    /// # Errors
    /// 400 for a parameter that is not understood.
    pub(super) fn of_author(params: &Params, author: &str, tenancy: Option<Tenancy>) -> Result<Self, ApiError> {
        let mut question = Question {
            user: None,
            scope: Scope::Of(Dim::of(author)),
            algorithm: Algorithm::Chronological,
            mutes: BTreeSet::new(),
            filter: Filter::default(),
            replies: one_of(params, "replies", &SHOW_OR_HIDE, true)?,
            flagged: one_of(params, "flagged", &SHOW_OR_HIDE, true)?,
            tenancy,
            listing: String::new(),
        };
        question.name(params);
        Ok(question)
    }

    fn name(&mut self, params: &Params) {
        let given = params.iter().filter(|(name, _)| matches!(*name, "source" | "thread"));
        let columns: BTreeSet<(&str, &str)> = given.collect();
        let (tenant, flags) = (self.tenancy.map(|tenancy| tenancy.tag()), (self.replies, self.flagged));
        let asked = (
            &self.user,
            &self.scope,
            self.algorithm,
            &self.mutes,
            columns,
            flags,
            tenant,
        );
        self.listing = format!("feed {asked:?}");
    }

    /// What a cursor and a kept order belong to.
    pub(super) fn listing(&self) -> String {
        self.listing.clone()
    }

    /// Whether a post is in the feed.
    pub(super) fn wants(&self, ties: &Feeds, key: PostKey, entry: &Entry) -> bool {
        let post = &entry.post;
        !self.mutes.contains(&post.author)
            && (self.flagged || !post.score.is_some_and(|score| score.is_toxic))
            && (self.replies || ties.hangs_on(key, false).is_none())
            && self.filter.post(post)
            && self.tenancy.is_none_or(|tenancy| tenancy.owns_post(post))
    }
}
