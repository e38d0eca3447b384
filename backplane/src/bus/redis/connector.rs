//! Connections to the server that has the app's channel. Each connection resolves the address
//! again.
//!
//! A Sentinel's reply may be outdated after a failover, so `ROLE` verifies the master. A server that
//! is cut off together with the old master stays connected to it, so the Sentinels are asked again at
//! intervals; the latest epoch of their configuration decides. In a cluster, the members report the
//! owner of the channel's slot.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use locks::Mutex;
use resp::value::Value;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;

use super::failure::Failure;
use super::resp_connection::RespConnection;
use super::stream::{connect, connect_unix};
use super::timeouts::bounded;
use super::tls;
use crate::address::{Address, Host, Login, Place};
use crate::bus::error::ConnectError;

pub(super) struct Connector {
    address: Address,
    tls: Option<TlsConnector>,
    channel: String,
    /// Members of the cluster, in addition to those of the URL.
    members: Mutex<Vec<Host>>,
    /// The master of the latest epoch, if another one was connected. It is tried first.
    new_master: Mutex<Option<Host>>,
}

impl Connector {
    pub(super) fn new(address: Address, channel: &str) -> Result<Self, ConnectError> {
        let tls = address.tls.as_ref().map(tls::connector).transpose()?;
        let (members, new_master) = (Mutex::default(), Mutex::default());
        Ok(Self { address, tls, channel: channel.to_owned(), members, new_master })
    }

    pub(super) fn channel(&self) -> &str {
        &self.channel
    }

    /// Returns whether the channel is a shard channel of a cluster.
    pub(super) fn is_sharded(&self) -> bool {
        matches!(self.address.place, Place::Cluster(_))
    }

    /// Connects, logs in, and selects the database.
    pub(super) async fn open(&self, within: Duration) -> Result<RespConnection, Failure> {
        let connection = match &self.address.place {
            Place::Host(host) => self.reach(host, within).await?,
            Place::Unix(path) => {
                let attempt = async {
                    let mut connection = RespConnection::new(connect_unix(path).await?);
                    connection.log_in(&self.address.login).await?;
                    Ok(connection)
                };
                bounded(within, attempt).await?
            }
            Place::Sentinel { sentinels, master, login } => {
                self.master(sentinels, master, login, within).await?
            }
            Place::Cluster(seeds) => self.owner(seeds, within).await?,
        };
        let mut connection = connection;
        bounded(within, async {
            connection.introduce(&self.address).await?;
            Ok(connection)
        })
        .await
    }

    async fn reach(&self, host: &Host, within: Duration) -> Result<RespConnection, Failure> {
        self.reach_as(host, &self.address.login, within).await
    }

    async fn reach_as(
        &self,
        host: &Host,
        login: &Login,
        within: Duration,
    ) -> Result<RespConnection, Failure> {
        bounded(within, async {
            let mut connection = RespConnection::new(connect(host, self.tls.as_ref()).await?);
            connection.log_in(login).await?;
            Ok(connection)
        })
        .await
    }

    /// Connects to the master that the Sentinels report.
    async fn master(
        &self,
        sentinels: &[Host],
        name: &str,
        login: &Login,
        within: Duration,
    ) -> Result<RespConnection, Failure> {
        let attempts = sentinels.iter().map(|sentinel| async move {
            let mut connection = self.reach_as(sentinel, login, within).await?;
            let words = [b"SENTINEL".as_slice(), b"GET-MASTER-ADDR-BY-NAME", name.as_bytes()];
            let reply = bounded(within, connection.ask(&words)).await?;
            let host = host(reply.items()).ok_or_else(|| {
                Failure::Lost(format!("the sentinel {sentinel} reports no master '{name}'"))
            })?;
            self.master_at(&host, within).await
        });
        let new_master = self.new_master.lock().clone();
        if let Some(host) = new_master {
            match self.master_at(&host, within).await {
                Ok(connection) => return Ok(connection),
                Err(_) => *self.new_master.lock() = None,
            }
        }
        first_good(attempts, "the address names no sentinel").await
    }

    async fn master_at(&self, host: &Host, within: Duration) -> Result<RespConnection, Failure> {
        let mut connection = self.reach(host, within).await?;
        let role = bounded(within, connection.ask(&[b"ROLE"])).await?;
        match role.items().first().and_then(Value::text) {
            Some("master") => {
                connection.master = Some(host.clone());
                Ok(connection)
            }
            _ => Err(Failure::Lost(format!("{host} is not a master"))),
        }
    }

