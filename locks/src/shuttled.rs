//! Locks with the interface of `parking_lot`, scheduled by `shuttle`.
//!
//! A guard takes the value out of its mutex and puts it back when it drops. So a guard can own its
//! mutex, as that of a script does, without unsafe code. Time does not pass in a test: a wait with
//! a limit ends at once, after another thread has run, or only by a notification.

use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::{Duration, Instant};

use shuttle::rand::{Rng, thread_rng};
use shuttle::sync;
use shuttle::thread::yield_now;

/// A mutex; its value is `None` while a guard has it.
pub struct Mutex<T> {
    value: sync::Mutex<Option<T>>,
    freed: sync::Condvar,
    /// Read after each release, since the scheduler changes threads before an access.
    after_release: sync::atomic::AtomicBool,
}

/// A guard that borrows its mutex or shares it.
pub struct Guard<M: AsMutex<T>, T> {
    mutex: M,
    value: Option<T>,
}

/// A guard that borrows its mutex.
pub type MutexGuard<'m, T> = Guard<&'m Mutex<T>, T>;
/// A guard that shares its mutex. The first parameter is that of `parking_lot`.
pub type ArcMutexGuard<R, T> = Guard<Shared<R, T>, T>;

/// Stands for the type of the same name of `parking_lot`.
pub struct RawMutex;

/// A shared mutex.
pub struct Shared<R, T>(Arc<Mutex<T>>, PhantomData<R>);

/// The mutex of a guard.
pub trait AsMutex<T> {
    fn mutex(&self) -> &Mutex<T>;
}

impl<T> AsMutex<T> for &Mutex<T> {
    fn mutex(&self) -> &Mutex<T> {
        self
    }
}

impl<R, T> AsMutex<T> for Shared<R, T> {
    fn mutex(&self) -> &Mutex<T> {
        &self.0
    }
}

impl<T> Mutex<T> {
    /// Creates a mutex that no thread has acquired.
    pub fn new(value: T) -> Self {
        Self {
            value: sync::Mutex::new(Some(value)),
            freed: sync::Condvar::new(),
            after_release: sync::atomic::AtomicBool::new(false),
        }
    }

    fn take(&self) -> T {
        let mut value = self.value.lock().expect("no thread panics with it");
        loop {
            if let Some(taken) = value.take() {
                return taken;
            }
            value = self.freed.wait(value).expect("no thread panics with it");
        }
    }

    /// Acquires the mutex, and waits for it.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        Guard { value: Some(self.take()), mutex: self }
    }

    /// Returns the value; no thread can have acquired the mutex.
    pub fn get_mut(&mut self) -> &mut T {
        let value = self.value.get_mut().expect("no thread panics with it");
        value.as_mut().expect("no guard has it")
    }

    /// Acquires the mutex, and waits for it.
    pub fn lock_arc(self: &Arc<Self>) -> ArcMutexGuard<RawMutex, T> {
        Guard { value: Some(self.take()), mutex: Shared(self.clone(), PhantomData) }
    }

    /// Acquires the mutex, unless another thread has it.
    pub fn try_lock_arc(self: &Arc<Self>) -> Option<ArcMutexGuard<RawMutex, T>> {
        let taken = self.value.lock().expect("no thread panics with it").take()?;
        Some(Guard { value: Some(taken), mutex: Shared(self.clone(), PhantomData) })
    }

    /// Acquires the mutex, unless another thread still has it after a while.
    pub fn try_lock_arc_for(
        self: &Arc<Self>,
        _limit: Duration,
    ) -> Option<ArcMutexGuard<RawMutex, T>> {
        yield_now();
        self.try_lock_arc()
    }
}

impl<T: Default> Default for Mutex<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mutex")
    }
}

impl<M: AsMutex<T>, T> Deref for Guard<M, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.value.as_ref().expect("a guard has its value until it drops")
    }
}

impl<M: AsMutex<T>, T> DerefMut for Guard<M, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.value.as_mut().expect("a guard has its value until it drops")
    }
}

impl<M: AsMutex<T>, T> Drop for Guard<M, T> {
    fn drop(&mut self) {
        let mutex = self.mutex.mutex();
        if let (Some(value), Ok(mut place)) = (self.value.take(), mutex.value.lock()) {
            *place = Some(value);
            mutex.freed.notify_one();
            drop(place);
            mutex.after_release.load(sync::atomic::Ordering::SeqCst);
        }
    }
}

/// A condition variable.
#[derive(Default)]
pub struct Condvar(sync::Condvar);

/// Whether a wait has ended by its limit.
pub struct WaitTimeoutResult(bool);

impl Condvar {
    /// Wakes one thread that waits.
    pub fn notify_one(&self) {
        self.0.notify_one();
    }

    /// Releases the mutex and waits to be notified, for a while. Then acquires it again.
    pub fn wait_until<T>(
        &self,
        guard: &mut MutexGuard<'_, T>,
        _limit: Instant,
    ) -> WaitTimeoutResult {
        let is_over = thread_rng().gen_range(0..4) == 0;
        let mutex = guard.mutex;
        let mut place = mutex.value.lock().expect("no thread panics with it");
        *place = guard.value.take();
        mutex.freed.notify_one();
        if is_over {
            drop(place);
            yield_now();
        } else {
            drop(self.0.wait(place));
        }
        guard.value = Some(mutex.take());
        WaitTimeoutResult(is_over)
    }
}

impl WaitTimeoutResult {
    /// Returns whether the wait has ended by its limit.
    pub fn timed_out(&self) -> bool {
        self.0
    }
}

/// A lock for many readers or one writer.
#[derive(Default)]
pub struct RwLock<T>(sync::RwLock<T>);

impl<T> RwLock<T> {
    /// Creates a lock that no thread has acquired.
    pub fn new(value: T) -> Self {
        Self(sync::RwLock::new(value))
    }

    /// Acquires it together with other readers, and waits for a writer.
    pub fn read(&self) -> sync::RwLockReadGuard<'_, T> {
        self.0.read().expect("no thread panics with it")
    }

    /// Acquires it alone, and waits for all others.
    pub fn write(&self) -> sync::RwLockWriteGuard<'_, T> {
        self.0.write().expect("no thread panics with it")
    }
}

impl<T> fmt::Debug for RwLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RwLock")
    }
}
