//! Keywords, events and feeds.

use super::super::pipeline::{FeedConfig, Pipeline};
use super::super::units::{show_duration, show_size};
use super::{Yaml, text};

impl Pipeline {
    pub(super) fn events(&self, out: &mut Yaml) {
        let list = |all: &[String]| {
            let all: Vec<String> = all.iter().map(|t| text(t)).collect();
            format!("[{}]", all.join(", "))
        };
        if !self.keywords.is_empty() {
            out.section(0, "keywords");
        }
        for keyword in &self.keywords {
            out.section(1, &keyword.id);
            out.line(2, "phrases", list(&keyword.phrases));
            if !keyword.exclude.is_empty() {
                out.line(2, "exclude", list(&keyword.exclude));
            }
        }
        let Some(events) = &self.graph.events else { return };
        let share = |ppm: i32| f64::from(ppm) / 1e6;
        out.section(0, "events");
        out.line(1, "context", events.context);
        out.line(1, "max_distance", events.max_distance);
        out.line(1, "min_confidence", share(events.min_confidence));
        out.line(
            1,
            "keep",
            events.keep.map_or_else(|| "forever".to_owned(), show_duration),
        );
        out.section(1, "stories");
        out.line(2, "within", show_duration(events.within));
        out.line(2, "similarity", share(events.similarity));
    }
}

impl Yaml {
    pub(super) fn feed(&mut self, feed: &FeedConfig) {
        self.line(2, "type", "feed");
        self.section(2, "feeds");
        for (name, url, interval) in &feed.feeds {
            self.line(
                3,
                name,
                format!("{{url: {}, interval: {}}}", text(url), show_duration(*interval)),
            );
        }
        let per = show_duration(feed.per_ms);
        self.line(2, "rate", format!("{{requests: {}, per: {per}}}", feed.requests));
        let (base, longest) = (show_duration(feed.base_ms), show_duration(feed.longest_ms));
        let attempts = feed.attempts;
        self.line(
            2,
            "retry",
            format!("{{attempts: {attempts}, base: {base}, longest: {longest}}}"),
        );
        let (failures, open) = (feed.failures, show_duration(feed.open_ms));
        self.line(2, "breaker", format!("{{failures: {failures}, open: {open}}}"));
        self.line(2, "timeout", show_duration(feed.timeout_ms));
        self.line(2, "max_bytes", show_size(feed.max_bytes));
    }
}
