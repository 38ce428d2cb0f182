//! What a fold leaves out of the rows that are about something erased.
//!
//! *In*: rows of one object, and the subjects purged after they were recorded ([`Record::Purged`]). *Out*: the same rows, but a
//! post is its deletion, which has its id and its rank and nothing else; a tie of an erased user and what was known of an erased author
//! are left out, and an erased thread has no title. Rows about nothing erased are passed on as they are.

use super::decode::Rows;
use super::schema;
use crate::erasure::Subject;
use crate::record::{Envelope, Record, Thread};
use arrow_array::{BooleanArray, RecordBatch};
use hashbrown::{HashMap, HashSet};

/// Subjects, with the last object whose tick purged each.
#[derive(Default)]
pub(super) struct Purges(HashMap<Subject, u32>);

impl Purges {
    /// A purge, in the object with this number.
    pub(super) fn add(&mut self, object: u32, of: Subject) {
        self.0.insert(of, object);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether one of these was purged between the two objects, so that what the first has of it is no more when the second
    /// comes.
    pub(super) fn between(&self, of: &[Subject], first: u32, second: u32) -> bool {
        let mut at = of.iter().filter_map(|of| self.0.get(of));
        at.any(|at| (first..second).contains(at))
    }

    /// What was purged in this object or after it, and so goes for its rows.
    pub(super) fn since(&self, object: u32) -> HashSet<Subject> {
        let later = self.0.iter().filter(|(_, at)| **at >= object);
        later.map(|(of, _)| *of).collect()
    }
}

/// The rows without what was purged, in pieces to be written.
///
/// # Errors
/// A description, if a row is not a record.
pub(super) fn without(batch: RecordBatch, purged: &HashSet<Subject>) -> Result<Vec<RecordBatch>, String> {
    if purged.is_empty() {
        return Ok(vec![batch]);
    }
    let mut records = Vec::new();
    Rows::of(&batch)?.append_to(&mut records)?;
    let untouched: Vec<bool> = records
        .iter()
        .map(|envelope| !Subject::of_record(&envelope.record).any(|of| purged.contains(&of)))
        .collect();
    let left = records
        .into_iter()
        .zip(&untouched)
        .filter(|(_, untouched)| !**untouched)
        .filter_map(|(envelope, _)| left_of(envelope))
        .collect::<Vec<_>>();
    let mask = BooleanArray::from(untouched);
    let kept = arrow_select::filter::filter_record_batch(&batch, &mask).map_err(|e| e.to_string())?;
    Ok(vec![kept, schema::encode(&left, 0)?])
}

/// What stays of a record about something purged.
fn left_of(envelope: Envelope) -> Option<Envelope> {
    let record = match envelope.record {
        Record::Post(post) => Record::PostDeleted { id: post.id },
        Record::Thread(thread) => Record::Thread(Thread {
            title: String::new(),
            ..thread
        }),
        _ => return None,
    };
    Some(Envelope { record, ..envelope })
}
