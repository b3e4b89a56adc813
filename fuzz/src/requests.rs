//! Requests of every method, made field by field from bytes, and sent to a server.
//!
//! ```text
//! byte 0    the method, of all that the descriptors have
//! byte 1 …  each field of its request: whether it is set, how many elements, and a value of its
//!           type, mostly one that means something: a mineral, a country, a day, a cursor
//! ```

use super::raw_codec::RawCodec;
use lodewatch::grpc::pb::DESCRIPTORS;
use prost::Message;
use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, MethodDescriptor,
    Value,
};
use std::sync::LazyLock;
use std::time::Duration;
use tonic::client::Grpc;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

/// The largest message that the server sends, in bytes.
const MESSAGE_BYTES_MAX: usize = 1 << 20;
/// Messages that are read of one stream.
const MESSAGES_MAX: usize = 8;
/// Levels of messages within messages.
const DEPTH_MAX: usize = 6;
/// For how long a stream is read.
const PATIENCE: Duration = Duration::from_millis(20);

/// Texts that mean something in some field.
const WORDS: [&str; 40] = [
    "gallium",
    "Gallium",
    "rare_earths",
    "galium",
    "cobalt",
    "CHN",
    "China",
    "COD",
    "USA",
    "all",
    "any",
    "EU",
    "G7",
    "fuzz",
    "other",
    "USGS",
    "T-1",
    "T-2",
    "2024",
    "2024-01",
    "2024-01-31",
    "2026-12-31",
    "0000-00-00",
    "-0001-01-01",
    "9999-12-31",
    "hhi",
    "restricted-share",
    "t",
    "kg",
    "https://example.org/a",
    "http://example.org",
    "01890000-0000-7000-8000-000000000001",
    "AgAAAAAAAAAA",
    "\u{202e}",
    "\u{0}",
    "\u{9b}",
    "Ünïcödé",
    " ",
    "a/b",
    "..",
];

static METHODS: LazyLock<Vec<MethodDescriptor>> = LazyLock::new(|| {
    let pool = DescriptorPool::decode(DESCRIPTORS).expect("our own descriptors can be read");
    pool.services().flat_map(|service| service.methods().collect::<Vec<_>>()).collect()
});

/// Sends one request.
///
/// # Panics
///
/// Where an answer is larger than the server promises, or an error that only a fault of the server
/// explains.
pub async fn send(channel: Channel, bytes: &[u8]) {
    let mut source = Source(bytes);
    let number = usize::from(source.byte());
    let method = &METHODS[number % METHODS.len()];
    let request = message(&method.input(), &mut source, 0).encode_to_vec();
    let service = method.parent_service().full_name().to_owned();
    let path = format!("/{service}/{}", method.name()).parse().expect("names make a path");
    let mut grpc = Grpc::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX);
    grpc.ready().await.expect("the server is there");
    let requests = tokio_stream::once(request);
    let answered = grpc.streaming(Request::new(requests), path, RawCodec).await;
    let status = match answered {
        Err(status) => status,
        Ok(stream) => {
            let mut stream = stream.into_inner();
            let mut end = Status::ok("");
            for _ in 0..MESSAGES_MAX {
                match tokio::time::timeout(PATIENCE, stream.message()).await {
                    Ok(Ok(Some(_))) => {}
                    Ok(Ok(None)) | Err(_) => break,
                    Ok(Err(status)) => {
                        end = status;
                        break;
                    }
                }
            }
            end
        }
    };
    let is_fault = matches!(
        status.code(),
        Code::Internal | Code::Unknown | Code::DataLoss | Code::Unimplemented
    );
    assert!(!is_fault, "{service}/{}: {status:?}", method.name());
    // The client's own words about an answer; the server words its limit for requests otherwise.
    assert!(!status.message().starts_with("Error, decoded message length"), "{status:?}");
}

/// Bytes that choices are made of; zeros at the end.
struct Source<'a>(&'a [u8]);

impl Source<'_> {
    fn byte(&mut self) -> u8 {
        self.0.split_off_first().copied().unwrap_or_default()
    }

    fn number(&mut self) -> u64 {
        let width = usize::from(self.byte() % 9);
        (0..width).fold(0, |number, _| number << 8 | u64::from(self.byte()))
    }
}

fn message(of: &MessageDescriptor, source: &mut Source<'_>, depth: usize) -> DynamicMessage {
    let mut message = DynamicMessage::new(of.clone());
    for field in of.fields() {
        let choice = source.byte();
        // Half of the fields are set; with no bytes left, none.
        if choice & 1 == 0 || depth > DEPTH_MAX {
            continue;
        }
        let value = if field.is_list() {
            let more = if choice & 0xF0 == 0xF0 { 500 } else { usize::from(choice >> 4) };
            let first = value(&field, source, depth);
            Value::List(std::iter::repeat_n(first, more).collect())
        } else {
            value(&field, source, depth)
        };
        message.set_field(&field, value);
    }
    message
}

fn value(field: &FieldDescriptor, source: &mut Source<'_>, depth: usize) -> Value {
    match field.kind() {
        Kind::Message(of) => Value::Message(message(&of, source, depth + 1)),
        Kind::Enum(of) => {
            let choice = source.byte();
            let known = of.values().nth(usize::from(choice) % of.values().len());
            Value::EnumNumber(match choice {
                255 => i32::MAX,
                _ => known.map_or(0, |known| known.number()),
            })
        }
        Kind::String => Value::String(text(source)),
        Kind::Bytes => Value::Bytes(text(source).into_bytes().into()),
        Kind::Bool => Value::Bool(source.byte() & 1 == 1),
        Kind::Double => Value::F64(double(source)),
        Kind::Float => unreachable!("no field is a float"),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => {
            Value::I32(i32::from_le_bytes(low(source.number())))
        }
        Kind::Uint32 | Kind::Fixed32 => Value::U32(u32::from_le_bytes(low(source.number()))),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => {
            Value::I64(i64::from_le_bytes(source.number().to_le_bytes()))
        }
        Kind::Uint64 | Kind::Fixed64 => Value::U64(source.number()),
    }
}

fn low(number: u64) -> [u8; 4] {
    let [a, b, c, d, ..] = number.to_le_bytes();
    [a, b, c, d]
}

fn double(source: &mut Source<'_>) -> f64 {
    match source.byte() {
        0 => f64::NAN,
        1 => f64::INFINITY,
        2 => -1.0,
        3 => f64::from_bits(source.number()),
        parts => f64::from(parts) / 200.0,
    }
}

fn text(source: &mut Source<'_>) -> String {
    match source.byte() {
        choice @ 0..=199 => WORDS[usize::from(choice) % WORDS.len()].to_owned(),
        choice @ 200..=229 => {
            let bytes: Vec<u8> = (200..choice).map(|_| source.byte()).collect();
            String::from_utf8_lossy(&bytes).into_owned()
        }
        choice => WORDS[usize::from(source.byte()) % WORDS.len()].repeat(1 << (choice - 230)),
    }
    .chars()
    .take(MESSAGE_BYTES_MAX)
    .collect()
}
