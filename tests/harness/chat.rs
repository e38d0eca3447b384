//! The chat as a process: two web servers on one broker, which gets only the broker's URL.

use std::process::Command;

use crate::port::free_port;
use crate::process::Process;
use crate::program::chat_demo_bin;
use crate::wait::SLOW_DEADLINE;

/// A running chat.
#[derive(Debug)]
pub struct Chat {
    process: Process,
    pages: Vec<String>,
}

impl Chat {
    /// Starts two web servers with a backplane at this URL.
    ///
    /// # Panics
    ///
    /// When they do not print their addresses within the deadline.
    pub async fn at(url: &str) -> Self {
        Self::start(&["--redis", url]).await
    }

    /// Starts two web servers with these options.
    ///
    /// # Panics
    ///
    /// When they do not print their addresses within the deadline.
    pub async fn start(options: &[&str]) -> Self {
        let addresses = [free_port(), free_port()].map(|port| format!("127.0.0.1:{port}"));
        let mut command = Command::new(chat_demo_bin());
        command.args(options);
        for address in &addresses {
            command.args(["--listen", address]);
        }
        let pages = addresses.map(|address| format!("http://{address}/"));
        let process = Process::start(&mut command);
        process
            .stdout_with(SLOW_DEADLINE, |text| {
                let are_listed = pages.iter().all(|page| text.contains(page));
                (are_listed && text.contains("redis-cli")).then_some(())
            })
            .await;
        Self { process, pages: pages.into() }
    }

    /// Returns the addresses of the pages, one for each server.
    pub fn pages(&self) -> &[String] {
        &self.pages
    }

    /// Returns the process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Returns all output so far, including the log.
    pub fn log(&self) -> String {
        self.process.transcript()
    }
}
