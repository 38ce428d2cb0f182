//! Keyword events as they are served: digests and positions of the graph, with the strings behind them.
//!
//! In: what the graph put out for a tick. Out: for each event that changed what it is now, ordered by id. State: none; texts
//! and names are those of the engine. A text that cannot be read back leaves an event without words, and is logged.

use super::Shared;
use groundswell_core::id::{Dim, PostKey, TextKey};
use groundswell_core::keywords::{EventChange, KeywordEvent, characters, url_and_title};
use groundswell_operators::keywords::events::Event;
use groundswell_operators::keywords::searched_text;
use groundswell_operators::link::FetchText;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Where the strings are.
pub(crate) struct Strings {
    shared: Shared,
    fetch: FetchText,
}

impl Strings {
    pub(crate) fn new(shared: &Shared) -> Self {
        let texts = Arc::clone(&shared.texts);
        let fetch = move |key: TextKey| match texts.get(key) {
            Ok(text) => text,
            Err(error) => {
                tracing::error!(%error, "could not read back the text of a keyword event");
                None
            }
        };
        Strings {
            shared: shared.clone(),
            fetch: Arc::new(fetch),
        }
    }

    /// What changed, of a whole tick.
    pub(crate) fn told(&self, changes: Vec<(Event, isize)>) -> Vec<EventChange> {
        let mut last = BTreeMap::<u128, (Option<Event>, bool)>::new();
        for (event, diff) in changes {
            let (now, was_news) = last.entry(event.id()).or_default();
            if diff > 0 {
                *now = Some(event);
            } else {
                *was_news = event.is_news();
            }
        }
        let change = |(id, (event, was_news)): (u128, (Option<Event>, bool))| EventChange {
            id,
            event: event.map(|event| Arc::new(self.words(&event))),
            was_news,
        };
        last.into_iter().map(change).collect()
    }

    fn words(&self, event: &Event) -> KeywordEvent {
        let found = &event.hit.found;
        let (text, about) = searched_text(&self.fetch, event.hit.text, event.hit.about);
        let (url, title) = about.as_deref().map(url_and_title).unwrap_or_default();
        let some = |text: &str| (!text.is_empty()).then(|| Arc::from(text));
        KeywordEvent {
            post: self.id(event.post),
            keyword: self.name(found.keyword).unwrap_or_default(),
            entity: self.name(found.entity),
            company: self.name(found.company),
            matched: characters(&text, found.span).into(),
            span: found.span,
            context: characters(&text, found.context).into(),
            confidence: found.confidence,
            suppressed_by: self.name(found.suppressed_by),
            story: self.id(event.story),
            duplicate_of: event.duplicate_of(),
            source: (self.name(event.hit.source).unwrap_or_default(), event.hit.source),
            entity_dim: found.entity,
            title: some(title),
            url: some(url),
            created_at: event.hit.created_at,
        }
    }

    fn name(&self, dim: Dim) -> Option<Arc<str>> {
        (dim != Dim::NONE).then(|| self.shared.names.get(dim)).flatten()
    }

    fn id(&self, post: PostKey) -> Arc<str> {
        self.shared
            .post_id(post)
            .unwrap_or_else(|| format!("key:{post}").into())
    }
}
