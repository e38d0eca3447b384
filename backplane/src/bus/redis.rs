//! A Redis-compatible server.
//!
//! A supervisor keeps a link to the server: it connects anew for ever, with growing pauses that are
//! drawn by chance, so that a farm of servers does not come back in step. Failures never latch:
//! what is sent meanwhile waits a little for the next link, and nothing is ever sent twice.

mod failure;
mod link;
mod server;

use std::sync::Arc;
use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tracing::{error, info, warn};

use self::failure::Failure;
use self::link::Link;
use self::server::Server;
use super::{ConnectError, SHUT_DOWN, SendError};
use crate::receiver::Receiver;
use crate::state::State;

#[derive(Debug)]
pub(crate) struct RedisBus {
    supervisor: Arc<Supervisor>,
    address: String,
    task: Mutex<Option<JoinHandle<()>>>,
}

/// Keeps a link to the server.
#[derive(Debug)]
struct Supervisor {
    server: Server,
    channel: String,
    patience: Patience,
    state: watch::Sender<State>,
    commands: watch::Sender<Commands>,
    /// Told when a server that should answer did not.
    suspicion: Notify,
}

/// The connection for commands.
#[derive(Clone, Debug)]
enum Commands {
    Ready(MultiplexedConnection),
    Away,
    /// There will be none any more.
    Ended,
}

/// How long to wait for what.
#[derive(Clone, Copy, Debug)]
struct Patience {
    /// For one answer of the server; for the few that connecting takes, twice that.
    answer: Duration,
    /// Between two questions whether it is still there.
    ping_interval: Duration,
    /// What a send waits for a server that is away.
    send: Duration,
    /// A pause between attempts is drawn from zero to a bound, which begins with this …
    pause_min: Duration,
    /// … and doubles up to this.
    pause_max: Duration,
}

/// A server is missed after seven seconds at most, and a farm's attempts stay below one per server
/// and second.
const PATIENCE: Patience = Patience {
    answer: Duration::from_secs(2),
    ping_interval: Duration::from_secs(5),
    send: Duration::from_secs(5),
    pause_min: Duration::from_millis(50),
    pause_max: Duration::from_secs(2),
};

impl RedisBus {
    /// An empty password is none.
    pub(crate) fn new(host: &str, port: u16, password: &str, channel: &str) -> Self {
        Self::over(Server::new(host, port, password), channel, PATIENCE)
    }

    pub(crate) fn from_url(url: &str, channel: &str) -> Result<Self, ConnectError> {
        Ok(Self::over(Server::from_url(url)?, channel, PATIENCE))
    }

    fn over(server: Server, channel: &str, patience: Patience) -> Self {
        let address = server.to_string();
        let supervisor = Supervisor {
            server,
            channel: channel.to_owned(),
            patience,
            state: watch::Sender::new(State::Connecting),
            commands: watch::Sender::new(Commands::Away),
            suspicion: Notify::new(),
        };
        Self { supervisor: Arc::new(supervisor), address, task: Mutex::default() }
    }

    pub(crate) fn start(&self, receiver: Receiver) {
        let supervisor = self.supervisor.clone();
        *self.task.lock() = Some(tokio::spawn(async move { supervisor.run(&receiver).await }));
    }

    pub(crate) async fn stop(&self) {
        let task = self.task.lock().take();
        if let Some(task) = task {
            task.abort();
            // Its end is awaited, as it would otherwise write its own state over this one.
            let _ = task.await;
        }
        self.supervisor.commands.send_replace(Commands::Ended);
        self.supervisor.state.send_replace(State::Disconnected { reason: SHUT_DOWN.to_owned() });
    }

    pub(crate) async fn publish(&self, payload: Bytes) -> Result<(), SendError> {
        let mut connection = self.supervisor.commands().await?;
        let mut publish = ::redis::cmd("PUBLISH");
        publish.arg(&self.supervisor.channel).arg(&payload[..]);
        publish.query_async(&mut connection).await.map_err(|error| {
            let failure = match error.is_timeout() {
                true => Failure::no_answer(self.supervisor.patience.answer),
                false => error.into(),
            };
            self.supervisor.suspicion.notify_one();
            SendError::Failed { reason: failure.to_string() }
        })
    }

    pub(crate) fn state_changes(&self) -> watch::Receiver<State> {
        self.supervisor.state.subscribe()
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }
}

impl Drop for RedisBus {
    fn drop(&mut self) {
        if let Some(task) = self.task.lock().take() {
            task.abort();
        }
    }
}

