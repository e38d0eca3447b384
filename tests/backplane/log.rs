//! The log events of one test, with the fields of their spans.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, Once};

use harness::{SLOW_DEADLINE, eventually_within};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::{LookupSpan, Registry};

thread_local! {
    static OF_THIS_THREAD: RefCell<Option<Log>> = const { RefCell::new(None) };
}

/// The log of one thread, and so of one test.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<Line>>>);

/// Stores each event in the log of the thread where it happens.
///
/// One global subscriber, since subscribers of single threads would miss events. While only one
/// exists, `tracing` caches the interest of the first thread at each callsite, and that test may
/// have no log.
struct ByThread;

/// One event.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) level: Level,
    fields: Fields,
}

#[derive(Clone, Debug, Default)]
struct Fields(BTreeMap<&'static str, String>);

impl Log {
    /// Starts to record the events of this thread.
    pub(crate) fn begin() -> Self {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            let subscriber = Registry::default().with(ByThread);
            tracing::subscriber::set_global_default(subscriber).expect("the only one");
            // A callsite may have cached its interest before the subscriber became the global one.
            tracing::callsite::rebuild_interest_cache();
        });
        let log = Self::default();
        OF_THIS_THREAD.set(Some(log.clone()));
        log
    }

    /// Returns the events with this message.
    pub(crate) fn lines(&self, message: &str) -> Vec<Line> {
        self.all().into_iter().filter(|line| line.field("message") == message).collect()
    }

    /// Returns the first event with this message and connection. Waits for it.
    pub(crate) async fn first(&self, message: &str, connection: &str) -> Line {
        let found = || {
            let mut lines = self.lines(message).into_iter();
            lines.find(|line| line.field("connection") == connection)
        };
        eventually_within(SLOW_DEADLINE, async || found().is_some()).await;
        found().expect("it was there")
    }

    /// Waits until the only backplane of this thread that has lost its server knows it of both
    /// connections. Its state tells of the first alone.
    pub(crate) async fn is_cut_off(&self) {
        for connection in ["subscription", "commands"] {
            self.first("backplane disconnected", connection).await;
        }
    }

    /// Returns all events of the backplane.
    pub(crate) fn all(&self) -> Vec<Line> {
        self.0.lock().expect("no thread panics").clone()
    }
}

impl Line {
    /// Returns a field of the event or of a span around it, or an empty text.
    pub(crate) fn field(&self, name: &str) -> &str {
        self.fields.0.get(name).map_or("", String::as_str)
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for ByThread {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        context.span(id).expect("it is new").extensions_mut().insert(fields);
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        // A thread that ends has no log.
        let log = OF_THIS_THREAD.try_with(|log| log.borrow().clone()).ok().flatten();
        let Some(log) = log.filter(|_| event.metadata().target().starts_with("backplane")) else {
            return;
        };
        let mut fields = Fields::default();
        for span in context.event_scope(event).into_iter().flatten() {
            fields.0.extend(span.extensions().get::<Fields>().cloned().unwrap_or_default().0);
        }
        event.record(&mut fields);
        let line = Line { level: *event.metadata().level(), fields };
        log.0.lock().expect("no thread panics").push(line);
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }
}
