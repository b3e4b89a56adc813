//! The codec of all requests: one that would take far more memory than its bytes is rejected before
//! it is decoded.
//!
//! An empty message in a list takes two bytes on the wire and some hundred in memory, so that a
//! request of 4 MiB could take a gigabyte. So the parts of a request are counted first, with the
//! memory that each takes: at most [`FACTOR`] times the request's bytes, and 1 MiB.

use crate::grpc::codec::json::message_descriptor;
use crate::grpc::status;
use prost::bytes::Buf;
use prost::encoding::{WireType, decode_key, decode_varint};
use prost::{DecodeError, Message, Name};
use prost_reflect::{Cardinality, FieldDescriptor, Kind, MessageDescriptor};
use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use tonic::Status;
use tonic::codec::{BufferSettings, Codec, DecodeBuf, Decoder};
use tonic_prost::{ProstDecoder, ProstEncoder};

/// Bytes of memory for each byte of a request.
const FACTOR: usize = 16;
/// Bytes of memory that every request may take.
const MEMORY_MIN: usize = 1 << 20;
/// A request that is no larger is always within [`MEMORY_MIN`]: no part takes more than 1,024 bytes
/// for its two.
const UNCHECKED_BYTES: usize = 2048;
/// Memory of a text or a list, besides what is in it.
const TEXT_BYTES: usize = 24;

/// Encodes as tonic's own codec does, and decodes within a limit on memory.
pub(in crate::grpc) struct BoundedCodec<T, U>(PhantomData<(T, U)>);

/// The decoder of [`BoundedCodec`].
pub(in crate::grpc) struct BoundedDecoder<U> {
    layout: Arc<Layout>,
    decoder: ProstDecoder<U>,
}

impl<T, U> Default for BoundedCodec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> Codec for BoundedCodec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Name + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = ProstEncoder<T>;
    type Decoder = BoundedDecoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        ProstEncoder::default()
    }

    fn decoder(&mut self) -> Self::Decoder {
        let layout = layout(&message_descriptor::<U>());
        BoundedDecoder { layout, decoder: ProstDecoder::default() }
    }
}

impl<U> Decoder for BoundedDecoder<U>
where
    U: Message + Name + Default + Send + 'static,
{
    type Item = U;
    type Error = Status;

    fn decode(&mut self, source: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        let bytes = source.chunk();
        if bytes.len() > UNCHECKED_BYTES {
            check_memory(&self.layout, bytes)?;
        }
        self.decoder.decode(source)
    }

    fn buffer_settings(&self) -> BufferSettings {
        self.decoder.buffer_settings()
    }
}

/// What a message takes in memory, about, and its fields that can hold much in few bytes.
#[derive(Debug, Default)]
struct Layout {
    bytes: usize,
    messages: BTreeMap<u32, Arc<Self>>,
}

/// # Errors
///
/// Where the message would take too much memory, or cannot be decoded.
fn check_memory(layout: &Layout, bytes: &[u8]) -> Result<(), Status> {
    let max = bytes.len().saturating_mul(FACTOR).saturating_add(MEMORY_MIN);
    let mut left = Some(max);
    match take_memory(layout, bytes, &mut left) {
        Err(error) => Err(Status::internal(error.to_string())),
        Ok(()) if left.is_none() => Err(status::too_many_parts(bytes.len(), max)),
        Ok(()) => Ok(()),
    }
}

/// Takes the memory of a message's parts from what is left; stops where it is not enough.
fn take_memory(
    layout: &Layout,
    mut bytes: &[u8],
    left: &mut Option<usize>,
) -> Result<(), DecodeError> {
    while bytes.has_remaining() && left.is_some() {
        let (field, wire_type) = decode_key(&mut bytes)?;
        let skipped = match wire_type {
            WireType::Varint => {
                decode_varint(&mut bytes)?;
                0
            }
            WireType::SixtyFourBit => 8,
            WireType::ThirtyTwoBit => 4,
            WireType::LengthDelimited => {
                let length = decode_varint(&mut bytes)?;
                usize::try_from(length).unwrap_or(usize::MAX)
            }
            // No message of ours has a group.
            WireType::StartGroup | WireType::EndGroup => usize::MAX,
        };
        // Ends at the same place as the decoder, which reports why.
        let Some((part, rest)) = bytes.split_at_checked(skipped) else {
            return Err(pb_truncated());
        };
        bytes = rest;
        if wire_type == WireType::LengthDelimited {
            let inner = layout.messages.get(&field);
            let memory = inner.map_or(TEXT_BYTES.saturating_add(part.len()), |inner| inner.bytes);
            *left = left.and_then(|left| left.checked_sub(memory));
            if let Some(inner) = inner {
                take_memory(inner, part, left)?;
            }
        }
    }
    Ok(())
}

/// The decoder's own error for a message that ends too soon.
fn pb_truncated() -> DecodeError {
    let truncated: &[u8] = &[0x80];
    decode_varint(&mut { truncated }).expect_err("a number without an end")
}

