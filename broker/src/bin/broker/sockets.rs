//! Sockets that systemd has opened for this process.

use std::error::Error;
use std::net::TcpListener;

use broker::{Config, OpenSockets, Port};
use listenfd::ListenFd;

/// Takes the sockets. Those with the name or the port of TLS or of metrics serve them, all others serve
/// clients. Call it before the process has a second thread.
///
/// # Errors
///
/// When a socket does not listen for a stream.
pub(crate) fn take(config: &Config) -> Result<OpenSockets, Box<dyn Error>> {
    let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
    let mut names = names.split(':');
    let mut given = ListenFd::from_env();
    let mut sockets = OpenSockets::default();
    for index in 0..given.len() {
        let name = names.next().unwrap_or_default();
        if let Ok(Some(socket)) = given.take_unix_listener(index) {
            sockets.unix.push(socket);
            continue;
        }
        let socket = given
            .take_tcp_listener(index)
            .map_err(|error| format!("cannot use socket {index} ('{name}'): {error}"))?;
        let Some(socket) = socket else { continue };
        match role(config, name, &socket) {
            Role::Plain => sockets.plain.push(socket),
            Role::Tls => sockets.tls.push(socket),
            Role::Http => sockets.http.push(socket),
        }
    }
    Ok(sockets)
}

enum Role {
    Plain,
    Tls,
    Http,
}

fn role(config: &Config, name: &str, socket: &TcpListener) -> Role {
    let port = socket.local_addr().map_or(Port::None, |address| Port::from(address.port()));
    match name {
        "tls" => Role::Tls,
        "http" => Role::Http,
        _ if port == config.tls.port => Role::Tls,
        _ if port == config.http.port => Role::Http,
        _ => Role::Plain,
    }
}

#[cfg(test)]
mod tests {
    use broker::HttpSettings;

    use super::*;

    #[test]
    fn sockets_serve_by_their_names_and_ports() {
        let open = || TcpListener::bind("127.0.0.1:0").expect("a free port");
        let (socket, other) = (open(), open());
        let port = Port::from(socket.local_addr().expect("its address").port());
        let http = HttpSettings { port, ..HttpSettings::default() };
        let mut config = Config { http, ..Config::default() };
        let is =
            |config: &Config, name: &str, socket: &TcpListener| match role(config, name, socket) {
                Role::Plain => "plain",
                Role::Tls => "tls",
                Role::Http => "http",
            };
        assert_eq!(is(&config, "", &socket), "http");
        assert_eq!(is(&config, "http", &other), "http");
        assert_eq!(is(&config, "relaybox.socket", &other), "plain");
        assert_eq!(is(&config, "tls", &other), "tls");
        config.tls.port = port;
        assert_eq!(is(&config, "unknown", &socket), "tls");
    }
}
