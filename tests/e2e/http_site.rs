//! A broker with an HTTP port, and plain requests to it.

use harness::{Client, Server, free_port};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::server;

/// A broker with an HTTP port.
pub(crate) struct HttpSite {
    pub(crate) server: Server,
    pub(crate) port: u16,
}

impl HttpSite {
    pub(crate) async fn start(flags: &[&str]) -> Self {
        let port = free_port();
        let number = port.to_string();
        let flags = [flags, &["--http-port", &number]].concat();
        Self { server: server(&flags).await, port }
    }

    pub(crate) async fn client(&self) -> Client {
        self.server.client().await
    }

    /// Returns the head and the body of a response.
    pub(crate) async fn get(&self, path: &str, headers: &str) -> (String, String) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await.expect("the port");
        let head = format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{headers}\r\n");
        stream.write_all(head.as_bytes()).await.expect("a request");
        head_and_body(stream).await
    }
}

/// Reads a response until its end.
pub(crate) async fn head_and_body(mut stream: TcpStream) -> (String, String) {
    let mut response = String::new();
    stream.read_to_string(&mut response).await.expect("a response");
    let (head, body) = response.split_once("\r\n\r\n").expect("a head");
    (head.to_owned(), body.to_owned())
}
