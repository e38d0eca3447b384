//! The directives of redis.conf that are in force, one row each.
//!
//! A row reads its values and shows the setting in force. The tables are sorted into topics. Errors
//! hold Redis' text, since tools search for it, and the expectation in our own words.

mod data;
mod http;
mod memory;
mod monitoring;
mod network;
mod process;
mod replication;
mod security;
mod tls;

use std::path::PathBuf;

use super::Config;
use super::ignored::Change;
use super::parse::{
    Invalid, choice, flag, integer, memory_within, path_bytes, path_from, split_blanks,
};

/// One directive.
pub(crate) struct Directive {
    pub(crate) name: &'static str,
    /// The values, to complete the sentence "expects …".
    pub(crate) expects: &'static str,
    pub(crate) change: Change,
    /// Whether `CONFIG` shows it. As in Redis, some directives exist in files only.
    pub(crate) is_shown: bool,
    kind: Kind,
}

enum Kind {
    Integer {
        min: i64,
        max: i64,
        get: fn(&Config) -> i64,
        set: fn(&mut Config, i64),
    },
    Memory {
        min: i64,
        get: fn(&Config) -> usize,
        set: fn(&mut Config, usize),
    },
    Flag {
        at: fn(&mut Config) -> &mut bool,
        get: fn(&Config) -> bool,
    },
    Choice {
        names: &'static [&'static str],
        get: fn(&Config) -> usize,
        set: fn(&mut Config, usize),
    },
    /// A path, or none if the value is empty.
    Path {
        at: fn(&mut Config) -> &mut Option<PathBuf>,
        get: fn(&Config) -> Option<PathBuf>,
    },
    Text {
        get: fn(&Config) -> Vec<u8>,
        set: fn(&mut Config, &[u8]) -> Result<(), Invalid>,
    },
    List {
        get: fn(&Config) -> Vec<Vec<u8>>,
        set: fn(&mut Config, &[Vec<u8>]) -> Result<(), Invalid>,
    },
    /// Rules, of which each line of a file adds some.
    Rules {
        get: fn(&Config) -> Vec<Vec<u8>>,
        add: fn(&mut Config, &[Vec<u8>]) -> Result<(), Invalid>,
        clear: fn(&mut Config),
    },
}

/// The values that a shell offers for a directive.
#[cfg(test)]
pub(crate) enum Offered {
    Words(&'static [&'static str]),
    Path,
    Nothing,
}

/// Returns all directives in force, topic by topic.
pub(crate) fn all() -> impl Iterator<Item = &'static Directive> {
    [
        network::DIRECTIVES,
        security::DIRECTIVES,
        tls::DIRECTIVES,
        http::DIRECTIVES,
        memory::DIRECTIVES,
        data::DIRECTIVES,
        replication::DIRECTIVES,
        process::DIRECTIVES,
        monitoring::DIRECTIVES,
    ]
    .into_iter()
    .flatten()
}

/// Finds a directive by its name in any case.
pub(crate) fn find(name: &[u8]) -> Option<&'static Directive> {
    all().find(|directive| directive.name.as_bytes().eq_ignore_ascii_case(name))
}

impl Directive {
    /// Returns whether this is an older name of another directive.
    pub(crate) fn is_older_name(&'static self) -> bool {
        self.current().name != self.name
    }

