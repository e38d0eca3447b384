//! Reports of faults in the log, with the lines of Redis' reports that tools search for.

use std::backtrace::Backtrace;
use std::panic;

use tracing::error;

/// Writes each panic to the log as well, since nobody reads the standard error of a service.
pub(crate) fn log_panics() {
    let print = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        report(&panic.to_string());
        print(panic);
    }));
}

/// Reports a signal, and ends the process by it.
#[cfg(unix)]
pub(crate) fn crash_by_signal(signal: rustix::process::Signal) -> ! {
    report(&format!("crashed by signal: {}", signal.as_raw()));
    std::process::abort()
}

fn report(reason: &str) {
    error!("=== REDIS BUG REPORT START: Cut & paste starting from here ===");
    error!("broker {} (Redis {}): {reason}", env!("CARGO_PKG_VERSION"), broker::REDIS_VERSION);
    error!("------ STACK TRACE ------");
    for line in Backtrace::force_capture().to_string().lines() {
        error!("{line}");
    }
    error!("=== REDIS BUG REPORT END. Make sure to include from START to END. ===");
}
