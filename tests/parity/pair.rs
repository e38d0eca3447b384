//! Two servers that receive the same requests.

use std::panic::AssertUnwindSafe;
use std::path::Path;

use futures_util::FutureExt;
use harness::{Kind, Server};

use crate::conversation::Conversation;
use crate::threads::Threads;
use crate::transcript::{Transcript, lead};

/// A server under test, with Redis beside it.
#[derive(Debug)]
pub(crate) struct Pair {
    /// `None` when it refuses the flags. Then all its conversations differ, and other pairs go on.
    ours: Option<Server>,
    redis: Server,
}

impl Pair {
    /// Starts both with the same flags, first the server under test, then its reference.
    pub(crate) async fn start((ours, redis): (Kind, Kind), flags: &[String]) -> Self {
        let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("parity/files");
        let files = files.to_str().expect("the path of the tests is text");
        let flags: Vec<String> = flags.iter().map(|flag| flag.replace("{files}", files)).collect();
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let ours_flags = match ours {
            Kind::Ours => [flags.as_slice(), WITHOUT_FILES].concat(),
            Kind::Redis | Kind::Redis8 => flags.clone(),
        };
        let ours = AssertUnwindSafe(Server::start(ours, &ours_flags)).catch_unwind();
        let (ours, redis) = tokio::join!(ours, Server::start(redis, &flags));
        Self { ours: ours.ok(), redis }
    }

    /// Holds a conversation with both servers and returns both transcripts, ours first.
    pub(crate) async fn lead(&mut self, conversation: &Conversation) -> (Transcript, Transcript) {
        let Self { ours, redis } = self;
        let ours = async {
            match ours {
                Some(server) => lead_with(server, conversation).await,
                None => Transcript::default(),
            }
        };
        tokio::join!(ours, lead_with(redis, conversation))
    }
}

/// Holds a conversation with one server. A server that has ended, as after `SHUTDOWN`, is restarted
/// first.
async fn lead_with(server: &mut Server, conversation: &Conversation) -> Transcript {
    if server.process().is_over() {
        server.restart().await;
    }
    let threads = Threads::of(server);
    lead(conversation, server.port(), threads).await
}

/// Every `redis-server` under test gets these flags. Ours gets them as well, since CONFIG GET shows
/// them.
const WITHOUT_FILES: &[&str] = &["--save", "", "--appendonly", "no"];
