//! The limit of open files of the process, which limits the number of clients.

/// Raises the limit of open files of this process so that `maxclients` clients fit. Returns how many
/// fit: fewer if the system allows no higher limit.
///
/// [`Server`](crate::Server) takes the limit as it is. A program calls this before it binds a server
/// for many clients.
///
/// ```
/// let config = broker::Config {
///     maxclients: broker::fit_clients(100),
///     ..Default::default()
/// };
/// assert!((1..=100).contains(&config.maxclients));
/// ```
#[cfg(unix)]
#[must_use]
pub fn fit_clients(maxclients: usize) -> usize {
    use rustix::process::{Resource, getrlimit, setrlimit};

    /// Descriptors of the process itself, as in Redis.
    const OWN: u64 = 32;

    let needed = (maxclients as u64).saturating_add(OWN);
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= needed) {
        return maxclients;
    }
    limit.current = Some(limit.maximum.map_or(needed, |maximum| maximum.min(needed)));
    let _ = setrlimit(Resource::Nofile, limit);
    match getrlimit(Resource::Nofile).current {
        Some(files) if files < needed => {
            usize::try_from(files.saturating_sub(OWN).max(1)).unwrap_or(maxclients)
        }
        _ => maxclients,
    }
}

/// Returns `maxclients`: this system has no such limit.
#[cfg(not(unix))]
#[must_use]
pub fn fit_clients(maxclients: usize) -> usize {
    maxclients
}
