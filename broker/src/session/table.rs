//! `COMMAND` and its subcommands: the command table, for client libraries and redis-cli.

use super::{Answer, SYNTAX_ERROR};
use crate::acl::{categories_of, is_ours};
use crate::command::{self, COMMANDS, Command, Keys, Lookup, Spec, Value, find_full};
use crate::pattern;
use crate::resp::reply::Reply;
use crate::resp::request::Request;

/// `COMMAND`
pub(super) fn all() -> Reply {
    Reply::Array(COMMANDS.iter().map(described).collect())
}

/// `COMMAND COUNT`
pub(super) fn count() -> Reply {
    Reply::integer(COMMANDS.len())
}

/// `COMMAND LIST [FILTERBY MODULE module-name | ACLCAT category | PATTERN pattern]`
pub(super) fn list(request: Request<'_>) -> Answer {
    let all = command::entries().iter().map(|entry| entry.spec).filter(|spec| !is_ours(spec.name));
    let names = match request.len() {
        2 => COMMANDS.iter().map(|spec| Reply::bulk(spec.name)).collect(),
        5 if request.argument(2).eq_ignore_ascii_case(b"filterby") => {
            let wanted = request.argument(4);
            let is_wanted: &dyn Fn(&Spec) -> bool = match &*request.argument(3).to_ascii_lowercase()
            {
                b"module" => &|_| false,
                b"aclcat" => &|spec| is_in_category(spec, wanted),
                b"pattern" => {
                    &|spec| pattern::matches(&wanted.to_ascii_lowercase(), spec.name.as_bytes())
                }
                _ => return Err(SYNTAX_ERROR.to_vec()),
            };
            all.filter(|spec| is_wanted(spec)).map(|spec| Reply::bulk(spec.name)).collect()
        }
        _ => return Err(SYNTAX_ERROR.to_vec()),
    };
    Ok(Reply::Array(names))
}

/// `COMMAND INFO [command-name [command-name ...]]`
pub(super) fn info<'a>(names: impl ExactSizeIterator<Item = &'a [u8]>) -> Reply {
    if names.len() == 0 {
        return all();
    }
    let described = |name| find_full(name).map_or(Reply::Null, |entry| described(entry.spec));
    Reply::Array(names.map(described).collect())
}

/// `COMMAND DOCS [command-name [command-name ...]]`
pub(super) fn docs<'a>(names: impl ExactSizeIterator<Item = &'a [u8]>) -> Reply {
    let pair = |spec: &Spec| (Reply::bulk(spec.name), documented(spec));
    if names.len() == 0 {
        return Reply::Map(COMMANDS.iter().map(pair).collect());
    }
    Reply::Map(names.filter_map(find_full).map(|entry| pair(entry.spec)).collect())
}

/// `COMMAND GETKEYS command [arg ...]`
pub(super) fn getkeys(request: Request<'_>) -> Answer {
    let keys = keys_of(request)?;
    Ok(Reply::Array(keys.into_iter().map(Reply::bulk).collect()))
}

/// `COMMAND GETKEYSANDFLAGS command [arg ...]`
pub(super) fn getkeys_and_flags(request: Request<'_>) -> Answer {
    let keys = keys_of(request)?;
    let flags = || Reply::Set(["RO", "access"].map(|flag| Reply::Simple(flag.into())).to_vec());
    let pairs = keys.into_iter().map(|key| Reply::Array(vec![Reply::bulk(key), flags()]));
    Ok(Reply::Array(pairs.collect()))
}

/// Finds the keys in the request that is given as arguments.
fn keys_of<'a>(request: Request<'a>) -> Result<Vec<&'a [u8]>, Vec<u8>> {
    let arguments = request.arguments_from(2);
    let subcommand = (request.len() > 3).then(|| request.argument(3));
    let Lookup::Found(entry) = command::find(request.argument(2), subcommand) else {
        return Err(b"ERR Invalid command specified".to_vec());
    };
    if !has_keys(entry.spec) {
        return Err(b"ERR The command has no key arguments".to_vec());
    }
    if !entry.spec.accepts(arguments.len()) {
        return Err(b"ERR Invalid number of arguments specified for command".to_vec());
    }
    Ok(keys(entry.spec, arguments))
}

