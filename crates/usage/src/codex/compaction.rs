//! Requests that shorten a session's context at the provider's, which the session's total leaves out.
//!
//! A `token_usage_record` tells any request's usage, with the id of its response; a `compacted` line names the
//! response that a compaction was. Only a request that both tell is one of these, and they come in either order.
//! Where the counts of a line in between have the request in them already, it is not one of these.

use serde::{Deserialize, Serialize};

use crate::codex::call::Found;
use crate::codex::counts::{Counted, Counts};

/// How many requests, and how many ids, are remembered: the other half comes within a few lines.
const REMEMBERED: usize = 8;

/// A request whose response may turn out to be a compaction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Request {
    /// The call that it is then.
    pub(super) call: Found,
    /// The session's total with it, where it was told.
    pub(super) total: Option<Counts>,
}

/// What is known of compactions, and is not yet both halves of one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Compactions {
    requests: Vec<Request>,
    /// Responses that were compactions, whose request has not come.
    named: Vec<String>,
    /// Responses that are counted.
    settled: Vec<String>,
}

impl Compactions {
    /// Takes a request; the call, when it was a compaction.
    pub(super) fn request(&mut self, request: Request) -> Option<Found> {
        let id = &request.call.id;
        if self.settled.contains(id) || self.requests.iter().any(|it| it.call.id == *id) {
            return None;
        }
        if self.named.contains(id) {
            return Some(self.settle(request.call));
        }
        push(&mut self.requests, request);
        None
    }

    /// Takes the id of a response that was a compaction; the call, when its request is known.
    pub(super) fn named(&mut self, id: &str) -> Option<Found> {
        if self.settled.iter().any(|it| it == id) {
            return None;
        }
        match self.requests.iter().position(|it| it.call.id == id) {
            Some(found) => {
                let request = self.requests.remove(found);
                Some(self.settle(request.call))
            }
            None => {
                push(&mut self.named, id.to_owned());
                None
            }
        }
    }

    /// Takes a call that the session's total has: the latest request, when it is that one.
    pub(super) fn counted(&mut self, counted: &Counted) {
        let is_it = |it: &Request| {
            it.call.counts.is_like(&counted.counts)
                || it.total.zip(counted.total).is_some_and(|(told, total)| told.is_like(&total))
        };
        if let Some(request) = self.requests.pop_if(|it| is_it(it)) {
            self.settle(request.call);
        }
    }

    fn settle(&mut self, call: Found) -> Found {
        self.named.retain(|it| *it != call.id);
        push(&mut self.settled, call.id.clone());
        call
    }
}

fn push<T>(list: &mut Vec<T>, item: T) {
    if list.len() == REMEMBERED {
        list.remove(0);
    }
    list.push(item);
}
