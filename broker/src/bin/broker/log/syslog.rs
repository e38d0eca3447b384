//! The log of the system: each line is a datagram to `/dev/log`, as the function `syslog` of C sends it.

use std::fmt::Debug;
use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;

use broker::{Config, SyslogFacility};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

/// Sends events to the system.
pub(super) struct Syslog {
    socket: UnixDatagram,
    path: PathBuf,
    facility: u8,
    ident: String,
}

/// The socket of the system's log, on every Unix.
const PATH: &str = "/dev/log";

impl Syslog {
    /// Returns the log of the system, if the settings ask for it.
    ///
    /// # Errors
    ///
    /// No socket can be made.
    pub(super) fn start(config: &Config) -> io::Result<Option<Self>> {
        config.syslog_enabled.then(|| Self::at(PATH.into(), config)).transpose()
    }

    fn at(path: PathBuf, config: &Config) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        // A full log must not stop the server.
        socket.set_nonblocking(true)?;
        let facility = facility_code(config.syslog_facility);
        let ident = String::from_utf8_lossy(&config.syslog_ident).into_owned();
        Ok(Self { socket, path, facility, ident })
    }

    fn line(&self, level: Level, text: &str) -> String {
        let priority = self.facility * 8 + severity(level);
        let time = chrono::Local::now().format("%b %e %H:%M:%S");
        format!("<{priority}>{time} {}[{}]: {text}", self.ident, std::process::id())
    }
}

impl<S: Subscriber> Layer<S> for Syslog {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut text = Text(String::new());
        event.record(&mut text);
        let line = self.line(*event.metadata().level(), &text.0);
        // Nothing can be done about a line that the system does not take, and Redis does not notice it.
        let _ = self.socket.send_to(line.as_bytes(), &self.path);
    }
}

/// The message of an event, and its fields behind it.
struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        match field.name() {
            "message" => self.0.insert_str(0, &format!("{value:?}")),
            name => self.0.push_str(&format!(" {name}={value:?}")),
        }
    }
}

/// Returns the number that RFC 5424 gives a facility.
fn facility_code(facility: SyslogFacility) -> u8 {
    const USER: u8 = 1;
    const LOCAL_0: u8 = 16;

    match facility {
        SyslogFacility::Local(number) => LOCAL_0 + number.min(7),
        _ => USER,
    }
}

/// Returns the severity that Redis gives a level.
fn severity(level: Level) -> u8 {
    match level {
        Level::ERROR | Level::WARN => 4,
        Level::INFO => 5,
        Level::DEBUG => 6,
        Level::TRACE => 7,
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[test]
    fn lines_are_those_of_the_c_library() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("log");
        let system = UnixDatagram::bind(&path).expect("a socket");
        let config = Config {
            syslog_enabled: true,
            syslog_ident: b"chat".to_vec(),
            syslog_facility: SyslogFacility::Local(3),
            ..Config::default()
        };
        let syslog = Syslog::at(path, &config).expect("a socket");
        let subscriber = tracing_subscriber::registry().with(syslog);
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!(client.id = 7, "client evicted");
        });
        let mut bytes = [0; 1024];
        let count = system.recv(&mut bytes).expect("a datagram");
        let line = String::from_utf8_lossy(&bytes[..count]);
        // local3 is 19, a warning 4.
        assert!(line.starts_with("<156>"), "{line}");
        let end = format!(" chat[{}]: client evicted client.id=7", std::process::id());
        assert!(line.ends_with(&end), "{line}");
        assert_eq!(line.len(), "<156>Dec  1 10:00:00".len() + end.len(), "{line}");
    }

    #[test]
    fn a_system_without_a_log_costs_nothing_but_the_lines() {
        let dir = tempfile::tempdir().expect("a directory");
        let syslog = Syslog::at(dir.path().join("none"), &Config::default()).expect("a socket");
        let subscriber = tracing_subscriber::registry().with(syslog);
        tracing::subscriber::with_default(subscriber, || tracing::info!("lost"));
    }
}
