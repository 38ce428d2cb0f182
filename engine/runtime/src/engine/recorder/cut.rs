//! Batches of sources that are larger than a tick may be, cut into several.

use groundswell_core::record::{Binding, Envelope};
use groundswell_core::source::SourceBatch;
use std::collections::VecDeque;

/// Cuts a batch into pieces of at most so many records. A piece's position is that of the record after it, so that a crash
/// in between repeats nothing; where the batch says more than one position only the last piece moves them.
pub(super) fn cut(batch: SourceBatch, most: usize) -> VecDeque<SourceBatch> {
    let (source, mut records) = (batch.source, VecDeque::from(batch.records));
    let mut pieces = VecDeque::new();
    while records.len() > most {
        let piece: Vec<Envelope> = records.drain(..most).collect();
        let next = match (&batch.bindings[..], records.front()) {
            ([only], Some(first)) if only.partition == first.partition => Some(Binding {
                next: first.offset,
                ..*only
            }),
            _ => None,
        };
        pieces.push_back(SourceBatch {
            source,
            records: piece,
            bindings: next.into_iter().collect(),
            ..SourceBatch::default()
        });
    }
    pieces.push_back(SourceBatch {
        source,
        records: records.into(),
        bindings: batch.bindings,
        clock: batch.clock,
        finished: batch.finished,
    });
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use groundswell_core::record::Record;

    #[test]
    fn a_batch_is_cut_where_reading_may_go_on() {
        let envelope = |offset| Envelope {
            source: 3,
            partition: 0,
            offset,
            order: offset,
            record: Record::PostDeleted { id: String::new() },
        };
        let binding = |next| Binding {
            source: 3,
            partition: 0,
            next,
        };
        let batch = SourceBatch {
            source: 3,
            records: (0..5).map(|n| envelope(n * 10)).collect(),
            bindings: vec![binding(50)],
            clock: Some(7),
            finished: true,
        };
        let pieces = cut(batch.clone(), 2);
        let said: Vec<_> = pieces
            .iter()
            .map(|p| (p.records.len(), p.bindings.clone(), p.clock, p.finished))
            .collect();
        assert_eq!(
            said,
            [
                (2, vec![binding(20)], None, false),
                (2, vec![binding(40)], None, false),
                (1, vec![binding(50)], Some(7), true)
            ]
        );
        assert_eq!(
            Vec::from_iter(pieces.into_iter().flat_map(|p| p.records)),
            batch.records
        );
        let several = SourceBatch {
            bindings: vec![
                binding(50),
                Binding {
                    partition: 1,
                    ..binding(9)
                },
            ],
            ..batch
        };
        let pieces = cut(several.clone(), 4);
        assert!(pieces[0].bindings.is_empty() && pieces[1].bindings == several.bindings);
    }
}
