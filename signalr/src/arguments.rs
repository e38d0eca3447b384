//! Binds the array of an invocation to the parameters of a method.
//!
//! Each parameter reads one element. Errors have ASP.NET Core's texts, which clients may display.

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::protocol::message::{Payload, Raw};

/// The arguments of a call, in the encoding of the client.
///
/// # Examples
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use serde_json::value::RawValue;
/// use signalr::{Arguments, RawArguments};
///
/// let json = RawValue::from_string(r#"["ann"]"#.to_owned())?;
/// let messagepack = b"\x91\xa3ann";
/// for arguments in [RawArguments::json(&json), RawArguments::messagepack(messagepack)] {
///     let (name,): (String,) = Arguments::bind(arguments)?;
///     assert_eq!(name, "ann");
/// }
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct RawArguments<'a>(Raw<'a>);

impl<'a> RawArguments<'a> {
    /// Takes a JSON array.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use serde_json::value::RawValue;
    /// use signalr::{Arguments, RawArguments};
    ///
    /// let json = RawValue::from_string("[1, 2]".to_owned())?;
    /// assert_eq!(<(u8, u8)>::bind(RawArguments::json(&json))?, (1, 2));
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn json(array: &'a RawValue) -> Self {
        Self(Raw::Json(array))
    }

    /// Takes a MessagePack array.
    ///
    /// # Examples
    ///
    /// ```
    /// use signalr::{Arguments, RawArguments};
    ///
    /// assert_eq!(<(u8, u8)>::bind(RawArguments::messagepack(&[0x92, 1, 2])), Ok((1, 2)));
    /// ```
    #[must_use]
    pub fn messagepack(array: &'a [u8]) -> Self {
        Self(Raw::MessagePack(array))
    }

    pub(crate) fn new(raw: Raw<'a>) -> Self {
        Self(raw)
    }

    pub(crate) fn to_payload(self) -> Payload {
        self.0.to_payload()
    }
}

/// The parameters of a hub method: a tuple of up to eight values, one for each argument.
///
/// A method without parameters takes `()`. A method with one parameter takes `(T,)`.
///
/// # Examples
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use serde_json::value::RawValue;
/// use signalr::{Arguments, RawArguments};
///
/// let json = RawValue::from_string(r#"["ann", 7]"#.to_owned())?;
/// let (name, age): (String, u8) = Arguments::bind(RawArguments::json(&json))?;
/// assert_eq!((name.as_str(), age), ("ann", 7));
/// # Ok(()) }
/// ```
pub trait Arguments: Sized + Send {
    /// Reads the arguments from an array.
    ///
    /// # Errors
    ///
    /// Returns an error if the number of arguments or the type of one differs from the method's.
    ///
    /// # Examples
    ///
    /// ```
    /// use signalr::{Arguments, RawArguments};
    ///
    /// let (is_on,) = <(bool,)>::bind(RawArguments::messagepack(&[0x91, 0xc3]))?;
    /// assert!(is_on);
    /// # Ok::<_, signalr::BindError>(())
    /// ```
    fn bind(arguments: RawArguments<'_>) -> Result<Self, BindError>;
}

/// The arguments of a call do not fit the method. The texts are ASP.NET Core's.
///
/// # Examples
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use serde_json::value::RawValue;
/// use signalr::{Arguments, BindError, RawArguments};
///
/// let json = RawValue::from_string("[1]".to_owned())?;
/// let json = RawArguments::json(&json);
/// assert_eq!(<(u8, u8)>::bind(json), Err(BindError::Count { found: 1, expected: 2 }));
/// assert_eq!(<(String,)>::bind(json), Err(BindError::Type));
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// The number of arguments differs from the number of parameters.
    #[error("Invocation provides {found} argument(s) but target expects {expected}.")]
    Count {
        /// Number of arguments in the call.
        found: usize,
        /// Number of parameters of the method.
        expected: usize,
    },
    /// At least one argument has another type.
    #[error(
        "Error binding arguments. Make sure that the types of the provided values match the types \
         of the hub method being invoked."
    )]
    Type,
}

/// Splits an array into exactly `N` elements.
fn split<'a, const N: usize>(arguments: &'a RawArguments<'_>) -> Result<[Raw<'a>; N], BindError> {
    let elements = arguments.0.elements().ok_or(BindError::Type)?;
    elements
        .try_into()
        .map_err(|elements: Vec<_>| BindError::Count { found: elements.len(), expected: N })
}

macro_rules! tuples {
    ($($name:ident),*) => {
        impl<$($name: DeserializeOwned + Send),*> Arguments for ($($name,)*) {
            #[allow(non_snake_case, reason = "each type parameter also names its element")]
            fn bind(arguments: RawArguments<'_>) -> Result<Self, BindError> {
                let [$($name),*] = split(&arguments)?;
                Ok(($($name.read().ok_or(BindError::Type)?,)*))
            }
        }
    };
}

tuples!();
tuples!(A);
tuples!(A, B);
tuples!(A, B, C);
tuples!(A, B, C, D);
tuples!(A, B, C, D, E);
tuples!(A, B, C, D, E, F);
tuples!(A, B, C, D, E, F, G);
tuples!(A, B, C, D, E, F, G, H);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_bind_to_a_tuple() {
        assert_eq!(bind(r#"["ann",7]"#), Ok(("ann".to_owned(), 7_u8)));
        assert_eq!(bind("[]"), Ok(()));
        assert_eq!(bind("[null]"), Ok((None::<u8>,)));
    }

    #[test]
    fn a_wrong_number_of_arguments_is_refused() {
        assert_eq!(
            bind::<(String, u8)>(r#"["ann"]"#).unwrap_err().to_string(),
            "Invocation provides 1 argument(s) but target expects 2."
        );
        assert_eq!(bind::<()>("[1]"), Err(BindError::Count { found: 1, expected: 0 }));
    }

    #[test]
    fn an_argument_of_a_wrong_type_is_refused() {
        assert_eq!(bind::<(u8,)>("[256]"), Err(BindError::Type));
        assert_eq!(bind::<(String,)>("[1]"), Err(BindError::Type));
    }

    #[test]
    fn deep_nesting_is_refused() {
        let deep = format!("[{}{}]", "[".repeat(10_000), "]".repeat(10_000));
        assert_eq!(bind::<(serde_json::Value,)>(&deep), Err(BindError::Type));
    }

    fn bind<A: Arguments>(json: &str) -> Result<A, BindError> {
        A::bind(RawArguments::json(&RawValue::from_string(json.to_owned()).unwrap()))
    }
}
