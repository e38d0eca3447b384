//! A time as a value, in the form that each hub protocol has for it.

use std::{fmt, str::FromStr, time::SystemTime};

use chrono::{DateTime, SecondsFormat, Utc};
use rmp_serde::MSGPACK_EXT_STRUCT_NAME;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, Unexpected},
};

/// A time: a timestamp in MessagePack, RFC 3339 text in UTC in JSON.
///
/// .NET's clients read and write it as `DateTime`. JavaScript's clients use a `Date` with
/// MessagePack, and text with JSON.
///
/// A method may take times and return them, also inside of other types. Arguments may be text with
/// any offset. Text ends at the year 9999.
///
/// A `DateTimeOffset` of a .NET client with MessagePack is read as `(Timestamp, i16)`: the time on its
/// own clock, as if that were UTC, and the minutes that this clock is ahead of UTC.
///
/// An invocation of clients travels as JSON between the servers of an app. A time in it is text, and
/// remains text for MessagePack clients: the servers cannot distinguish it from other text.
///
/// # Examples
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::{Duration, SystemTime};
///
/// use signalr::Timestamp;
///
/// let time = Timestamp::from(SystemTime::UNIX_EPOCH + Duration::from_millis(1_500));
/// assert_eq!(serde_json::to_string(&time)?, r#""1970-01-01T00:00:01.500Z""#);
/// assert_eq!(serde_json::from_str::<Timestamp>(r#""1970-01-01T02:00:01.5+02:00""#)?, time);
/// # Ok(()) }
/// ```
///
/// A method that returns the present time:
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use signalr::{Hub, HubError, Timestamp};
/// # let backplane = backplane::Backplane::embedded(&broker::Broker::new(), "App");
///
/// let hub = Hub::new("Hub", backplane)
///     .method("Now", |()| async { Ok::<_, HubError>(Timestamp::now()) });
/// # drop(hub);
/// # }
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(DateTime<Utc>);

impl Timestamp {
    /// Returns the present time.
    ///
    /// # Examples
    ///
    /// ```
    /// use signalr::Timestamp;
    ///
    /// let start = Timestamp::now();
    /// assert!(Timestamp::now() >= start);
    /// ```
    #[must_use]
    pub fn now() -> Self {
        SystemTime::now().into()
    }

    /// Returns the data of the MessagePack extension, in its shortest form.
    fn extension(self) -> Vec<u8> {
        let (seconds, nanoseconds) = (self.0.timestamp(), self.0.timestamp_subsec_nanos());
        match (u32::try_from(seconds), u64::try_from(seconds)) {
            (Ok(seconds), _) if nanoseconds == 0 => seconds.to_be_bytes().to_vec(),
            (_, Ok(seconds)) if seconds >> SECONDS_BITS == 0 => {
                (u64::from(nanoseconds) << SECONDS_BITS | seconds).to_be_bytes().to_vec()
            }
            _ => [&nanoseconds.to_be_bytes()[..], &seconds.to_be_bytes()].concat(),
        }
    }
}

impl From<SystemTime> for Timestamp {
    /// # Panics
    ///
    /// Panics if the time is more than 262,000 years from now.
    fn from(time: SystemTime) -> Self {
        Self(time.into())
    }
}

impl From<Timestamp> for SystemTime {
    fn from(Timestamp(time): Timestamp) -> Self {
        time.into()
    }
}

impl FromStr for Timestamp {
    type Err = TimestampError;

    fn from_str(text: &str) -> Result<Self, TimestampError> {
        let time = DateTime::parse_from_rfc3339(text).map_err(|_| TimestampError(()))?;
        Ok(Self(time.to_utc()))
    }
}

/// The text is not a time in the form of RFC 3339.
///
/// # Examples
///
/// ```
/// let error = "yesterday".parse::<signalr::Timestamp>().unwrap_err();
/// assert_eq!(error.to_string(), "expected a time such as 2000-01-01T00:00:00Z");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a time such as 2000-01-01T00:00:00Z")]
pub struct TimestampError(());

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_rfc3339_opts(SecondsFormat::AutoSi, true))
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Timestamp({self})")
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_newtype_struct(NAME, &Content(*self))
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // The MessagePack hub protocol turns a timestamp into text for types that read text.
        deserializer.deserialize_str(Visitor)
    }
}

struct Content(Timestamp);

impl Serialize for Content {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(&self.0)
        } else {
            let extension = (EXTENSION, Data(self.0.extension()));
            serializer.serialize_newtype_struct(MSGPACK_EXT_STRUCT_NAME, &extension)
        }
    }
}

/// The data of an extension.
struct Data(Vec<u8>);

impl Serialize for Data {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

struct Visitor;

impl de::Visitor<'_> for Visitor {
    type Value = Timestamp;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a time in the form of RFC 3339")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Timestamp, E> {
        text.parse().map_err(|_| E::invalid_value(Unexpected::Str(text), &self))
    }
}

/// The name by which the serializer of the MessagePack hub protocol recognizes a time.
pub(crate) const NAME: &str = dialect::messagepack::TIMESTAMP;
/// The type of the extension in the MessagePack specification.
pub(crate) const EXTENSION: i8 = -1;
/// Bits of the seconds in a timestamp of 8 bytes. The other bits are nanoseconds.
pub(crate) const SECONDS_BITS: u32 = 34;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;

    #[test]
    fn a_time_is_text_in_json() {
        for (milliseconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (946_684_800_000, "2000-01-01T00:00:00Z"),
            (1_709_210_096_789, "2024-02-29T12:34:56.789Z"),
        ] {
            let time = SystemTime::UNIX_EPOCH + Duration::from_millis(milliseconds);
            let timestamp = Timestamp::from(time);
            assert_eq!(serde_json::to_value(timestamp).unwrap(), json!(text));
            assert_eq!(serde_json::from_value::<Timestamp>(json!(text)).unwrap(), timestamp);
            assert_eq!(SystemTime::from(timestamp), time);
        }
    }

    #[test]
    fn text_may_have_an_offset() {
        let time: Timestamp = "2024-02-29T14:34:56.7890000+02:00".parse().unwrap();
        assert_eq!(time.to_string(), "2024-02-29T12:34:56.789Z");
    }

    #[test]
    fn other_json_is_no_time() {
        for value in [json!(0), json!(null), json!("2024-02-29"), json!("2024-02-30T00:00:00Z")] {
            assert!(serde_json::from_value::<Timestamp>(value.clone()).is_err(), "{value}");
        }
    }

    #[test]
    fn the_extension_has_its_shortest_form() {
        let year_2514 = 1 << 34;
        for (seconds, nanoseconds, length) in [
            (0, 0, 4),
            (u32::MAX.into(), 0, 4),
            (0, 1, 8),
            (i64::from(u32::MAX) + 1, 0, 8),
            (year_2514 - 1, 999_999_999, 8),
            (year_2514, 0, 12),
            (-1, 0, 12),
        ] {
            let time = Timestamp(DateTime::from_timestamp(seconds, nanoseconds).unwrap());
            assert_eq!(time.extension().len(), length, "{time}");
        }
    }
}
