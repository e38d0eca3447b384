//! Binds the JSON array of an invocation to the parameters of a method.
//!
//! Each parameter reads one element. Errors have ASP.NET Core's texts, which clients may display.

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

/// The parameters of a hub method: a tuple of up to eight values, one for each argument.
///
/// A method without parameters takes `()`. A method with one parameter takes `(T,)`.
///
/// # Examples
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use serde_json::value::RawValue;
/// use signalr::Arguments;
///
/// let json = RawValue::from_string(r#"["ann", 7]"#.to_owned())?;
/// let (name, age): (String, u8) = Arguments::bind(&json)?;
/// assert_eq!((name.as_str(), age), ("ann", 7));
/// # Ok(()) }
/// ```
pub trait Arguments: Sized + Send {
    /// Reads the arguments from a JSON array.
    ///
    /// # Errors
    ///
    /// Returns an error if the number of arguments or the type of one differs from the method's.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use serde_json::value::RawValue;
    /// use signalr::Arguments;
    ///
    /// let json = RawValue::from_string("[true]".to_owned())?;
    /// let (is_on,) = <(bool,)>::bind(&json)?;
    /// assert!(is_on);
    /// # Ok(()) }
    /// ```
    fn bind(arguments: &RawValue) -> Result<Self, BindError>;
}

/// The arguments of a call do not fit the method. The texts are ASP.NET Core's.
///
/// # Examples
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use serde_json::value::RawValue;
/// use signalr::{Arguments, BindError};
///
/// let json = RawValue::from_string("[1]".to_owned())?;
/// assert_eq!(<(u8, u8)>::bind(&json), Err(BindError::Count { found: 1, expected: 2 }));
/// assert_eq!(<(String,)>::bind(&json), Err(BindError::Type));
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

/// Splits a JSON array into exactly `N` elements.
fn split<const N: usize>(arguments: &RawValue) -> Result<[&RawValue; N], BindError> {
    let elements: Vec<&RawValue> =
        serde_json::from_str(arguments.get()).map_err(|_| BindError::Type)?;
    elements
        .try_into()
        .map_err(|elements: Vec<_>| BindError::Count { found: elements.len(), expected: N })
}

macro_rules! tuples {
    ($($name:ident),*) => {
        impl<$($name: DeserializeOwned + Send),*> Arguments for ($($name,)*) {
            #[allow(non_snake_case, reason = "each type parameter also names its element")]
            fn bind(arguments: &RawValue) -> Result<Self, BindError> {
                let [$($name),*] = split(arguments)?;
                Ok(($(serde_json::from_str($name.get()).map_err(|_| BindError::Type)?,)*))
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
        A::bind(&RawValue::from_string(json.to_owned()).unwrap())
    }
}
