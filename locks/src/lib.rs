//! The locks and atomics that threads share: those of [`parking_lot`] and of the standard library.
//!
//! With `--cfg shuttle` they are those of `shuttle` instead. It then chooses the next thread at each
//! of them, and so runs a test in thousands of interleavings. `cargo xtask interleavings` does so.
//!
//! ```
//! let count = locks::Mutex::new(1);
//! *count.lock() += 1;
//! assert_eq!(*count.lock(), 2);
//! ```

#[cfg(not(shuttle))]
pub use parking_lot::{ArcMutexGuard, Condvar, Mutex, MutexGuard, RawMutex, RwLock};
#[cfg(shuttle)]
pub use shuttle;
#[cfg(shuttle)]
pub use shuttle::{sync::atomic, thread_local};
#[cfg(not(shuttle))]
pub use std::{sync::atomic, thread_local};

#[cfg(shuttle)]
pub use self::shuttled::{ArcMutexGuard, Condvar, Mutex, MutexGuard, RawMutex, RwLock};

#[cfg(shuttle)]
pub mod interleavings;
#[cfg(shuttle)]
mod shuttled;