impl Supervisor {
    /// Connects again and again, and receives as long as it is connected.
    async fn run(&self, receiver: &Receiver) {
        let mut pause = self.patience.pause_min;
        loop {
            let failure = match self.link().await {
                Ok(link) => {
                    let since = Instant::now();
                    let failure = link.receive(receiver, &self.patience, &self.suspicion).await;
                    // A server that lets us in only to throw us out earns longer pauses too.
                    if since.elapsed() > self.patience.pause_max / 4 {
                        pause = self.patience.pause_min;
                    }
                    failure
                }
                Err(failure) => failure,
            };
            self.commands.send_replace(Commands::Away);
            self.note(&failure);
            sleep(pause.mul_f64(rand::random())).await;
            pause = (pause * 2).min(self.patience.pause_max);
        }
    }

    /// Connects, and lets everyone know.
    async fn link(&self) -> Result<Link, Failure> {
        let link = Link::open(&self.server, &self.channel, &self.patience).await?;
        info!(server = %self.server, channel = %self.channel, "backplane connected");
        self.commands.send_replace(Commands::Ready(link.commands()));
        self.state.send_replace(State::Connected);
        Ok(link)
    }

    /// Says once what went wrong, however often it does.
    fn note(&self, failure: &Failure) {
        let state = State::Disconnected { reason: failure.to_string() };
        let changed = self.state.send_if_modified(|current| {
            let changed = *current != state;
            *current = state;
            changed
        });
        match (changed, failure) {
            (false, _) => {}
            (true, Failure::Refused(reason)) => {
                error!(server = %self.server, %reason, "backplane refused");
            }
            (true, Failure::Lost(reason)) => {
                warn!(server = %self.server, %reason, "backplane disconnected");
            }
        }
    }

    /// Returns the connection for commands, and waits a little for one.
    async fn commands(&self) -> Result<MultiplexedConnection, SendError> {
        let mut commands = self.commands.subscribe();
        let is_decided = |commands: &Commands| !matches!(commands, Commands::Away);
        let decided = timeout(self.patience.send, commands.wait_for(is_decided)).await;
        if let Ok(Ok(decided)) = &decided
            && let Commands::Ready(connection) = &**decided
        {
            return Ok(connection.clone());
        }
        Err(self.away())
    }

