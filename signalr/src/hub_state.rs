//! The state of a hub's proxy at a client of SignalR 2.
//!
//! A client sends it with each call. Values that the method changes go back with the result. The
//! server keeps nothing between calls.

use std::sync::Arc;

use locks::Mutex;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

/// The state that a client of SignalR 2 sends with a call: values by name.
///
/// # Examples
///
/// ```
/// let state = signalr::HubState::default();
/// state.set("visits", 1)?;
/// assert_eq!(state.get::<u32>("visits"), Some(1));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct HubState(Arc<Mutex<Values>>);

#[derive(Debug, Default)]
struct Values {
    all: Map<String, Value>,
    /// The values that the client does not have.
    changed: Map<String, Value>,
}

impl HubState {
    pub(crate) fn new(all: Map<String, Value>) -> Self {
        Self(Arc::new(Mutex::new(Values { all, changed: Map::new() })))
    }

    /// Returns a value, or `None` if there is none of this name and type.
    ///
    /// # Examples
    ///
    /// ```
    /// let state = signalr::HubState::default();
    /// assert_eq!(state.get::<String>("colour"), None);
    /// ```
    #[must_use]
    pub fn get<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        let value = self.0.lock().all.get(name)?.clone();
        serde_json::from_value(value).ok()
    }

    /// Sets a value. The client receives it with the result of the call.
    ///
    /// # Errors
    ///
    /// Returns an error if the value cannot be written as JSON.
    ///
    /// # Examples
    ///
    /// ```
    /// let state = signalr::HubState::default();
    /// state.set("colour", "green")?;
    /// assert_eq!(state.get::<String>("colour").as_deref(), Some("green"));
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    pub fn set(
        &self,
        name: impl Into<String>,
        value: impl Serialize,
    ) -> Result<(), serde_json::Error> {
        let (name, value) = (name.into(), serde_json::to_value(value)?);
        let mut values = self.0.lock();
        if values.all.get(&name) != Some(&value) {
            values.changed.insert(name.clone(), value.clone());
            values.all.insert(name, value);
        }
        Ok(())
    }

    /// Returns the changed values, if there are any.
    pub(crate) fn changes(&self) -> Option<Map<String, Value>> {
        let values = self.0.lock();
        (!values.changed.is_empty()).then(|| values.changed.clone())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_changed_values_go_back() {
        let Value::Object(sent) = json!({"a": 1, "b": "x"}) else { unreachable!("an object") };
        let state = HubState::new(sent);
        state.set("a", 1).unwrap();
        assert_eq!(state.changes(), None);
        state.set("a", 2).unwrap();
        state.set("c", json!([3])).unwrap();
        assert_eq!(state.changes().map(Value::Object), Some(json!({"a": 2, "c": [3]})));
        assert_eq!(state.get::<u8>("a"), Some(2));
        assert_eq!(state.get::<u8>("b"), None);
    }
}
