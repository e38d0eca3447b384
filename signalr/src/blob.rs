//! Bytes as a value, in the form that each hub protocol has for them.

use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, Unexpected},
};

/// Bytes: `bin` in MessagePack, base64 text in JSON.
///
/// A `Vec<u8>` would be an array of numbers. .NET's clients read and write a blob as `byte[]`.
/// JavaScript's clients use a `Uint8Array` with MessagePack, and base64 text with JSON.
///
/// A method may take blobs and return them, also inside of other types. Arguments from a MessagePack
/// client may also be base64 text.
///
/// An invocation of clients travels as JSON between the servers of an app. A blob in it is base64
/// text, and remains text for MessagePack clients: the servers cannot distinguish it from other text.
///
/// # Examples
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use signalr::Blob;
///
/// let image = Blob::from(vec![1, 2, 3]);
/// assert_eq!(serde_json::to_string(&image)?, r#""AQID""#);
/// assert_eq!(serde_json::from_str::<Blob>(r#""AQID""#)?, image);
/// # Ok(()) }
/// ```
///
/// A method that returns the bytes it receives:
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use signalr::{Blob, Caller, Hub, HubError};
/// # let backplane = backplane::Backplane::embedded(&broker::Broker::new(), "App");
///
/// let hub = Hub::new("Hub", backplane)
///     .method("Echo", |_: Caller, (bytes,): (Blob,)| async move { Ok::<_, HubError>(bytes) });
/// # drop(hub);
/// # }
/// ```
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Blob(Vec<u8>);

impl Blob {
    /// Returns the bytes.
    ///
    /// # Examples
    ///
    /// ```
    /// use signalr::Blob;
    ///
    /// assert_eq!(Blob::from(vec![7]).into_vec(), vec![7]);
    /// ```
    #[must_use]
    pub fn into_vec(self) -> Vec<u8> {
        self.0
    }
}

impl AsRef<[u8]> for Blob {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl From<Vec<u8>> for Blob {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl From<&[u8]> for Blob {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }
}

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Blob({} bytes)", self.0.len())
    }
}

impl Serialize for Blob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_newtype_struct(NAME, &Content(&self.0))
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            // MessagePack counts as readable too, so that other types read text.
            deserializer.deserialize_any(Visitor)
        } else {
            deserializer.deserialize_byte_buf(Visitor)
        }
    }
}

struct Content<'a>(&'a [u8]);

impl Serialize for Content<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.serialize_str(&STANDARD.encode(self.0))
        } else {
            serializer.serialize_bytes(self.0)
        }
    }
}

struct Visitor;

impl de::Visitor<'_> for Visitor {
    type Value = Blob;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes or base64 text")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Blob, E> {
        let bytes = STANDARD.decode(text);
        bytes.map(Blob).map_err(|_| E::invalid_value(Unexpected::Str(text), &self))
    }

    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Blob, E> {
        Ok(bytes.into())
    }

    fn visit_byte_buf<E: de::Error>(self, bytes: Vec<u8>) -> Result<Blob, E> {
        Ok(bytes.into())
    }
}

/// The name by which the serializer of the MessagePack hub protocol recognizes a blob.
pub(crate) const NAME: &str = dialect::messagepack::BLOB;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_blob_is_base64_in_json() {
        for (bytes, text) in [(&[][..], ""), (&[0], "AA=="), (&[0xfb, 0xff], "+/8=")] {
            let blob = Blob::from(bytes);
            assert_eq!(serde_json::to_value(&blob).unwrap(), json!(text));
            assert_eq!(serde_json::from_value::<Blob>(json!(text)).unwrap(), blob);
            assert_eq!(serde_json::from_str::<Blob>(&format!("\"{text}\"")).unwrap(), blob);
        }
    }

    #[test]
    fn other_json_is_no_blob() {
        for value in [json!("AA"), json!("-_8="), json!(null), json!([1, 2]), json!(1)] {
            assert!(serde_json::from_value::<Blob>(value.clone()).is_err(), "{value}");
        }
    }

    #[test]
    fn the_bytes_stay_out_of_logs() {
        assert_eq!(format!("{:?}", Blob::from(vec![1, 2, 3])), "Blob(3 bytes)");
    }
}
