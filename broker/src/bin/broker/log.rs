//! The log, in Redis' line format: process, role, time, level, text, fields.
//!
//! Tools wait for some of these lines, so the form is Redis': `1234:M 23 Nov 2026 10:00:00.000 *
//! Ready to accept connections`.

use std::fmt;
use std::fs::OpenOptions;
use std::io;
use std::sync::Mutex;

use broker::{Config, LogLevel};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::format::{FormatFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent};
use tracing_subscriber::registry::LookupSpan;

/// Starts logging as `config` says.
///
/// # Errors
///
/// When the log file cannot be opened.
pub(crate) fn start(config: &Config) -> io::Result<()> {
    let builder = tracing_subscriber::fmt()
        .with_ansi(false)
        .event_format(RedisLines)
        .with_max_level(filter(config.loglevel));
    match &config.logfile {
        None => builder.init(),
        Some(path) => {
            let file =
                OpenOptions::new().create(true).append(true).open(path).map_err(|error| {
                    io::Error::new(
                        error.kind(),
                        format!("cannot open log file '{}': {error}", path.display()),
                    )
                })?;
            builder.with_writer(Mutex::new(file)).init();
        }
    }
    Ok(())
}

fn filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Debug | LogLevel::Verbose => LevelFilter::DEBUG,
        LogLevel::Notice => LevelFilter::INFO,
        LogLevel::Warning => LevelFilter::WARN,
        LogLevel::Nothing => LevelFilter::OFF,
    }
}

/// Formats events as Redis formats its lines.
struct RedisLines;

impl<S, N> FormatEvent<S, N> for RedisLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let time = chrono::Local::now().format("%d %b %Y %H:%M:%S%.3f");
        let level = match *event.metadata().level() {
            Level::ERROR | Level::WARN => '#',
            Level::INFO => '*',
            Level::DEBUG => '-',
            Level::TRACE => '.',
        };
        write!(writer, "{}:M {time} {level} ", std::process::id())?;
        context.field_format().format_fields(writer.by_ref(), event)?;
        writeln!(writer)
    }
}
