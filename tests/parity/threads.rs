//! The threads of our broker, if it has several.
//!
//! Redis performs all effects of a request before its reply, since it has one thread. With several
//! threads, a message for a client of another thread may arrive later. So each step of a conversation
//! of another client begins when all threads sleep: then everything has arrived, and the replies can be
//! compared.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use harness::{Kind, Server};
use tokio::task::yield_now;
use tokio::time::timeout;

/// The threads of one server.
#[derive(Debug)]
pub(crate) struct Threads {
    directory: PathBuf,
}

impl Threads {
    /// Returns the threads of our broker, unless it has only one.
    pub(crate) fn of(server: &Server) -> Option<Self> {
        let is_of_interest = server.kind() == Kind::Ours && are_several();
        is_of_interest.then(|| Self { directory: format!("/proc/{}/task", server.pid()).into() })
    }

    /// Waits until all threads sleep. Gives up soon, since a late script never sleeps.
    pub(crate) async fn rest(&self) {
        let rest = async {
            let mut before = self.sleeping();
            loop {
                // Far less than a tick of tokio's clock, and a conversation has many steps.
                std::thread::sleep(INTERVAL);
                yield_now().await;
                let now = self.sleeping();
                if now.is_some() && now == before {
                    return;
                }
                before = now;
            }
        };
        let _ = timeout(PATIENCE, rest).await;
    }

    /// Returns how often all threads together have run, or nothing if one of them runs.
    fn sleeping(&self) -> Option<u64> {
        let threads = fs::read_dir(&self.directory).ok()?;
        threads
            .map(|thread| {
                let path = thread.ok()?.path();
                let stat = fs::read_to_string(path.join("stat")).ok()?;
                let is_asleep = stat.rsplit_once(')')?.1.starts_with(" S");
                let times = fs::read_to_string(path.join("schedstat")).ok()?;
                let runs = times.split_whitespace().nth(2)?.parse::<u64>().ok()?;
                is_asleep.then_some(runs)
            })
            .sum()
    }
}

/// Returns whether our broker has several threads in this run of the tests.
pub(crate) fn are_several() -> bool {
    std::env::var("BROKER_IO_THREADS").is_ok_and(|threads| !["", "1"].contains(&&*threads))
}

const INTERVAL: Duration = Duration::from_micros(50);
const PATIENCE: Duration = Duration::from_millis(100);
