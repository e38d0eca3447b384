//! The chat as processes: web servers on one broker, which get only the broker's URL.

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

    /// Starts two web servers with these options. A person may send any number of messages, unless
    /// the options limit it.
    ///
    /// # Panics
    ///
    /// When they do not print their addresses within the deadline.
    pub async fn start(options: &[&str]) -> Self {
        let addresses = [free_port(), free_port()].map(|port| format!("127.0.0.1:{port}"));
        let mut command = Command::new(chat_demo_bin());
        command.args(options);
        if !options.contains(&"--message-limit") {
            command.args(["--message-limit", "100000"]);
        }
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

/// Two web servers and a load balancer without sticky sessions, each in a process of its own.
#[derive(Debug)]
pub struct ChatFarm {
    servers: Vec<(String, Process)>,
    balancer: Process,
    page: String,
}

impl ChatFarm {
    /// Starts the servers with a backplane at this URL and with these options, and the balancer.
    ///
    /// # Panics
    ///
    /// When they do not print their addresses within the deadline.
    pub async fn start(url: &str, options: &[&str]) -> Self {
        let mut servers = Vec::new();
        for address in [free_port(), free_port()].map(|port| format!("127.0.0.1:{port}")) {
            let process = Self::serve(url, options, &address).await;
            servers.push((address, process));
        }
        let front = format!("127.0.0.1:{}", free_port());
        let mut command = Command::new(chat_demo_bin());
        command.args(["--load-balancer", &front]);
        for (address, _) in &servers {
            command.args(["--behind", address]);
        }
        let page = format!("http://{front}/");
        let balancer = Process::start(&mut command);
        let is_listed = |text: &str| text.contains(&page).then_some(());
        balancer.stdout_with(SLOW_DEADLINE, is_listed).await;
        Self { servers, balancer, page }
    }

    async fn serve(url: &str, options: &[&str], address: &str) -> Process {
        let mut command = Command::new(chat_demo_bin());
        command.args(["--redis", url, "--listen", address]).args(options);
        let process = Process::start(&mut command);
        let is_listed = |text: &str| text.contains("redis-cli").then_some(());
        process.stdout_with(SLOW_DEADLINE, is_listed).await;
        process
    }

    /// Returns the address of the page at the load balancer.
    pub fn page(&self) -> &str {
        &self.page
    }

    /// Returns the address of each server with its process.
    pub fn servers(&mut self) -> &mut [(String, Process)] {
        &mut self.servers
    }

    /// Returns the output of the load balancer so far.
    pub fn balancer_log(&self) -> String {
        self.balancer.transcript()
    }
}
