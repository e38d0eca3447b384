//! Reports the states of the process to the service manager of Windows, and takes its requests.
//!
//! A process that was started from a console has no manager. Its reports do nothing then.

use std::future;
use std::sync::OnceLock;
use std::time::Duration;

use broker::Server;
use tokio::sync::Notify;
use tracing::warn;
use windows_service::service::{
    ServiceControl, ServiceControlAccept, ServiceExitCode, ServiceState, ServiceStatus, ServiceType,
};
use windows_service::service_control_handler::{
    self, ServiceControlHandlerResult, ServiceStatusHandle,
};

use super::STOP_TIME;

/// A request of the service manager.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    Stop,
    /// To read the settings again: `sc control NAME paramchange`.
    Reload,
}

static MANAGER: OnceLock<ServiceStatusHandle> = OnceLock::new();
static STOP: Notify = Notify::const_new();
static RELOAD: Notify = Notify::const_new();

/// The time that a start takes at most, with the keys of a large counters file.
const START_TIME: Duration = Duration::from_secs(30);

/// Registers the process as the service of this name, which starts.
///
/// # Errors
///
/// The service manager has not started the process.
pub(crate) fn register(name: &str) -> windows_service::Result<()> {
    let manager = service_control_handler::register(name, |control| match control {
        ServiceControl::Stop | ServiceControl::Shutdown => {
            STOP.notify_one();
            ServiceControlHandlerResult::NoError
        }
        ServiceControl::ParamChange => {
            RELOAD.notify_one();
            ServiceControlHandlerResult::NoError
        }
        ServiceControl::Interrogate => ServiceControlHandlerResult::NoError,
        _ => ServiceControlHandlerResult::NotImplemented,
    })?;
    let _ = MANAGER.set(manager);
    report(ServiceState::StartPending, START_TIME, 0);
    Ok(())
}

/// Returns the next request. Never ends without a service manager.
///
/// # Cancel safety
///
/// If the future is dropped, no request is lost.
pub(crate) async fn requested() -> Request {
    tokio::select! {
        () = STOP.notified() => Request::Stop,
        () = RELOAD.notified() => Request::Reload,
    }
}

/// Reports that clients may connect.
pub(crate) fn ready() {
    report(ServiceState::Running, Duration::ZERO, 0);
}

/// Does nothing: the service manager has no such state.
pub(crate) fn reloading() {}

/// Reports that the clients end over this time, so that the service manager waits for them.
pub(crate) fn draining(window: Duration) {
    report(ServiceState::StopPending, window + STOP_TIME, 0);
}

/// Reports that the server shuts down.
pub(crate) fn stopping() {
    report(ServiceState::StopPending, STOP_TIME, 0);
}

/// Reports the end of the process with its exit code.
pub(crate) fn stopped(code: u32) {
    report(ServiceState::Stopped, Duration::ZERO, code);
}

/// Does nothing: the service manager has no watchdog. Never ends.
pub(crate) async fn keep_watchdog(_: &Server) {
    future::pending().await
}

fn report(state: ServiceState, wait_hint: Duration, code: u32) {
    let Some(manager) = MANAGER.get() else { return };
    let controls_accepted = match state {
        ServiceState::Running => {
            ServiceControlAccept::STOP
                | ServiceControlAccept::SHUTDOWN
                | ServiceControlAccept::PARAM_CHANGE
        }
        _ => ServiceControlAccept::empty(),
    };
    let exit_code = match code {
        0 => ServiceExitCode::NO_ERROR,
        code => ServiceExitCode::ServiceSpecific(code),
    };
    // The system counts milliseconds in 32 bits.
    let wait_hint = wait_hint.min(Duration::from_millis(u32::MAX.into()));
    let status = ServiceStatus {
        service_type: ServiceType::OWN_PROCESS,
        current_state: state,
        controls_accepted,
        exit_code,
        checkpoint: 0,
        wait_hint,
        process_id: None,
    };
    if let Err(error) = manager.set_service_status(status) {
        warn!(%error, "cannot report a state to the service manager");
    }
}