/// Whether a command has keys. What `SSUBSCRIBE` has in their place are channels, which only matter
/// for the slot of a cluster.
fn has_keys(spec: &Spec) -> bool {
    use Command::{SPublish, SSubscribe, SUnsubscribe};
    spec.keys.first != 0 && !matches!(spec.command, SPublish | SSubscribe | SUnsubscribe)
}

/// Returns the keys among the arguments of a command, its name included.
pub(super) fn keys<'a>(
    spec: &Spec,
    arguments: impl ExactSizeIterator<Item = &'a [u8]>,
) -> Vec<&'a [u8]> {
    let Keys { first, last, step } = spec.keys;
    let [first, step] = [first, step].map(|number| usize::try_from(number).unwrap_or(0));
    if !has_keys(spec) {
        return Vec::new();
    }
    // A negative last key counts from the end.
    let count = match usize::try_from(last) {
        Ok(last) => last + 1,
        Err(_) => (arguments.len() + 1).saturating_sub(last.unsigned_abs() as usize),
    };
    arguments.take(count).skip(first).step_by(step.max(1)).collect()
}

fn is_in_category(spec: &Spec, category: &[u8]) -> bool {
    categories_of(spec.name).any(|own| own.as_bytes().eq_ignore_ascii_case(category))
}

/// The ten fields of `COMMAND INFO`.
fn described(spec: &Spec) -> Reply {
    let category = |name| Reply::Simple(format!("@{name}").into());
    let Keys { first, last, step } = spec.keys;
    Reply::Array(vec![
        Reply::bulk(spec.name),
        Reply::Integer(spec.arity.into()),
        Reply::Set(spec.flags.iter().map(|&flag| Reply::Simple(flag.into())).collect()),
        Reply::Integer(first.into()),
        Reply::Integer(last.into()),
        Reply::Integer(step.into()),
        Reply::Set(categories_of(spec.name).map(category).collect()),
        Reply::Set(spec.tips.iter().map(Reply::bulk).collect()),
        Reply::Set(spec.key_specs.iter().map(key_spec).collect()),
        // Redis sends an empty set where there are none.
        match spec.subcommands {
            [] => Reply::Set(Vec::new()),
            rows => Reply::Array(shown(rows).map(described).collect()),
        },
    ])
}

/// Without those of our own.
fn shown(rows: &'static [Spec]) -> impl Iterator<Item = &'static Spec> {
    rows.iter().filter(|spec| !is_ours(spec.name))
}

fn documented(spec: &Spec) -> Reply {
    let mut fields: Vec<(Reply, Reply)> =
        spec.docs.iter().map(|(name, value)| (Reply::bulk(name), doc(name, value))).collect();
    if !spec.subcommands.is_empty() {
        let pairs = shown(spec.subcommands).map(|spec| (Reply::bulk(spec.name), documented(spec)));
        fields.push((Reply::bulk("subcommands"), Reply::Map(pairs.collect())));
    }
    Reply::Map(fields)
}

/// A value of the documentation. What is a map or a set in RESP3 is told by the name it has.
fn doc(name: &str, value: &Value) -> Reply {
    match value {
        Value::Int(number) => Reply::Integer(*number),
        Value::Text(text) => Reply::bulk(text),
        Value::List(items) => match name {
            "flags" | "doc_flags" => Reply::Set(items.iter().map(flag).collect()),
            "history" => Reply::Set(items.iter().map(|item| doc("", item)).collect()),
            "arguments" => Reply::Array(items.iter().map(argument).collect()),
            _ => Reply::Array(items.iter().map(|item| doc("", item)).collect()),
        },
    }
}

fn argument(value: &Value) -> Reply {
    pairs(value, doc)
}

fn key_spec(value: &Value) -> Reply {
    pairs(value, |name, value| match value {
        Value::List(items) if name == "flags" => Reply::Set(items.iter().map(flag).collect()),
        Value::List(_) => key_spec(value),
        other => doc(name, other),
    })
}

fn flag(value: &Value) -> Reply {
    match value {
        Value::Text(text) => Reply::Simple((*text).into()),
        other => doc("", other),
    }
}

/// Reads a list as names and values in turn.
fn pairs(value: &Value, show: impl Fn(&str, &Value) -> Reply) -> Reply {
    let Value::List(items) = value else { return doc("", value) };
    let pairs = items.chunks_exact(2).map(|pair| {
        let name = if let Value::Text(name) = pair[0] { name } else { "" };
        (Reply::bulk(name), show(name, &pair[1]))
    });
    Reply::Map(pairs.collect())
}
