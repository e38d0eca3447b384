//! The version numbers that the broker reports.

/// The version of Redis that the broker reports and follows in its replies.
///
/// ```
/// assert!(broker::REDIS_VERSION.starts_with("7."));
/// ```
pub const REDIS_VERSION: &str = "7.2.4";

/// The broker's own version.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");
