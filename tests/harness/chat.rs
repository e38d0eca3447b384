//! The chat as a process: two web servers on one broker, known to it by URL alone.

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
    /// Starts two web servers whose backplane is at this URL.
    ///
    /// # Panics
    ///
    /// When they do not say that they are ready.
    pub async fn at(url: &str) -> Self {
        Self::start(&["--redis", url]).await
    }

    /// Starts two web servers with these options.
    ///
    /// # Panics
    ///
    /// When they do not say that they are ready.
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
                let told = pages.iter().all(|page| text.contains(page));
                (told && text.contains("redis-cli")).then_some(())
            })
            .await;
        Self { process, pages: pages.into() }
    }

    /// Returns the addresses of the pages, one a server.
    pub fn pages(&self) -> &[String] {
        &self.pages
    }

    /// Returns the process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Returns all it printed so far, the log included.
    pub fn log(&self) -> String {
        self.process.transcript()
    }
}