    fn away(&self) -> SendError {
        let reason = match &*self.state.borrow() {
            State::Disconnected { reason } => reason.clone(),
            State::Connecting | State::Connected => "the first attempt is under way".to_owned(),
        };
        SendError::Disconnected { reason }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use broker::{Broker, Config};
    use tokio::io::copy_bidirectional;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::connections::{Connection, Connections};
    use crate::envelope;
    use crate::invocation::Invocation;
    use crate::target::Target;

    /// Long enough for a busy machine, short enough for a test.
    const SHORT: Patience = Patience {
        answer: Duration::from_millis(500),
        ping_interval: Duration::from_millis(100),
        send: Duration::from_secs(20),
        pause_min: Duration::from_millis(1),
        pause_max: Duration::from_millis(20),
    };

    /// A bus to a broker, through a network that can fail.
    struct Fixture {
        bus: RedisBus,
        ann: Connection,
        network: watch::Sender<Network>,
        /// How many connections were made.
        made: watch::Receiver<usize>,
        _broker: broker::Server,
    }

    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Network {
        Up,
        /// Connections are closed as soon as they are made.
        Down,
        /// The connection of this number is closed.
        Cut(usize),
        /// The first so many connections stay open, and carry nothing any more.
        Silent(usize),
    }

    impl Fixture {
        async fn new(patience: Patience) -> Self {
            let config = Config { port: 0, ..Config::default() };
            let broker = broker::Server::bind(Broker::new(), &config).await.unwrap();
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let port = listener.local_addr().unwrap().port();
            let network = watch::Sender::new(Network::Up);
            let made = spawn_network(listener, broker.local_addr(), network.clone());
            let connections = Arc::new(Connections::default());
            let fixture = Self {
                bus: RedisBus::over(Server::new("127.0.0.1", port, ""), "App", patience),
                ann: connections.attach("ann", None),
                network,
                made,
                _broker: broker,
            };
            fixture.bus.start(Receiver::new(connections));
            fixture.is(|state| *state == State::Connected).await;
            fixture
        }

        async fn is(&self, expected: impl FnMut(&State) -> bool) {
            let mut changes = self.bus.state_changes();
            within(changes.wait_for(expected)).await.unwrap();
        }

        /// Waits until both connections were made again.
        async fn is_back(&mut self) {
            within(self.made.wait_for(|made| *made >= 4)).await.unwrap();
            self.is(|state| *state == State::Connected).await;
        }

        async fn send(&self, number: usize) -> Result<(), SendError> {
            let invocation = Invocation::new("m", [number]).unwrap();
            self.bus.publish(envelope::write(&Target::all(), &invocation)).await
        }

        async fn received(&mut self) -> String {
            within(self.ann.recv()).await.unwrap().arguments().get().to_owned()
        }
    }

    fn spawn_network(
        listener: TcpListener,
        broker: SocketAddr,
        network: watch::Sender<Network>,
    ) -> watch::Receiver<usize> {
        let (made, seen) = watch::channel(0);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let number = *made.borrow();
                tokio::spawn(relay(client, broker, number, network.subscribe()));
                made.send_replace(number + 1);
            }
        });
        seen
    }

    async fn relay(
        mut client: TcpStream,
        broker: SocketAddr,
        number: usize,
        mut network: watch::Receiver<Network>,
    ) {
        let mut server = TcpStream::connect(broker).await.unwrap();
        let is_mine = |network: &Network| match *network {
            Network::Up => false,
            Network::Down => true,
            Network::Cut(cut) => cut == number,
            Network::Silent(count) => number < count,
        };
        let fault = tokio::select! {
            _ = copy_bidirectional(&mut client, &mut server) => return,
            fault = network.wait_for(is_mine) => *fault.unwrap(),
        };
        if let Network::Silent(_) = fault {
            std::future::pending::<()>().await;
        }
    }

    async fn within<T>(future: impl Future<Output = T>) -> T {
        timeout(Duration::from_secs(30), future).await.expect("it happens within 30 seconds")
    }

    #[tokio::test]
    async fn what_is_sent_comes_back_through_the_server() {
        let mut fixture = Fixture::new(SHORT).await;
        fixture.send(1).await.unwrap();
        assert_eq!(fixture.received().await, "[1]");
    }

    #[tokio::test]
    async fn either_lost_connection_is_replaced_and_nothing_stays_broken() {
        for lost in [0, 1] {
            let mut fixture = Fixture::new(SHORT).await;
            fixture.network.send_replace(Network::Cut(lost));
            fixture.is_back().await;
            fixture.send(lost).await.unwrap();
            assert_eq!(fixture.received().await, format!("[{lost}]"));
        }
    }

    #[tokio::test]
    async fn a_server_that_is_gone_without_a_word_is_found_out() {
        let mut fixture = Fixture::new(SHORT).await;
        fixture.network.send_replace(Network::Silent(2));
        fixture.is_back().await;
        fixture.send(1).await.unwrap();
        assert_eq!(fixture.received().await, "[1]");
    }

    #[tokio::test]
    async fn a_send_without_an_answer_is_an_error_and_makes_us_look() {
        let patience = Patience { ping_interval: Duration::from_secs(3600), ..SHORT };
        let mut fixture = Fixture::new(patience).await;
        fixture.network.send_replace(Network::Silent(2));
        assert_eq!(
            fixture.send(1).await.unwrap_err().to_string(),
            "the backplane could not send: no answer within 500ms"
        );
        fixture.is_back().await;
        fixture.send(2).await.unwrap();
        assert_eq!(fixture.received().await, "[2]");
    }

    #[tokio::test]
    async fn a_send_waits_for_a_server_that_is_away() {
        let mut fixture = Fixture::new(SHORT).await;
        fixture.network.send_replace(Network::Down);
        fixture.is(|state| matches!(state, State::Disconnected { .. })).await;
        let network = fixture.network.clone();
        let (sent, ()) = tokio::join!(fixture.send(1), async {
            network.send_replace(Network::Up);
        });
        sent.unwrap();
        assert_eq!(fixture.received().await, "[1]");
    }

    #[tokio::test]
    async fn a_send_waits_only_so_long_and_says_what_is_wrong() {
        let patience = Patience { send: Duration::from_millis(50), ..SHORT };
        let fixture = Fixture::new(patience).await;
        fixture.network.send_replace(Network::Down);
        fixture.is(|state| matches!(state, State::Disconnected { .. })).await;
        let error = fixture.send(1).await.unwrap_err().to_string();
        assert!(error.starts_with("the backplane is disconnected: "), "{error}");
    }

    #[tokio::test]
    async fn after_the_end_a_send_fails_at_once() {
        let fixture = Fixture::new(SHORT).await;
        fixture.bus.stop().await;
        let error = fixture.send(1).await.unwrap_err().to_string();
        assert_eq!(error, "the backplane is disconnected: it was shut down");
    }

    #[tokio::test]
    async fn a_refusal_is_told_in_the_servers_words() {
        let config = Config { port: 0, requirepass: Some("right".into()), ..Config::default() };
        let broker = broker::Server::bind(Broker::new(), &config).await.unwrap();
        let port = broker.local_addr().port();
        for (password, expected) in [
            ("wrong", "WRONGPASS invalid username-password pair or user is disabled."),
            ("", "NOAUTH Authentication required."),
        ] {
            let bus = RedisBus::new("127.0.0.1", port, password, "App");
            bus.start(Receiver::new(Arc::default()));
            let mut changes = bus.state_changes();
            let state = within(changes.wait_for(|state| *state != State::Connecting)).await;
            let reason = expected.to_owned();
            assert_eq!(*state.unwrap(), State::Disconnected { reason });
        }
    }
}
