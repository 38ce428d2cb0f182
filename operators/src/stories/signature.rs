//! What of a post tells whether it tells the same story as another: pure.
//!
//! In: an address and a title. Out: a digest of the address without what only tracks readers, and the title's shingles
//! (pairs of neighbouring words, letter case folded). Titles are alike if the shingles they share are at least `similarity`
//! of those that either has (Jaccard's index, in integers). Titles of fewer than four words say too little to be compared.
//!
//! Two sets that alike share one of their first `n − ⌈similarity · n⌉ + 1` elements in any fixed order; these are the keys
//! under which a signature is found, so that nothing alike is missed.

use crate::matcher::fold::{fold, is_word};
use groundswell_core::id::Dim;
use serde::{Deserialize, Serialize};
use url::Url;

/// Fewest words of a title that is compared.
const WORDS: usize = 4;
/// Most shingles of a title that is compared: more are no title.
const MOST: usize = 200;
/// Parameters of addresses that say where a reader came from.
const TRACKING: [&str; 12] = [
    "fbclid", "gclid", "dclid", "msclkid", "igshid", "mc_cid", "mc_eid", "ref", "ref_src", "cmpid", "smid", "ocid",
];
/// Beginnings of such parameters.
const TRACKING_PREFIX: [&str; 2] = ["utm_", "at_"];

/// See the module documentation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Signature {
    /// Digest of the address, or [`Dim::NONE`].
    url: Dim,
    /// Digests of the title's shingles, ascending.
    shingles: Vec<u64>,
    /// The first so many of them are keys.
    prefix: usize,
}

impl Signature {
    /// The signature of a post; `similarity` in ppm, above 0.
    pub fn of(url: &str, title: &str, similarity: i32) -> Self {
        let shingles = shingles(title);
        let needed = ceiling(shingles.len(), similarity);
        Signature {
            url: canonical(url).map_or(Dim::NONE, |url| Dim::of(&url)),
            prefix: if shingles.is_empty() {
                0
            } else {
                shingles.len() - needed + 1
            },
            shingles,
        }
    }

    /// Whether nothing can be like it.
    pub fn is_empty(&self) -> bool {
        self.url == Dim::NONE && self.shingles.is_empty()
    }

    /// Two signatures that are alike have one of these in common.
    pub fn keys(&self) -> impl Iterator<Item = (bool, u64)> + '_ {
        let url = (self.url != Dim::NONE).then_some((true, self.url.0));
        url.into_iter()
            .chain(self.shingles.iter().take(self.prefix).map(|s| (false, *s)))
    }

    /// Whether two posts tell the same; `similarity` as both were made with.
    pub fn is_like(&self, other: &Signature, similarity: i32) -> bool {
        if self.url != Dim::NONE && self.url == other.url {
            return true;
        }
        let (a, b) = (&self.shingles, &other.shingles);
        if a.is_empty() || b.is_empty() {
            return false;
        }
        let shared = a.iter().filter(|s| b.binary_search(s).is_ok()).count();
        let all = a.len() + b.len() - shared;
        ppm(shared) * 1_000_000 >= i64::from(similarity) * ppm(all)
    }
}

fn ppm(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX / 2_000_000)
}

/// ⌈similarity · n⌉, between 1 and n.
fn ceiling(n: usize, similarity: i32) -> usize {
    let share = ppm(n) * i64::from(similarity);
    let up = (share + 999_999) / 1_000_000;
    usize::try_from(up).unwrap_or(n).clamp(1, n.max(1))
}

fn shingles(title: &str) -> Vec<u64> {
    let folded = fold(title);
    let words: Vec<&str> = folded.split(|c: char| !is_word(c)).filter(|w| !w.is_empty()).collect();
    if words.len() < WORDS || words.len() > MOST {
        return Vec::new();
    }
    let mut all: Vec<u64> = words.windows(2).map(|pair| Dim::of(&pair.join(" ")).0).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// An address without scheme, `www.`, fragment, tracking parameters and trailing slash, its parameters sorted. `None` if it
/// is no web address, or that of a whole site.
pub fn canonical(url: &str) -> Option<String> {
    let url = Url::parse(url.trim()).ok()?;
    if !matches!(url.scheme(), "http" | "https") {
        return None;
    }
    let host = url.host_str()?;
    let host = host.strip_prefix("www.").unwrap_or(host);
    let tracks = |name: &str| TRACKING.contains(&name) || TRACKING_PREFIX.iter().any(|p| name.starts_with(p));
    let query = url.query_pairs().filter(|(name, _)| !tracks(name));
    let mut query: Vec<(String, String)> = query.map(|(n, v)| (n.into_owned(), v.into_owned())).collect();
    query.sort_unstable();
    let path = url.path().trim_end_matches('/');
    if path.is_empty() && query.is_empty() {
        return None;
    }
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let query: Vec<String> = query.iter().map(|(n, v)| format!("{n}={v}")).collect();
    Some(format!("{host}{port}{path}?{}", query.join("&")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_address_is_the_same_however_readers_came_to_it() {
        let same = [
            "https://www.example.com/a/b/?utm_source=x&id=7",
            "http://EXAMPLE.com:80/a/b?id=7#top",
            "https://example.com/a/b?fbclid=1&id=7&utm_medium=rss",
        ];
        let all: Vec<_> = same.iter().map(|url| canonical(url)).collect();
        assert_eq!(all[0].as_deref(), Some("example.com/a/b?id=7"));
        assert!(all.iter().all(|url| *url == all[0]), "{all:?}");
        for none in [
            "",
            "example.com/a",
            "https://example.com/",
            "https://www.example.com",
            "mailto:a@b.c",
        ] {
            assert_eq!(canonical(none), None, "{none}");
        }
        assert_ne!(
            canonical("https://example.com/a?id=7"),
            canonical("https://example.com/a?id=8")
        );
    }

    #[test]
    fn titles_are_alike_by_the_pairs_of_words_they_share() {
        let like = |a: &str, b: &str| {
            let of = |title| Signature::of("", title, 600_000);
            of(a).is_like(&of(b), 600_000)
        };
        let title = "Celo to be fastest EVM chain by end of 2022";
        assert!(like(title, "CELO To Be Fastest EVM Chain by End of 2022!"));
        assert!(like(
            title,
            "Celo to be fastest EVM chain by end of 2022, co-founder says"
        ));
        assert!(!like(title, "Solana to be slowest EVM chain by end of the year"));
        assert!(
            !like("Market update today", "Market update today"),
            "three words say too little"
        );
        assert!(Signature::of("", "Market update today", 600_000).is_empty());
    }

    proptest! {
        #[test]
        fn what_is_alike_is_found(
            a in prop::collection::vec(0..8_u8, 4..12), b in prop::collection::vec(0..8_u8, 4..12),
            similarity in 100_000..=1_000_000_i32,
        ) {
            let title = |words: &[u8]| words.iter().map(|w| format!("w{w} ")).collect::<String>();
            let (x, y) = (Signature::of("", &title(&a), similarity), Signature::of("", &title(&b), similarity));
            let pairs = |w: &[u8]| w.windows(2).map(|p| (p[0], p[1])).collect::<std::collections::BTreeSet<_>>();
            let (p, q) = (pairs(&a), pairs(&b));
            let alike = p.intersection(&q).count() as i64 * 1_000_000 >= p.union(&q).count() as i64 * i64::from(similarity);
            prop_assert_eq!(x.is_like(&y, similarity), alike);
            let keys: Vec<_> = y.keys().collect();
            prop_assert!(!alike || x.keys().any(|k| keys.contains(&k)));
        }
    }
}
