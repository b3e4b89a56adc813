//! Protobuf's JSON mapping, both ways, from the descriptors.

use crate::grpc::pb;
use prost::{Message, Name};
use prost_reflect::{DescriptorPool, DeserializeOptions, DynamicMessage, MessageDescriptor};
use std::sync::LazyLock;

static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
    DescriptorPool::decode(pb::DESCRIPTORS).expect("our own descriptors can be read")
});

/// A text is not the JSON of a message; names what and where.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Error(#[from] serde_json::Error);

impl Error {
    /// What is wrong, and at which byte of the line, from 1; 0 where no position is known.
    pub fn in_line(&self) -> (String, usize) {
        let (text, column) = (self.0.to_string(), self.0.column());
        let at = format!(" at line {} column {column}", self.0.line());
        (text.strip_suffix(&at).unwrap_or(&text).to_owned(), column)
    }
}

/// A message of the protocol.
pub trait JsonMessage: Message + Name {}

impl<M: Message + Name> JsonMessage for M {}

/// A message as one line of JSON: lowerCamelCase names, enums by name, 64-bit integers as text.
pub fn to_json<M: JsonMessage>(message: &M) -> String {
    let mut dynamic = DynamicMessage::new(message_descriptor::<M>());
    dynamic.transcode_from(message).expect("a message fits its own descriptor");
    serde_json::to_string(&dynamic).expect("a message has a JSON form")
}

/// Parses a message from JSON; unknown fields are errors.
///
/// # Errors
///
/// Where the text is not JSON, or not of this message.
pub fn from_json<M: JsonMessage + Default>(text: &str) -> Result<M, Error> {
    let mut input = serde_json::Deserializer::from_str(text);
    let options = DeserializeOptions::new();
    let dynamic =
        DynamicMessage::deserialize_with_options(message_descriptor::<M>(), &mut input, &options)?;
    input.end()?;
    Ok(dynamic.transcode_to().expect("a message fits its own descriptor"))
}

/// The descriptor of a message of ours.
pub(in crate::grpc) fn message_descriptor<M: Name>() -> MessageDescriptor {
    POOL.get_message_by_name(&M::full_name()).expect("every message of ours is in our descriptors")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_parsed_as_it_is_rendered_and_typos_are_named() {
        let text = r#"{"removal":{"threatId":"CHN-1","revision":"3"}}"#;
        let update: pb::Update = from_json(text).unwrap();
        assert_eq!(to_json(&update), text);
        let error = from_json::<pb::Update>(r#"{"removal":{"threadId":"CHN-1"}}"#).unwrap_err();
        assert!(error.to_string().contains("threadId"), "{error}");
    }
}
