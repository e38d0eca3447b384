//! The commands: a table of rows, the look-up, the checks, and one file for each topic.
//!
//! Every request passes through [`execute`](execute::execute). [`Run`](spec::Run) lists the kinds of
//! functions that execute a command, with the state that each kind takes.

mod about;
mod acl;
mod auth;
mod client;
mod client_list;
mod command;
pub(crate) mod config;
mod counters;
mod database;
mod debug;
mod errors;
pub(crate) mod execute;
mod expiry;
mod function;
mod help;
pub(crate) mod info;
mod info_fields;
mod info_replication;
mod keys;
mod latency;
pub(crate) mod lookup;
#[cfg(feature = "http")]
pub(crate) mod metrics;
mod module;
mod monitor;
mod permissions;
mod persistence;
mod pubsub;
mod replay;
pub(crate) mod replica;
mod replicaof;
mod scan;
mod script;
#[cfg(feature = "lua")]
pub(crate) mod script_client;
mod server;
mod sight;
mod slowlog;
pub(crate) mod spec;
mod strings;
pub(crate) mod table;
mod tracking;
mod transaction;
mod user_limits;
mod wait;
mod watch;

use self::errors::CommandError;
use crate::protocol::reply::Reply;

/// The reply of a command, or its error.
pub(crate) type Answer = Result<Reply, CommandError>;

#[cfg(test)]
mod tests {
    use super::lookup::find_full;
    use super::spec::Spec;
    use super::table::SPECS;
    use crate::acl::categories_of;

    /// Returns `COMPATIBILITY.md` as the tables describe it.
    fn page() -> String {
        let mut text = String::from(include_str!("commands/compatibility.md"));
        let group = |spec: &Spec| spec.doc("group");
        let mut groups: Vec<&str> = SPECS.iter().map(group).collect();
        groups.sort_unstable();
        groups.dedup();
        for name in groups {
            text.push_str(&format!(
                "\n## {name}\n\n| command | since | summary |\n|---|---|---|\n"
            ));
            for spec in SPECS.iter().filter(|spec| container(spec).doc("group") == name) {
                let shown = spec.name.replace('|', " ").to_ascii_uppercase();
                let (since, summary) = (spec.doc("since"), spec.doc("summary"));
                text.push_str(&format!(
                    "| `{shown}` | {since} | {} |\n",
                    summary.trim_end_matches('.')
                ));
            }
        }
        text + &crate::config::compatibility::section()
    }

    fn container(spec: &'static Spec) -> &'static Spec {
        spec.container().and_then(|name| find_full(name.as_bytes())).unwrap_or(spec)
    }

    #[test]
    fn the_compatibility_page_is_made_from_the_table() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../COMPATIBILITY.md");
        if std::env::var_os("UPDATE_COMPATIBILITY").is_some() {
            std::fs::write(path, page()).unwrap();
        }
        let found = std::fs::read_to_string(path).unwrap();
        assert_eq!(found, page(), "run this test with UPDATE_COMPATIBILITY=1 to write the page");
    }

    #[test]
    fn arity_counts_the_name() {
        for (command, arguments, expected) in [
            ("publish", 3, true),
            ("publish", 2, false),
            ("publish", 4, false),
            ("subscribe", 1, false),
            ("subscribe", 9, true),
        ] {
            let spec = find_full(command.as_bytes()).unwrap();
            assert_eq!(spec.accepts(arguments), expected, "{command} {arguments}");
        }
    }

    #[test]
    fn every_command_has_acl_categories() {
        for spec in &SPECS {
            assert!(categories_of(spec.name).next().is_some(), "{}", spec.name);
        }
    }
}
