//! `COMMAND` and its subcommands: the command table, for client libraries and redis-cli.

use crate::command::{COMMANDS, Lookup, Spec, find};
use crate::resp::reply::Reply;

/// `COMMAND`
pub(super) fn all() -> Reply {
    Reply::Array(COMMANDS.iter().map(described).collect())
}

/// `COMMAND COUNT`
pub(super) fn count() -> Reply {
    Reply::integer(COMMANDS.len())
}

/// `COMMAND LIST`
pub(super) fn list() -> Reply {
    Reply::Array(COMMANDS.iter().map(|spec| Reply::bulk(spec.name)).collect())
}

/// `COMMAND INFO [command-name [command-name ...]]`
pub(super) fn info<'a>(names: impl ExactSizeIterator<Item = &'a [u8]>) -> Reply {
    if names.len() == 0 {
        return all();
    }
    Reply::Array(names.map(|name| named(name).map_or(Reply::Null, described)).collect())
}

/// `COMMAND DOCS [command-name [command-name ...]]`
pub(super) fn docs<'a>(names: impl ExactSizeIterator<Item = &'a [u8]>) -> Reply {
    let pair = |spec: &Spec| (Reply::bulk(spec.name), documented(spec));
    if names.len() == 0 {
        return Reply::Map(COMMANDS.iter().map(pair).collect());
    }
    Reply::Map(names.filter_map(named).map(pair).collect())
}

/// Finds a command by its name, or a subcommand by its full name such as `client|id`.
fn named(name: &[u8]) -> Option<&'static Spec> {
    let mut parts = name.splitn(2, |&byte| byte == b'|');
    match find(parts.next()?, parts.next()) {
        Lookup::Found(spec) if spec.name.len() == name.len() => Some(spec),
        _ => None,
    }
}

/// The ten fields of `COMMAND INFO`.
fn described(spec: &Spec) -> Reply {
    let words = |words: &[&'static str], prefix: &str| {
        Reply::Set(
            words.iter().map(|word| Reply::Simple(format!("{prefix}{word}").into())).collect(),
        )
    };
    Reply::Array(vec![
        Reply::bulk(spec.name),
        Reply::Integer(spec.arity.into()),
        words(spec.flags, ""),
        // None of the commands has keys.
        Reply::Integer(0),
        Reply::Integer(0),
        Reply::Integer(0),
        words(spec.categories, "@"),
        Reply::Set(Vec::new()),
        Reply::Set(Vec::new()),
        Reply::Array(spec.subcommands.iter().map(described).collect()),
    ])
}

fn documented(spec: &Spec) -> Reply {
    let field = |name: &str, value: &str| (Reply::bulk(name), Reply::bulk(value));
    let mut fields = vec![
        field("summary", spec.summary),
        field("since", spec.since),
        field("group", spec.group),
    ];
    if !spec.subcommands.is_empty() {
        let pairs = spec.subcommands.iter().map(|spec| (Reply::bulk(spec.name), documented(spec)));
        fields.push((Reply::bulk("subcommands"), Reply::Map(pairs.collect())));
    }
    Reply::Map(fields)
}
