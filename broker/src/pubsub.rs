//! Publish and subscribe: the subscriptions, and the way of a message to its subscribers.
//!
//! The order ([`order`]) serializes publishes, changes of subscriptions and commands on keys. While
//! a publisher holds it, it puts the message into the inbox of each other worker with a subscriber
//! and takes its own worker's inbox. After the release, it delivers the taken messages, then its
//! own. So all workers see one order: a client subscribes or unsubscribes between the same two
//! messages for every worker.

mod api;
pub(crate) mod batch;
pub(crate) mod client_output;
mod delivery;
mod fan_out;
pub(crate) mod flush_queue;
pub(crate) mod id_set;
mod inbox;
mod interest;
#[cfg(all(test, shuttle))]
mod interleavings;
mod keys;
pub(crate) mod local;
mod mailbox;
pub(crate) mod message;
mod numbered;
mod occupancy;
pub(crate) mod order;
pub(crate) mod outbox;
mod patterns;
mod queued_frames;
pub(crate) mod rates;
mod registry;
mod remembered;
pub(crate) mod replay;
pub(crate) mod replica_stream;
pub(crate) mod reply_blocks;
pub(crate) mod script_barrier;
mod shared;
pub(crate) mod slow_subscriber;
pub(crate) mod subscriber;
pub(crate) mod subscribers;
mod subscriptions;
mod tapped;
pub(crate) mod taps;
mod view;

pub use self::api::Broker;
pub(crate) use self::fan_out::Fanout;
pub(crate) use self::keys::View;
pub use self::numbered::NumberError;
pub use self::remembered::ReplayPosition;
pub(crate) use self::tapped::{Publisher, PublisherNames};
pub(crate) use self::view::BrokerView;
