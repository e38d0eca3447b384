//! The limit of open files, which limits the number of clients.

/// Raises the limit of open files of this process as far as the system allows. Returns the limit.
#[cfg(unix)]
pub(crate) fn raise_limit() -> usize {
    use rustix::process::{Resource, getrlimit, setrlimit};

    let mut limit = getrlimit(Resource::Nofile);
    limit.current = match limit.maximum {
        Some(maximum) => Some(maximum.min(DESCRIPTORS_MAX)),
        None => Some(DESCRIPTORS_MAX),
    };
    // A limit that is higher already stays.
    if getrlimit(Resource::Nofile).current.is_some_and(|current| Some(current) < limit.current) {
        let _ = setrlimit(Resource::Nofile, limit);
    }
    let current = getrlimit(Resource::Nofile).current.unwrap_or(DESCRIPTORS_MAX);
    usize::try_from(current.min(DESCRIPTORS_MAX)).unwrap_or(usize::MAX)
}

/// Returns a number that other limits stay below: this system has no such limit.
#[cfg(not(unix))]
pub(crate) fn raise_limit() -> usize {
    usize::try_from(DESCRIPTORS_MAX).unwrap_or(usize::MAX)
}

/// Returns the maximum number of hub connections of each of `sites` web servers.
///
/// A quarter of the descriptors stays for the broker, for other requests and for connections that
/// use two, such as those with Server-Sent Events.
pub(crate) fn connections_max(descriptors: usize, sites: usize) -> usize {
    (descriptors / 4 * 3 / sites.max(1)).max(1)
}

/// More than a demonstration needs.
const DESCRIPTORS_MAX: u64 = 65_536;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_web_servers_share_three_quarters_of_the_descriptors() {
        assert_eq!(connections_max(1024, 2), 384);
        assert_eq!(connections_max(1024, 1), 768);
        assert_eq!(connections_max(2, 2), 1);
    }

    #[test]
    fn the_limit_is_not_lowered() {
        let limit = raise_limit();
        assert!(limit > 0);
        assert_eq!(raise_limit(), limit);
    }
}
