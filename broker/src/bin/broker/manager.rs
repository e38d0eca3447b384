//! Reports the states of the process to the manager of services: systemd, or that of Windows.

#[cfg(unix)]
mod systemd;
#[cfg(windows)]
mod windows;

use std::time::Duration;

#[cfg(unix)]
pub(crate) use systemd::{draining, keep_watchdog, ready, reloading, stopping};
#[cfg(windows)]
pub(crate) use windows::{
    Request, draining, keep_watchdog, ready, register, reloading, requested, stopped, stopping,
};

/// More than a shutdown takes after the last client.
const STOP_TIME: Duration = Duration::from_secs(5);
