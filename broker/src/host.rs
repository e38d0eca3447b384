//! What all sessions of a server share: the broker, the settings, and who the server is.

use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::broker::Broker;
use crate::config::Config;

/// The Redis that clients take us for, so that they use what a server of that age can do.
pub(crate) const REDIS_VERSION: &str = "7.2.4";
/// Our own version.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// One server's surroundings, the same for all its sessions.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) broker: Broker,
    pub(crate) config: Config,
    /// The port that was bound, which differs from the setting when that is 0.
    pub(crate) port: u16,
    /// 40 hexadecimal digits, new at every start: clients forget cached scripts when it changes.
    pub(crate) run_id: String,
    password: Option<[u8; 32]>,
    started: Instant,
}

impl Host {
    pub(crate) fn new(broker: Broker, config: Config, port: u16) -> Self {
        let password =
            config.requirepass.as_deref().map(|password| Sha256::digest(password).into());
        Self { broker, config, port, run_id: run_id(), password, started: Instant::now() }
    }

    /// Whether clients have to give a password.
    pub(crate) fn requires_password(&self) -> bool {
        self.password.is_some()
    }

    /// Whether this is the password, in a time that tells nothing about it.
    pub(crate) fn is_password(&self, given: &[u8]) -> bool {
        let given: [u8; 32] = Sha256::digest(given).into();
        self.password.is_some_and(|password| password.ct_eq(&given).into())
    }

    pub(crate) fn uptime(&self) -> Duration {
        self.started.elapsed()
    }
}

fn run_id() -> String {
    let mut bytes = [0; 20];
    // A run id must differ between runs and need not be secret.
    let seeds = [foldhash::fast::RandomState::default(), foldhash::fast::RandomState::default()];
    for (index, chunk) in bytes.chunks_mut(8).enumerate() {
        use std::hash::BuildHasher;
        let now = std::time::SystemTime::now();
        let hash = seeds[index % 2].hash_one((index, std::process::id(), now)).to_le_bytes();
        chunk.copy_from_slice(&hash[..chunk.len()]);
    }
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(password: Option<&str>) -> Host {
        let requirepass = password.map(Into::into);
        Host::new(Broker::new(), Config { requirepass, ..Config::default() }, 0)
    }

    #[test]
    fn only_the_password_is_the_password() {
        let host = host(Some("secret"));
        assert!(host.requires_password());
        assert!(host.is_password(b"secret"));
        assert!(!host.is_password(b"secre"));
        assert!(!host.is_password(b""));
        assert!(!self::host(None).is_password(b""));
    }

    #[test]
    fn each_run_has_an_id_of_its_own() {
        let ids = [host(None).run_id, host(None).run_id];
        assert_ne!(ids[0], ids[1]);
        assert!(
            ids.iter().all(|id| id.len() == 40 && id.bytes().all(|byte| byte.is_ascii_hexdigit()))
        );
    }
}