    /// Waits until the Sentinels report another master than the one that is connected, which accepts
    /// connections. Without Sentinels, waits for good. Cancel safe.
    pub(super) async fn another_master(
        &self,
        connected: Option<Host>,
        every: Duration,
        within: Duration,
    ) -> Failure {
        let (Place::Sentinel { sentinels, master, login }, Some(connected)) =
            (&self.address.place, connected)
        else {
            return std::future::pending().await;
        };
        loop {
            sleep(every).await;
            let asked =
                sentinels.iter().map(|sentinel| self.epoch(sentinel, master, login, within));
            let reports = join_all(asked).await.into_iter().filter_map(Result::ok);
            // A Sentinel that is cut off with the old master reports an earlier epoch.
            let latest = reports.max_by_key(|(epoch, _)| *epoch);
            let Some((_, host)) = latest.filter(|(_, host)| *host != connected) else { continue };
            if self.master_at(&host, within).await.is_ok() {
                let failure = Failure::Lost(format!("the sentinels report another master, {host}"));
                *self.new_master.lock() = Some(host);
                return failure;
            }
        }
    }

    /// Asks a Sentinel for the epoch of its configuration and for the master.
    async fn epoch(
        &self,
        sentinel: &Host,
        name: &str,
        login: &Login,
        within: Duration,
    ) -> Result<(u64, Host), Failure> {
        let mut connection = self.reach_as(sentinel, login, within).await?;
        let words = [b"SENTINEL".as_slice(), b"MASTER", name.as_bytes()];
        let reply = bounded(within, connection.ask(&words)).await?;
        let found = master_of(reply.items());
        found.ok_or_else(|| Failure::Lost(format!("the sentinel {sentinel} reports no epoch")))
    }

    /// Connects to the owner of the channel's slot, as the members of the cluster report it.
    async fn owner(&self, seeds: &[Host], within: Duration) -> Result<RespConnection, Failure> {
        let members = self.members.lock().clone();
        let attempts = members.iter().chain(seeds).map(|member| async move {
            let mut connection = self.reach(member, within).await?;
            let words = [b"CLUSTER".as_slice(), b"KEYSLOT", self.channel.as_bytes()];
            let slot = bounded(within, connection.ask(&words)).await?.integer().unwrap_or_default();
            let slots = bounded(within, connection.ask(&[b"CLUSTER", b"SLOTS"])).await?;
            let owner = owner(slots.items(), slot, member).ok_or_else(|| {
                Failure::Lost(format!("no member of the cluster owns slot {slot}"))
            })?;
            let connection =
                if owner == *member { connection } else { self.reach(&owner, within).await? };
            *self.members.lock() = all(slots.items(), member);
            Ok(connection)
        });
        first_good(attempts, "the address names no member of the cluster").await
    }

    /// Records the new owner of the slot from a `MOVED` error, to try it first.
    pub(super) fn on_redirect(&self, failure: &Failure) {
        let text = failure.to_string();
        let target = text.strip_prefix("MOVED ").and_then(|rest| rest.split(' ').nth(1));
        let Some((name, port)) = target.and_then(|target| target.rsplit_once(':')) else { return };
        // An empty name means the server that replied, which is tried anyway.
        if let (false, Ok(port)) = (name.is_empty(), port.parse()) {
            self.members.lock().insert(0, Host { name: name.to_owned(), port });
        }
    }
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Connector({})", self.address)
    }
}

impl std::fmt::Display for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.address.fmt(f)
    }
}

/// Runs attempts in order until one succeeds. The next attempt starts when the last one fails, or
/// after a short time without a result, so an unresponsive host does not block the others.
async fn first_good<T>(
    attempts: impl Iterator<Item = impl Future<Output = Result<T, Failure>>>,
    otherwise: &str,
) -> Result<T, Failure> {
    let (mut attempts, mut under_way) = (attempts, FuturesUnordered::new());
    let mut failure = Failure::Lost(otherwise.to_owned());
    loop {
        under_way.extend(attempts.next());
        if under_way.is_empty() {
            return Err(failure);
        }
        match timeout(SILENCE, under_way.next()).await {
            Ok(Some(Ok(found))) => return Ok(found),
            Ok(Some(Err(error))) => failure = error,
            Ok(None) | Err(_) => {}
        }
    }
}

/// Longer than a few round trips in a healthy network.
const SILENCE: Duration = Duration::from_millis(250);

/// Parses the reply to `SENTINEL MASTER`: names and values in turn.
fn master_of(items: &[Value]) -> Option<(u64, Host)> {
    let value = |name: &str| {
        let mut pairs = items.chunks_exact(2);
        pairs.find(|pair| pair[0].text() == Some(name)).map(|pair| &pair[1])
    };
    let epoch = value("config-epoch")?.text()?.parse().ok()?;
    Some((epoch, host(&[value("ip")?.clone(), value("port")?.clone()])?))
}

/// Parses a host from `[name, port]`.
fn host(items: &[Value]) -> Option<Host> {
    let (name, port) = (items.first()?, items.get(1)?);
    let port = match port {
        Value::Integer(port) => u16::try_from(*port).ok()?,
        port => port.text()?.parse().ok()?,
    };
    Some(Host { name: name.text()?.to_owned(), port })
}

