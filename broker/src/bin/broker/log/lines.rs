//! The lines of the log: those of Redis, or pairs of keys and values for programs.
//!
//! Tools wait for some of Redis' lines: `1234:M 23 Nov 2026 10:00:00.000 * Ready to accept
//! connections`.

use std::fmt::{self, Debug};

use broker::{LogFormat, LogTime};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::{FormatFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent};
use tracing_subscriber::registry::LookupSpan;

/// Formats events as lines.
pub(super) struct Lines {
    pub(super) format: LogFormat,
    pub(super) time: LogTime,
}

/// The keys and values of one line.
struct Pairs {
    format: LogFormat,
    line: String,
}

impl<S, N> FormatEvent<S, N> for Lines
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
        let (mark, level) = level(*event.metadata().level());
        let pid = std::process::id();
        if self.format == LogFormat::Legacy {
            write!(writer, "{pid}:M {} {mark} ", self.now())?;
            context.field_format().format_fields(writer.by_ref(), event)?;
            return writeln!(writer);
        }
        let mut pairs = Pairs { format: self.format, line: String::new() };
        pairs.bare("pid", &pid.to_string());
        pairs.text("role", "master");
        match self.time {
            LogTime::Milliseconds => pairs.bare("timestamp", &self.now()),
            _ => pairs.text("timestamp", &self.now()),
        }
        pairs.text("level", level);
        event.record(&mut pairs);
        if self.format == LogFormat::Json {
            pairs.line.push('}');
        }
        writeln!(writer, "{}", pairs.line)
    }
}

impl Lines {
    fn now(&self) -> String {
        let now = chrono::Local::now();
        match self.time {
            LogTime::Iso8601 => now.format("%Y-%m-%dT%H:%M:%S%.3f%:z").to_string(),
            LogTime::Milliseconds => now.timestamp_millis().to_string(),
            _ => now.format("%d %b %Y %H:%M:%S%.3f").to_string(),
        }
    }
}

/// Returns Redis' mark of a level, and its name in the settings.
fn level(level: Level) -> (char, &'static str) {
    match level {
        Level::ERROR | Level::WARN => ('#', "warning"),
        Level::INFO => ('*', "notice"),
        Level::DEBUG => ('-', "verbose"),
        Level::TRACE => ('.', "debug"),
    }
}

impl Pairs {
    fn key(&mut self, key: &str) {
        let is_first = self.line.is_empty();
        match self.format {
            LogFormat::Json => {
                self.line.push(if is_first { '{' } else { ',' });
                quote(&mut self.line, key);
                self.line.push(':');
            }
            _ => {
                if !is_first {
                    self.line.push(' ');
                }
                self.line.push_str(key);
                self.line.push('=');
            }
        }
    }

    /// Adds a number or a boolean.
    fn bare(&mut self, key: &str, value: &str) {
        self.key(key);
        self.line.push_str(value);
    }

    fn text(&mut self, key: &str, value: &str) {
        self.key(key);
        let is_word = |letter: char| letter.is_alphanumeric() || "-_.:/@+".contains(letter);
        match self.format {
            LogFormat::Logfmt if !value.is_empty() && value.chars().all(is_word) => {
                self.line.push_str(value);
            }
            _ => quote(&mut self.line, value),
        }
    }
}

impl Visit for Pairs {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.text(field.name(), &format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field.name(), value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.bare(field.name(), &value.to_string());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.bare(field.name(), &value.to_string());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.bare(field.name(), if value { "true" } else { "false" });
    }
}

/// Writes a text in quotes, as in JSON.
fn quote(line: &mut String, text: &str) {
    line.push_str(&serde_json::Value::from(text).to_string());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(format: LogFormat) -> String {
        let mut pairs = Pairs { format, line: String::new() };
        pairs.bare("pid", "7");
        pairs.text("message", "a \"quoted\"\n\\ line \u{1}");
        pairs.text("client.addr", "127.0.0.1:6379");
        pairs.text("empty", "");
        pairs.line
    }

    #[test]
    fn a_line_is_one_line_with_all_values_quoted_as_needed() {
        assert_eq!(
            line(LogFormat::Json),
            r#"{"pid":7,"message":"a \"quoted\"\n\\ line \u0001","client.addr":"127.0.0.1:6379","empty":"""#
        );
        assert_eq!(
            line(LogFormat::Logfmt),
            r#"pid=7 message="a \"quoted\"\n\\ line \u0001" client.addr=127.0.0.1:6379 empty="""#
        );
    }
}
