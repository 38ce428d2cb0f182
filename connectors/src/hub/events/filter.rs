//! Which keyword events a reader wants.
//!
//! In: pairs of names and values, from a query string, a body or a subscription. Out: a filter, or an [`Invalid`] that names the
//! parameter and what is allowed. Without a word said, what an exclusion suppresses and what repeats another post's story are
//! left out. Holds no state.

use crate::hub::filter::{Invalid, TIMES, parse_time};
use groundswell_core::id::Dim;
use groundswell_core::keywords::KeywordEvent;
use groundswell_core::spec::GroupColumn;
use groundswell_core::time::EventTime;

/// Most values of one name.
const VALUES: usize = 256;

/// Which events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// In small letters.
    companies: Vec<String>,
    keywords: Vec<String>,
    sources: Vec<String>,
    /// ppm.
    least: Option<i32>,
    since: Option<EventTime>,
    until: Option<EventTime>,
    suppressed: Option<bool>,
    duplicates: Option<bool>,
    /// The column that holds tenants, and the tenant.
    only: Option<(GroupColumn, Dim)>,
}

impl EventFilter {
    /// The names it may use.
    pub const PARAMETERS: [&'static str; 8] = [
        "company",
        "keyword",
        "source",
        "confidence_min",
        "since",
        "until",
        "suppressed",
        "duplicates",
    ];

    /// Adds a value; several companies, keywords or sources are alternatives, the others are given once.
    ///
    /// # Errors
    /// [`Invalid`] for an unknown name or a value that cannot be used.
    pub fn add(&mut self, name: &str, value: &str) -> Result<(), Invalid> {
        match name {
            "company" => another(&mut self.companies, name, value.to_lowercase()),
            "keyword" => another(&mut self.keywords, name, value.to_owned()),
            "source" => another(&mut self.sources, name, value.to_owned()),
            "confidence_min" => once(&mut self.least, name, value, share(value), &["0 to 1"]),
            "since" => once(&mut self.since, name, value, parse_time(value), &TIMES),
            "until" => once(&mut self.until, name, value, parse_time(value), &TIMES),
            "suppressed" => once(&mut self.suppressed, name, value, flag(value), &["true", "false"]),
            "duplicates" => once(&mut self.duplicates, name, value, flag(value), &["true", "false"]),
            _ => Err(Invalid::unknown(name, value, &Self::PARAMETERS)),
        }
    }

    /// Leaves events with this value in the column that holds tenants; none, if events do not have that column.
    pub fn only(&mut self, column: GroupColumn, tenant: Dim) {
        self.only = Some((column, tenant));
    }

    /// Whether nothing was said.
    pub fn is_empty(&self) -> bool {
        *self == EventFilter::default()
    }

    /// Whether an event matches.
    pub fn event(&self, event: &KeywordEvent) -> bool {
        let among = |names: &[String], name: &str| names.is_empty() || names.iter().any(|n| n == name);
        let company = || {
            let named = [event.company.as_deref(), event.entity.as_deref()];
            let mut named = named.into_iter().flatten().map(str::to_lowercase);
            named.any(|name| self.companies.contains(&name))
        };
        let own = |(column, tenant)| match column {
            GroupColumn::Source => event.source.1 == tenant,
            GroupColumn::Entity => event.entity_dim == tenant,
            _ => false,
        };
        self.only.is_none_or(own)
            && self.least.is_none_or(|least| event.confidence >= least)
            && self.since.is_none_or(|since| event.created_at >= since)
            && self.until.is_none_or(|until| event.created_at < until)
            && (self.suppressed == Some(true) || event.suppressed_by.is_none())
            && (self.duplicates == Some(true) || event.duplicate_of.is_none())
            && among(&self.keywords, &event.keyword)
            && among(&self.sources, &event.source.0)
            && (self.companies.is_empty() || company())
    }
}

fn another(list: &mut Vec<String>, name: &str, value: String) -> Result<(), Invalid> {
    if list.len() == VALUES {
        return Err(Invalid::value(name, &value, &[&format!("at most {VALUES} values")]));
    }
    list.push(value);
    Ok(())
}

fn once<T>(slot: &mut Option<T>, name: &str, value: &str, read: Option<T>, allowed: &[&str]) -> Result<(), Invalid> {
    if slot.is_some() {
        return Err(Invalid::value(name, value, &["one value"]));
    }
    *slot = read;
    match slot {
        Some(_) => Ok(()),
        None => Err(Invalid::value(name, value, allowed)),
    }
}

#[allow(clippy::cast_possible_truncation)] // in [0, 1]
fn share(text: &str) -> Option<i32> {
    let share: f64 = text.parse().ok()?;
    (0.0..=1.0).contains(&share).then(|| (share * 1e6).round() as i32)
}

fn flag(text: &str) -> Option<bool> {
    text.parse().ok()
}