/// The layout of a message; computed once.
fn layout(message: &MessageDescriptor) -> Arc<Layout> {
    static LAYOUTS: LazyLock<Mutex<BTreeMap<String, Arc<Layout>>>> = LazyLock::new(Mutex::default);
    let known = || LAYOUTS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(layout) = known().get(message.full_name()) {
        return Arc::clone(layout);
    }
    // No message of ours contains itself.
    let fields = message
        .fields()
        .filter_map(|field| field.kind().as_message().map(|inner| (field.number(), layout(inner))));
    let computed = Layout { messages: fields.collect(), bytes: memory(message) };
    Arc::clone(known().entry(message.full_name().to_owned()).or_insert(Arc::new(computed)))
}

/// About what a message takes in memory, without what its texts and lists hold.
fn memory(message: &MessageDescriptor) -> usize {
    let own = message.fields().filter(|field| field.containing_oneof().is_none());
    let own = own.map(|field| field_memory(&field));
    let alternatives = message.oneofs().map(|oneof| {
        let largest = oneof.fields().map(|field| field_memory(&field)).max();
        largest.unwrap_or_default()
    });
    own.chain(alternatives).fold(0, usize::saturating_add)
}

fn field_memory(field: &FieldDescriptor) -> usize {
    /// Of a field that may be absent, or of one of several.
    const TAG_BYTES: usize = 8;
    if field.cardinality() == Cardinality::Repeated {
        return TEXT_BYTES;
    }
    let kind = field.kind();
    if let Some(inner) = kind.as_message() {
        return memory(inner).saturating_add(TAG_BYTES);
    }
    if matches!(kind, Kind::String | Kind::Bytes) { TEXT_BYTES } else { 8 + TAG_BYTES }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grpc::pb;

    fn check<M: Message + Name>(bytes: &[u8]) -> Result<(), tonic::Code> {
        check_memory(&layout(&message_descriptor::<M>()), bytes).map_err(|status| status.code())
    }

    #[test]
    fn no_message_takes_more_memory_than_estimated() {
        fn at_least<M: Message + Name>() {
            let estimated = layout(&message_descriptor::<M>()).bytes;
            let name = M::full_name();
            assert!(estimated >= size_of::<M>(), "{name}: {estimated} < {}", size_of::<M>());
            assert!(estimated <= 1024, "{name}: {estimated}");
        }
        at_least::<pb::Update>();
        at_least::<pb::SupplyReport>();
        at_least::<pb::SupplyRow>();
        at_least::<pb::Threat>();
        at_least::<pb::Evidence>();
        at_least::<pb::Rule>();
        at_least::<pb::Threshold>();
        at_least::<pb::Bloc>();
        at_least::<pb::AlertFilter>();
    }

    #[test]
    fn a_request_of_empty_parts_is_rejected_before_it_is_decoded() {
        let updates = [0x1a, 0].repeat(1 << 20);
        let empty =
            pb::PublishRequest { updates: vec![pb::Update::default()], ..Default::default() };
        assert_eq!(empty.encode_to_vec(), updates[..2], "an empty update");
        assert_eq!(check::<pb::PublishRequest>(&updates), Err(tonic::Code::ResourceExhausted));
        let inner = pb::SupplyReport {
            rows: vec![pb::SupplyRow::default(); 100_000],
            ..pb::SupplyReport::default()
        };
        let rows = pb::Update { update: Some(pb::update::Update::Report(inner)) };
        let rows = pb::PublishRequest { updates: vec![rows], ..Default::default() };
        let bytes = rows.encode_to_vec();
        assert_eq!(check::<pb::PublishRequest>(&bytes), Err(tonic::Code::ResourceExhausted));
        let group = [[0x0b].as_slice(), &updates].concat();
        assert_eq!(check::<pb::PublishRequest>(&group), Err(tonic::Code::Internal));
    }

    #[test]
    fn the_densest_batch_that_says_something_is_accepted() {
        let update = |at: usize| pb::Update {
            update: Some(pb::update::Update::Removal(pb::ThreatRemoval {
                threat_id: format!("T{at}"),
                ..Default::default()
            })),
        };
        let removals = pb::PublishRequest {
            updates: (0..1000).map(update).collect(),
            ..pb::PublishRequest::default()
        };
        assert_eq!(check::<pb::PublishRequest>(&removals.encode_to_vec()), Ok(()));
        let row = pb::SupplyRow {
            country: "CHN".into(),
            figure: Some(pb::supply_row::Figure::Share(0.5)),
            estimated: false,
        };
        let report = pb::SupplyReport { rows: vec![row; 200], ..pb::SupplyReport::default() };
        let update = pb::Update { update: Some(pb::update::Update::Report(report)) };
        let reports =
            pb::PublishRequest { updates: vec![update; 1000], ..pb::PublishRequest::default() };
        assert_eq!(check::<pb::PublishRequest>(&reports.encode_to_vec()), Ok(()));
    }
}
