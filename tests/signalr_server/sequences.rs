//! A hub that notices lost, repeated and reordered calls, for clients whose connections break.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use signalr::{Caller, Hub, HubError, Local};

/// Adds the methods of the hub.
pub(crate) fn sequences(hub: Hub) -> Hub {
    hub.method(
        "Join",
        |caller: Caller, (): ()| async move { Ok(caller.groups().add(GROUP).await?) },
    )
    .method(
        "Say",
        |caller: Caller, last: Local<AtomicU64>, (by, number): (String, u64)| async move {
            let before = last.swap(number, Relaxed);
            if number != before + 1 {
                return Err(HubError::new(format!("{by} called {number} after {before}")));
            }
            caller.clients().group(GROUP).invoke("said", (by, number)).await?;
            Ok(number)
        },
    )
    .resumable()
}

const GROUP: &str = "all";
