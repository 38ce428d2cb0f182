//! Query strings, strictly: what is not understood is refused, never ignored.
//!
//! In: a URI. Out: named values, a page size, a place to continue from. Holds no state.

use super::error::ApiError;
use crate::hub::filter::Invalid;
use axum::extract::Query;
use axum::http::{StatusCode, Uri};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use groundswell_core::id::Dim;

/// Rows in a page unless the client says otherwise.
pub const DEFAULT_LIMIT: usize = 100;
/// Most rows in a page.
pub const MAX_LIMIT: usize = 1000;

/// The parameters of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Params(Vec<(String, String)>);

impl Params {
    /// Reads the query string; every name must be one of `allowed`.
    ///
    /// # Errors
    /// 400 for a query string that cannot be decoded or an unknown name.
    pub fn parse(uri: &Uri, allowed: &[&str]) -> Result<Self, ApiError> {
        let params = Params::any(uri)?;
        params.only(allowed)?;
        Ok(params)
    }

    /// Reads the query string; which names there may be is for the caller to say.
    ///
    /// # Errors
    /// 400 for a query string that cannot be decoded.
    pub fn any(uri: &Uri) -> Result<Self, ApiError> {
        let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(uri).map_err(|error| {
            ApiError::new(
                StatusCode::BAD_REQUEST,
                "INVALID_QUERY",
                format!("The query string is malformed: {error}"),
            )
        })?;
        Ok(Params(pairs))
    }

    /// Refuses every name but these.
    ///
    /// # Errors
    /// 400 that names the first other one.
    pub fn only(&self, allowed: &[&str]) -> Result<(), ApiError> {
        match self.iter().find(|(name, _)| !allowed.contains(name)) {
            Some((name, value)) => Err(Invalid::unknown(name, value, allowed).into()),
            None => Ok(()),
        }
    }

    /// All pairs.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The value of a parameter that may be given once.
    ///
    /// # Errors
    /// 400 if it is given twice.
    pub fn one(&self, name: &str) -> Result<Option<&str>, ApiError> {
        let mut values = self.iter().filter(|(n, _)| *n == name).map(|(_, value)| value);
        let first = values.next();
        match values.next() {
            Some(second) => Err(Invalid::value(name, second, &["one value"]).into()),
            None => Ok(first),
        }
    }

    /// The page size.
    ///
    /// # Errors
    /// 400 unless it is a number within bounds.
    pub fn limit(&self) -> Result<usize, ApiError> {
        let Some(text) = self.one("limit")? else {
            return Ok(DEFAULT_LIMIT);
        };
        match text.parse() {
            Ok(limit) if (1..=MAX_LIMIT).contains(&limit) => Ok(limit),
            _ => Err(Invalid::value("limit", text, &[&format!("1 to {MAX_LIMIT}")]).into()),
        }
    }

    /// Where to continue: what [`encode_cursor`] gave for the same listing, `N` bytes long.
    ///
    /// # Errors
    /// 400 for anything else.
    pub fn cursor<const N: usize>(&self, listing: &str) -> Result<Option<[u8; N]>, ApiError> {
        cursor_place(listing, self.one("cursor")?)
    }
}

/// The place that a cursor of a listing stands for.
///
/// # Errors
/// 400 for anything else.
pub fn cursor_place<const N: usize>(listing: &str, cursor: Option<&str>) -> Result<Option<[u8; N]>, ApiError> {
    // The empty one is what comes before the first page.
    let Some(text) = cursor.filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let decoded = URL_SAFE_NO_PAD.decode(text).ok();
    let place = decoded.as_deref().and_then(|bytes| bytes.strip_prefix(&tag(listing)));
    match place.and_then(|place| place.try_into().ok()) {
        Some(place) => Ok(Some(place)),
        None => Err(Invalid::value("cursor", text, &["next_cursor of the previous page of this listing"]).into()),
    }
}

/// A place in a listing as text. It is tied to the listing by a digest, so that a cursor of one is refused by another.
pub fn encode_cursor(listing: &str, place: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode([&tag(listing), place].concat())
}

fn tag(listing: &str) -> [u8; 8] {
    Dim::of(listing).0.to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(query: &str) -> Result<Params, ApiError> {
        let uri: Uri = format!("/x?{query}").parse().expect("uri");
        Params::parse(&uri, &["limit", "cursor", "order"])
    }

    #[test]
    fn limits_are_bounded_and_names_are_known() {
        assert_eq!(params("").and_then(|p| p.limit()), Ok(DEFAULT_LIMIT));
        assert_eq!(params("limit=1000").and_then(|p| p.limit()), Ok(1000));
        for bad in [
            "limit=0",
            "limit=1001",
            "limit=-1",
            "limit=",
            "limit=x",
            "limit=1&limit=2",
            "Limit=1",
        ] {
            let error = params(bad).and_then(|p| p.limit()).expect_err(bad);
            assert_eq!(
                (error.status, error.code),
                (StatusCode::BAD_REQUEST, "INVALID_PARAMETER"),
                "{bad}"
            );
        }
    }

    #[test]
    fn a_cursor_belongs_to_its_listing() {
        let cursor = encode_cursor("a", &[1, 2, 3]);
        let parsed = params(&format!("cursor={cursor}")).expect("known");
        assert_eq!(parsed.cursor::<3>("a"), Ok(Some([1, 2, 3])));
        assert!(parsed.cursor::<3>("b").is_err() && parsed.cursor::<4>("a").is_err());
        assert!(params("cursor=%FF").expect("decoded lossily").cursor::<3>("a").is_err());
    }
}
