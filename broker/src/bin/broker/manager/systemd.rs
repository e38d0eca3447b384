//! Reports the states of the process to systemd.

use std::time::Duration;

use broker::Server;
use sd_notify::NotifyState;
use tokio::time::{MissedTickBehavior, interval};
use tracing::warn;

use super::STOP_TIME;

/// Reports in the time of a watchdog.
const WATCHDOG_PARTS: u32 = 4;

/// Reports to systemd that clients may connect.
pub(crate) fn ready() {
    notify(&[NotifyState::Ready, NotifyState::Status("Ready to accept connections")]);
}

/// Reports to systemd that the settings are read again. [`ready`] ends it.
pub(crate) fn reloading() {
    // systemd ignores a reload without its time.
    if let Ok(now) = NotifyState::monotonic_usec_now() {
        let text = NotifyState::Status("Reloading the settings");
        notify(&[NotifyState::Reloading, now, text]);
    }
}

/// Reports to systemd that the clients end over this time, so that it waits for them.
pub(crate) fn draining(window: Duration) {
    let extended = u32::try_from((window + STOP_TIME).as_micros()).unwrap_or(u32::MAX);
    let text = NotifyState::Status("Draining clients");
    notify(&[NotifyState::Stopping, NotifyState::ExtendTimeoutUsec(extended), text]);
}

/// Reports to systemd that the server shuts down.
pub(crate) fn stopping() {
    notify(&[NotifyState::Stopping, NotifyState::Status("Shutting down")]);
}

/// Reports to systemd that all threads make turns, as often as it asks for. Never ends.
pub(crate) async fn keep_watchdog(server: &Server) {
    let Some(time) = sd_notify::watchdog_enabled() else { return std::future::pending().await };
    // A script may hold all threads for 5 seconds, and must not use up the time.
    let mut ticks = interval((time / WATCHDOG_PARTS).max(Duration::from_millis(1)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        server.turned().await;
        notify(&[NotifyState::Watchdog]);
    }
}

fn notify(states: &[NotifyState<'_>]) {
    if std::env::var_os("NOTIFY_SOCKET").is_some()
        && let Err(error) = sd_notify::notify(states)
    {
        warn!(%error, "cannot notify systemd");
    }
}
