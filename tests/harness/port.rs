//! Ports that no other program uses while a test runs.
//!
//! They lie below the range from which systems take the ports of outgoing connections. So a killed
//! server can restart on its port: no connection has taken it in between.

use std::hash::{BuildHasher, RandomState};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU16, Ordering};

/// Returns a free loopback port; the same one is not returned again by this process for a long
/// time.
///
/// # Panics
///
/// When no port is free.
pub fn free_port() -> u16 {
    static NEXT: OnceLock<AtomicU16> = OnceLock::new();
    // A random start keeps test processes that run at the same time apart.
    let next = NEXT.get_or_init(|| AtomicU16::new(random_u16()));
    (0..COUNT)
        .map(|_| FIRST + next.fetch_add(1, Ordering::Relaxed) % COUNT)
        .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .expect("a loopback port should be free")
}

fn random_u16() -> u16 {
    (RandomState::new().hash_one(std::process::id()) % u64::from(COUNT)) as u16
}

/// Above the ports of well-known services.
const FIRST: u16 = 20_000;
/// Linux takes outgoing ports from 32768, others from 49152.
const COUNT: u16 = 12_000;
