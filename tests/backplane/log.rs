//! What is logged while a test runs, with the fields of the spans around it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, Once};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::{LookupSpan, Registry};

thread_local! {
    static OF_THIS_THREAD: RefCell<Option<Log>> = const { RefCell::new(None) };
}

/// A log of this thread, and so of one test.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<Line>>>);

/// Puts each event into the log of the thread that it happens on.
///
/// A subscriber of each thread's own would miss some. As long as there is only one, `tracing` asks
/// the thread that comes first by a place in the code whether anybody is interested in it, and that
/// may be the thread of a test that has none.
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
    /// Begins to note what this thread logs.
    pub(crate) fn begin() -> Self {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            let subscriber = Registry::default().with(ByThread);
            tracing::subscriber::set_global_default(subscriber).expect("the only one");
            // A place may have asked after the subscriber was made and before it was everybody's.
            tracing::callsite::rebuild_interest_cache();
        });
        let log = Self::default();
        OF_THIS_THREAD.set(Some(log.clone()));
        log
    }

    /// Returns all lines of the backplane that say this.
    pub(crate) fn lines(&self, message: &str) -> Vec<Line> {
        self.all().into_iter().filter(|line| line.field("message") == message).collect()
    }

    /// Returns all of the backplane.
    pub(crate) fn all(&self) -> Vec<Line> {
        self.0.lock().expect("nobody panics").clone()
    }
}

impl Line {
    /// Returns a field of the event or of a span around it, or nothing.
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
        // A thread that ends has none any more.
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
        log.0.lock().expect("nobody panics").push(line);
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