    /// Returns the directive under its current name, if this is an older name of it.
    pub(crate) fn current(&'static self) -> &'static Self {
        match self.name {
            "lua-time-limit" => find(b"busy-reply-threshold").unwrap_or(self),
            name if name.contains("slave") => {
                find(name.replace("slave", "replica").as_bytes()).unwrap_or(self)
            }
            name if name.starts_with("primary") => {
                find(name.replace("primary", "master").as_bytes()).unwrap_or(self)
            }
            _ => self,
        }
    }

    /// Changes the setting to `values`, in place of all lines so far.
    pub(crate) fn replace(&self, config: &mut Config, values: &[Vec<u8>]) -> Result<(), Invalid> {
        if let Kind::Rules { clear, .. } = &self.kind {
            clear(config);
        }
        self.set(config, values)
    }

    /// Changes the setting to the `values` of a line.
    pub(crate) fn set(&self, config: &mut Config, values: &[Vec<u8>]) -> Result<(), Invalid> {
        if let Kind::List { set, .. } | Kind::Rules { add: set, .. } = &self.kind {
            // As in Redis, one value may hold them all.
            return match values {
                [all] => set(config, &split_blanks(all)),
                values => set(config, values),
            };
        }
        let [value] = values else { return Err(Invalid::ArgumentCount) };
        match &self.kind {
            Kind::Integer { min, max, set, .. } => set(config, integer(value, *min, *max)?),
            Kind::Memory { min, set, .. } => set(config, memory_within(value, *min)?),
            Kind::Flag { at, .. } => *at(config) = flag(value)?,
            Kind::Choice { names, set, .. } => set(config, choice(value, names)?),
            Kind::Path { at, .. } => {
                *at(config) = (!value.is_empty()).then(|| path_from(value));
            }
            Kind::Text { set, .. } => set(config, value)?,
            Kind::List { .. } | Kind::Rules { .. } => unreachable!("handled above"),
        }
        Ok(())
    }

    /// Returns the values in force as in a file, but without quotes.
    pub(crate) fn show(&self, config: &Config) -> Vec<Vec<u8>> {
        let text = |text: String| vec![text.into_bytes()];
        match &self.kind {
            Kind::Integer { get, .. } => text(get(config).to_string()),
            Kind::Memory { get, .. } => text(get(config).to_string()),
            Kind::Flag { get, .. } => text(if get(config) { "yes" } else { "no" }.to_owned()),
            Kind::Choice { names, get, .. } => text(names[get(config)].to_owned()),
            Kind::Path { get, .. } => {
                vec![get(config).map_or_else(Vec::new, |path| path_bytes(&path))]
            }
            Kind::Text { get, .. } => vec![get(config)],
            Kind::List { get, .. } | Kind::Rules { get, .. } => get(config),
        }
    }

    /// Returns the values that a shell offers.
    #[cfg(test)]
    pub(crate) fn offered(&self) -> Offered {
        match &self.kind {
            Kind::Flag { .. } => Offered::Words(&["yes", "no"]),
            Kind::Choice { names, .. } => Offered::Words(names),
            Kind::Path { .. } => Offered::Path,
            Kind::Integer { .. }
            | Kind::Memory { .. }
            | Kind::Text { .. }
            | Kind::List { .. }
            | Kind::Rules { .. } => Offered::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::Port;
    use crate::config::{LogLevel, OutputLimit};

    fn set(name: &str, values: &[&str]) -> Result<Config, Invalid> {
        let mut config = Config::default();
        let values: Vec<Vec<u8>> = values.iter().map(|value| value.as_bytes().to_vec()).collect();
        find(name.as_bytes()).expect("known").set(&mut config, &values)?;
        Ok(config)
    }

    #[test]
    fn shown_values_can_be_set() {
        for directive in
            all().filter(|each| !matches!(each.name, "rename-command" | "dir" | "user"))
        {
            let values = directive.show(&Config::default());
            let mut config = Config::default();
            assert_eq!(directive.set(&mut config, &values), Ok(()), "{}", directive.name);
            assert_eq!(config, Config::default(), "{}", directive.name);
        }
    }

    #[test]
    fn port_0_is_no_port_and_any_is_a_free_one() {
        assert_eq!(set("port", &["0"]).unwrap().port, Port::None);
        assert_eq!(set("port", &["ANY"]).unwrap().port, Port::Any);
    }

    #[test]
    fn names_and_values_are_read_in_any_case() {
        assert_eq!(set("PORT", &["7000"]).unwrap().port, Port::from(7000));
        assert!(!set("Protected-Mode", &["NO"]).unwrap().protected_mode);
        assert_eq!(set("loglevel", &["Debug"]).unwrap().loglevel, LogLevel::Debug);
        assert_eq!(
            set("proto-max-bulk-len", &["2MB"]).unwrap().proto_max_bulk_len,
            2 * 1024 * 1024
        );
    }

    #[test]
    fn bad_values_are_refused_in_redis_words() {
        for (name, values, expected) in [
            ("port", &["64k"][..], "argument couldn't be parsed into an integer"),
            ("port", &["65536"], "argument must be between 0 and 65535 inclusive"),
            ("port", &[], "wrong number of arguments"),
            ("port", &["1", "2"], "wrong number of arguments"),
            ("protected-mode", &["maybe"], "argument must be 'yes' or 'no'"),
            ("proto-max-bulk-len", &["1x"], "argument must be a memory value"),
            ("maxmemory-clients", &["1x%"], "argument must be a memory or percent value"),
            ("maxmemory-clients", &["101%"], "percentage argument must be less or equal to 100"),
            ("user", &[], "wrong number of arguments"),
            ("user", &["ann", "(+get", "(~x", "&a)"], "Error in user declaration: Syntax error"),
            (
                "user",
                &["ann", "+get)"],
                "Error in user declaration: Unknown command or category name in ACL",
            ),
            (
                "user",
                &["ann", "on", "(+get"],
                "Error in user declaration: Unmatched parenthesis in acl selector starting at '(+get'.",
            ),
            (
                "client-output-buffer-limit",
                &["pubsub"],
                "Wrong number of arguments in buffer limit configuration.",
            ),
        ] {
            assert_eq!(set(name, values).unwrap_err().to_string(), expected, "{name} {values:?}");
        }
    }

    #[test]
    fn an_output_limit_changes_its_class_only() {
        let limits = set("client-output-buffer-limit", &["pubsub", "1mb", "0", "0"])
            .unwrap()
            .client_output_buffer_limit;
        assert_eq!(
            limits.pubsub,
            OutputLimit { hard_bytes: 1024 * 1024, ..OutputLimit::default() }
        );
        assert_eq!(limits.replica, Config::default().client_output_buffer_limit.replica);
    }
}
