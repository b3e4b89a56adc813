//! Messages of many items: at most [`MESSAGE_BYTES_MAX`] bytes each, regardless of the items.
//!
//! ```text
//! items ─► page: as many as fit ─► message ─► the rest: in the next page or message, or counted
//! ```
//!
//! Architecture invariant: one item is bounded where it is rendered, far below a message, so that
//! every page has at least one item and fits.

use std::iter::Peekable;

/// The largest message that leaves the server, in bytes: clients accept 4 MiB by default.
pub(in crate::grpc) const MESSAGE_BYTES_MAX: usize = 1024 * 1024;
/// Bytes of a message besides its items: cursors, a page token, trade weights.
const REST_BYTES: usize = 16 * 1024;
/// Bytes of items in a message of a stream: what a reader that does not read makes the server hold.
pub(in crate::grpc) const STREAM_BYTES: usize = 64 * 1024;
/// Bytes in front of an item: the number of its field, and its length.
const ITEM_HEAD_BYTES: usize = 6;

/// The room for items in one message.
pub(in crate::grpc) struct Page {
    bytes: usize,
    items: usize,
    is_empty: bool,
}

impl Page {
    /// Bytes of items in the only message of a response.
    pub(in crate::grpc) const BYTES: usize = MESSAGE_BYTES_MAX - REST_BYTES;

    /// Bytes of so many items in the only message of a response, besides what is in front of each.
    pub(in crate::grpc) fn item_bytes(items_max: usize) -> usize {
        Self::BYTES.saturating_sub(items_max.saturating_mul(ITEM_HEAD_BYTES))
    }

    /// Room for the items of a response.
    pub(in crate::grpc) fn of_response(items_max: usize) -> Self {
        Self::new(Self::BYTES, items_max)
    }

    /// Room for the items in one of many messages.
    pub(in crate::grpc) fn of_stream(items_max: usize) -> Self {
        Self::new(STREAM_BYTES, items_max)
    }

    pub(in crate::grpc) fn new(bytes_max: usize, items_max: usize) -> Self {
        Self { bytes: bytes_max, items: items_max, is_empty: true }
    }

    /// Takes the next items while there is room; the first one always. `bytes` is the encoded size
    /// of an item.
    pub(in crate::grpc) fn fill<T>(
        &mut self,
        items: &mut Peekable<impl Iterator<Item = T>>,
        bytes: impl Fn(&T) -> usize,
    ) -> Vec<T> {
        let mut filled = Vec::new();
        while let Some(item) = items.next_if(|item| self.has_room(bytes(item))) {
            filled.push(item);
        }
        filled
    }

    /// Whether an item fits; then its room is used.
    fn has_room(&mut self, bytes: usize) -> bool {
        let bytes = bytes.saturating_add(ITEM_HEAD_BYTES);
        let fits = self.items > 0 && (self.is_empty || bytes <= self.bytes);
        if fits {
            self.bytes = self.bytes.saturating_sub(bytes);
            self.items = self.items.saturating_sub(1);
            self.is_empty = false;
        }
        fits
    }
}

/// Truncates a list to its first items; returns how many were omitted.
pub(in crate::grpc) fn omit_after<T>(items: &mut Vec<T>, items_max: usize) -> u32 {
    let omitted = items.len().saturating_sub(items_max);
    items.truncate(items_max);
    u32::try_from(omitted).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grpc::pb;
    use proptest::prelude::*;
    use prost::Message;

    proptest! {
        #[test]
        fn pages_have_every_item_once_in_order_and_none_is_larger_than_its_bytes(
            lengths in proptest::collection::vec(0..3000_usize, 0..60),
            bytes_max in 4000..20_000_usize,
            items_max in 1..20_usize,
        ) {
            let all: Vec<pb::Alert> = (1..).zip(&lengths).map(|(sequence, length)| {
                pb::Alert { sequence, sentence: "x".repeat(*length), ..pb::Alert::default() }
            }).collect();
            let (mut items, mut seen) = (all.iter().cloned().peekable(), Vec::new());
            while items.peek().is_some() {
                let alerts = Page::new(bytes_max, items_max).fill(&mut items, Message::encoded_len);
                prop_assert!((1..=items_max).contains(&alerts.len()));
                let message = pb::Alerts { alerts, ..pb::Alerts::default() };
                prop_assert!(message.encoded_len() <= bytes_max);
                seen.extend(message.alerts);
            }
            prop_assert_eq!(seen, all);
        }
    }

    #[test]
    fn an_item_larger_than_a_page_is_a_page_of_its_own() {
        let mut items = [9, 1, 1].into_iter().peekable();
        let mut page = || Page::new(2 * (ITEM_HEAD_BYTES + 1), 10).fill(&mut items, |item| *item);
        assert_eq!((page(), page(), page()), (vec![9], vec![1, 1], vec![]));
    }
}