/// Returns the owner of a slot from `CLUSTER SLOTS`. An empty name means the server that replied.
fn owner(ranges: &[Value], slot: i64, asked: &Host) -> Option<Host> {
    let has_slot = |range: &&Value| match range.items() {
        [first, last, ..] => {
            first.integer().is_some_and(|first| first <= slot)
                && last.integer().is_some_and(|last| slot <= last)
        }
        _ => false,
    };
    member(ranges.iter().find(has_slot)?.items().get(2)?, asked)
}

/// Returns all members in `CLUSTER SLOTS`, including replicas.
fn all(ranges: &[Value], asked: &Host) -> Vec<Host> {
    let members = ranges.iter().flat_map(|range| range.items().iter().skip(2));
    let mut members: Vec<_> = members.filter_map(|value| member(value, asked)).collect();
    members.sort_by(|a, b| (&a.name, a.port).cmp(&(&b.name, b.port)));
    members.dedup();
    members
}

fn member(value: &Value, asked: &Host) -> Option<Host> {
    let port = value.items().get(1)?;
    match value.items().first()? {
        Value::Null => host(&[Value::Bulk(asked.name.clone().into()), port.clone()]),
        name if name.text() == Some("") => {
            host(&[Value::Bulk(asked.name.clone().into()), port.clone()])
        }
        _ => host(value.items()),
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use futures_util::future::Either;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// Starts a server with the same reply to each request.
    async fn scripted(reply: impl Fn(&str) -> String + Send + Sync + 'static) -> u16 {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut buffer = [0; 1024];
                // Requests are small, and come one at a time.
                while let Ok(read) = stream.read(&mut buffer).await {
                    let request = String::from_utf8_lossy(&buffer[..read]).into_owned();
                    if read == 0 || stream.write_all(reply(&request).as_bytes()).await.is_err() {
                        break;
                    }
                }
            }
        });
        port
    }

    async fn master() -> u16 {
        scripted(|_| "*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n".to_owned()).await
    }

    async fn sentinel(master: u16, epoch: u64) -> u16 {
        let bulk = |text: String| format!("${}\r\n{text}\r\n", text.len());
        scripted(move |request| {
            let (ip, port) = (bulk("127.0.0.1".to_owned()), bulk(master.to_string()));
            if request.contains("GET-MASTER") {
                return format!("*2\r\n{ip}{port}");
            }
            let [a, b, c] = ["ip", "port", "config-epoch"].map(|name| bulk(name.to_owned()));
            format!("*6\r\n{a}{ip}{b}{port}{c}{}", bulk(epoch.to_string()))
        })
        .await
    }

    #[tokio::test]
    async fn the_master_of_the_latest_epoch_replaces_one_that_is_cut_off() {
        let (old, new) = (master().await, master().await);
        // The first Sentinel is cut off together with the old master.
        let (stale, fresh) = (sentinel(old, 1).await, sentinel(new, 2).await);
        let url = format!("redis-sentinel://127.0.0.1:{stale},127.0.0.1:{fresh}/main");
        let connector = Connector::new(url.parse().unwrap(), "app").unwrap();
        let (every, within) = (Duration::from_millis(1), Duration::from_secs(10));
        let connection = connector.open(within).await.unwrap();
        let port = |connection: &RespConnection| connection.master.as_ref().unwrap().port;
        assert_eq!(port(&connection), old);
        let failure = connector.another_master(connection.master, every, within).await;
        assert!(failure.to_string().ends_with(&new.to_string()), "{failure}");
        let connection = connector.open(within).await.unwrap();
        assert_eq!(port(&connection), new);
        let watch = connector.another_master(connection.master, every, within);
        assert!(timeout(Duration::from_millis(50), watch).await.is_err(), "it is the latest one");
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_attempt_does_not_block_the_next() {
        let attempts = [
            Either::Left(pending()),
            Either::Right(ready(Err(Failure::closed()))),
            Either::Right(ready(Ok(7))),
        ];
        let begun = tokio::time::Instant::now();
        assert_eq!(first_good(attempts.into_iter(), "none").await, Ok(7));
        assert!(begun.elapsed() <= SILENCE, "{:?}", begun.elapsed());
        let failed = [ready(Err::<(), _>(Failure::closed()))];
        assert_eq!(first_good(failed.into_iter(), "none").await, Err(Failure::closed()));
    }

    #[test]
    fn a_redirection_adds_the_owner_of_the_slot() {
        let address = "redis-cluster://a:1".parse().unwrap();
        let connector = Connector::new(address, "app").unwrap();
        for reply in ["MOVED 7 b:2", "MOVED 7 :3", "ASK 7 c:4", "MOVED 7 ::1:5", "MOVED"] {
            connector.on_redirect(&Failure::of_reply(reply));
        }
        let members = connector.members.lock().iter().map(Host::to_string).collect::<Vec<_>>();
        assert_eq!(members.len(), 2, "{members:?}");
        assert_eq!(members[1], "b:2");
    }
}
