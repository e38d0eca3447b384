//! `COMMAND` and its subcommands: the command table, for client libraries and redis-cli.

use super::Answer;
use super::errors::SYNTAX_ERROR;
use super::lookup::{Found, find, find_full};
use super::spec::{KeyPositions, Spec, Value};
use super::table::SPECS;
use crate::acl::{KeyUse, categories_of, is_ours};
use crate::glob;
use crate::protocol::reply::Reply;
use crate::protocol::request::Request;

/// `COMMAND`
pub(crate) fn all() -> Reply {
    Reply::Array(containers().map(described).collect())
}

/// `COMMAND COUNT`
pub(crate) fn count() -> Reply {
    Reply::integer(containers().count())
}

/// `COMMAND LIST [FILTERBY MODULE module-name | ACLCAT category | PATTERN pattern]`
pub(crate) fn list(request: Request<'_>) -> Answer {
    let all = SPECS.iter().filter(|spec| !is_ours(spec.name));
    let names = match request.len() {
        2 => all.map(|spec| Reply::bulk(spec.name)).collect(),
        5 if request.argument(2).eq_ignore_ascii_case(b"filterby") => {
            let wanted = request.argument(4);
            let is_wanted: &dyn Fn(&Spec) -> bool = match &*request.argument(3).to_ascii_lowercase()
            {
                b"module" => &|_| false,
                b"aclcat" => &|spec| is_in_category(spec, wanted),
                b"pattern" => {
                    &|spec| glob::matches(&wanted.to_ascii_lowercase(), spec.name.as_bytes())
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
pub(crate) fn info<'a>(names: impl ExactSizeIterator<Item = &'a [u8]>) -> Reply {
    if names.len() == 0 {
        return all();
    }
    let described = |name| find_full(name).map_or(Reply::Null, described);
    Reply::Array(names.map(described).collect())
}

/// `COMMAND DOCS [command-name [command-name ...]]`
pub(crate) fn docs<'a>(names: impl ExactSizeIterator<Item = &'a [u8]>) -> Reply {
    let pair = |spec: &Spec| (Reply::bulk(spec.name), documented(spec));
    if names.len() == 0 {
        return Reply::Map(containers().map(pair).collect());
    }
    Reply::Map(names.filter_map(find_full).map(pair).collect())
}

/// `COMMAND GETKEYS command [arg ...]`
pub(crate) fn getkeys(request: Request<'_>) -> Answer {
    let keys = keys_of(request)?;
    Ok(Reply::Array(keys.into_iter().map(|key| Reply::bulk(key.name)).collect()))
}

/// `COMMAND GETKEYSANDFLAGS command [arg ...]`
pub(crate) fn getkeys_and_flags(request: Request<'_>) -> Answer {
    let keys = keys_of(request)?;
    let flags = |flags: Vec<&'static str>| {
        Reply::Set(flags.into_iter().map(|flag| Reply::Simple(flag.into())).collect())
    };
    let pairs =
        keys.into_iter().map(|key| Reply::Array(vec![Reply::bulk(key.name), flags(key.flags)]));
    Ok(Reply::Array(pairs.collect()))
}

/// Finds the keys of the request in the arguments.
fn keys_of(request: Request<'_>) -> Result<Vec<Key<'_>>, Vec<u8>> {
    let request = request.tail(2);
    let subcommand = (request.len() > 1).then(|| request.argument(1));
    let Found::Command(spec) = find(request.argument(0), subcommand) else {
        return Err(b"ERR Invalid command specified".to_vec());
    };
    if !has_keys(spec) {
        return Err(b"ERR The command has no key arguments".to_vec());
    }
    if !spec.accepts(request.len()) {
        return Err(b"ERR Invalid number of arguments specified for command".to_vec());
    }
    Ok(keys(spec, request))
}

/// Returns whether a command has keys. `SSUBSCRIBE` and its kin have channels in their place: Redis
/// lists these for the slots of a cluster.
fn has_keys(spec: &Spec) -> bool {
    let are_channels = matches!(spec.name, "spublish" | "ssubscribe" | "sunsubscribe");
    !spec.about.key_specs.is_empty() && !are_channels
}

/// A key in a request, and its use, as flags of the key specification.
#[derive(Clone, Debug)]
pub(crate) struct Key<'a> {
    pub(crate) name: &'a [u8],
    flags: Vec<&'static str>,
}

impl Key<'_> {
    pub(crate) fn used(&self) -> KeyUse {
        let has = |flag: &&str| self.flags.contains(flag);
        KeyUse { read: has(&"access"), write: ["insert", "delete", "update"].iter().any(has) }
    }
}

/// Returns the keys of a request.
pub(crate) fn keys<'a>(spec: &Spec, request: Request<'a>) -> Vec<Key<'a>> {
    if !has_keys(spec) {
        return Vec::new();
    }
    let mut keys: Vec<Key<'a>> =
        spec.about.key_specs.iter().flat_map(|spec| keys_by(spec, request)).collect();
    let gets = |word: &[u8]| word.eq_ignore_ascii_case(b"get");
    if spec.name == "set" && !request.arguments_from(3).any(gets) {
        keys.iter_mut().for_each(|key| key.flags = vec!["OW", "update"]);
    }
    keys
}

/// Returns the keys of one key specification: a range of arguments with a step.
fn keys_by<'a>(spec: &Value, request: Request<'a>) -> Vec<Key<'a>> {
    let flags: Vec<&str> = match field(spec, "flags") {
        Some(Value::List(flags)) => flags.iter().filter_map(word).collect(),
        _ => Vec::new(),
    };
    let flags: Vec<&str> = flags.into_iter().filter(|flag| *flag != "variable_flags").collect();
    let search = field(spec, "begin_search").and_then(|search| field(search, "spec"));
    let range = field(spec, "find_keys").and_then(|find| field(find, "spec"));
    let (Some(search), Some(range)) = (search, range) else { return Vec::new() };
    let place = |of, name| match field(of, name) {
        Some(Value::Int(number)) => *number,
        _ => 0,
    };
    let first = place(search, "index");
    if field(range, "keynumidx").is_some() {
        return counted_keys(request, first, place(range, "firstkey"), &flags);
    }
    // A negative last key counts from the end, others from the first key.
    let last = match place(range, "lastkey") {
        last @ 0.. => first + last,
        last => i64::try_from(request.len()).unwrap_or(i64::MAX) + last,
    };
    let [first, last] = [first, last].map(|place| usize::try_from(place).unwrap_or(0));
    let step = usize::try_from(place(range, "keystep")).unwrap_or(1).max(1);
    let names = request.arguments_from(first).take((last + 1).saturating_sub(first)).step_by(step);
    names.map(|name| Key { name, flags: flags.clone() }).collect()
}

/// Returns the keys of a request with their number at `place`. The first key follows `first`
/// arguments later.
fn counted_keys<'a>(
    request: Request<'a>,
    place: i64,
    first: i64,
    flags: &[&'static str],
) -> Vec<Key<'a>> {
    let at = |place: i64| usize::try_from(place).unwrap_or(usize::MAX);
    let count = request.arguments_from(at(place)).next().and_then(leading_number);
    let names = request.arguments_from(at(place.saturating_add(first)));
    match count.and_then(|count| usize::try_from(count).ok()) {
        Some(count) if count <= names.len() => {
            names.take(count).map(|name| Key { name, flags: flags.to_vec() }).collect()
        }
        _ => Vec::new(),
    }
}

/// Parses like C's `atoi`, as Redis does here: blanks, a sign and digits. The rest is ignored.
fn leading_number(text: &[u8]) -> Option<i64> {
    let text = text.trim_ascii_start();
    let signed = text.strip_prefix(b"+").unwrap_or(text);
    let digits = signed.strip_prefix(b"-").unwrap_or(signed);
    let end = digits.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(digits.len());
    let length = signed.len() - digits.len() + end;
    std::str::from_utf8(&signed[..length]).ok()?.parse().ok()
}

/// Returns the value after `name` in a list of names and values.
fn field<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    let Value::List(items) = value else { return None };
    let pairs = items.chunks_exact(2);
    pairs.filter(|pair| word(&pair[0]) == Some(name)).map(|pair| &pair[1]).next()
}

fn word(value: &Value) -> Option<&'static str> {
    if let Value::Text(text) = value { Some(text) } else { None }
}

fn is_in_category(spec: &Spec, category: &[u8]) -> bool {
    categories_of(spec.name).any(|own| own.as_bytes().eq_ignore_ascii_case(category))
}

/// Returns the ten fields of `COMMAND INFO`.
fn described(spec: &Spec) -> Reply {
    let category = |name| Reply::Simple(format!("@{name}").into());
    let KeyPositions { first, last, step } = spec.keys;
    Reply::Array(vec![
        Reply::bulk(spec.name),
        Reply::Integer(spec.arity.into()),
        Reply::Set(spec.flags.names().map(|flag| Reply::Simple(flag.into())).collect()),
        Reply::Integer(first.into()),
        Reply::Integer(last.into()),
        Reply::Integer(step.into()),
        Reply::Set(categories_of(spec.name).map(category).collect()),
        Reply::Set(spec.about.tips.iter().map(Reply::bulk).collect()),
        Reply::Set(spec.about.key_specs.iter().map(key_spec).collect()),
        // Without subcommands, Redis sends an empty set.
        match spec.subcommands() {
            [] => Reply::Set(Vec::new()),
            rows => Reply::Array(shown(rows).map(described).collect()),
        },
    ])
}

/// Returns all commands without subcommands.
fn containers() -> impl Iterator<Item = &'static Spec> {
    SPECS.iter().filter(|spec| spec.container().is_none())
}

/// Leaves out the commands that Redis lacks.
fn shown(rows: &'static [Spec]) -> impl Iterator<Item = &'static Spec> {
    rows.iter().filter(|spec| !is_ours(spec.name))
}

fn documented(spec: &Spec) -> Reply {
    let mut fields: Vec<(Reply, Reply)> =
        spec.about.docs.iter().map(|(name, value)| (Reply::bulk(name), doc(name, value))).collect();
    if spec.is_container() {
        let pairs =
            shown(spec.subcommands()).map(|spec| (Reply::bulk(spec.name), documented(spec)));
        fields.push((Reply::bulk("subcommands"), Reply::Map(pairs.collect())));
    }
    Reply::Map(fields)
}

/// Returns a value of the documentation. Its name decides whether a list is an array or a set.
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

/// Returns a list of names and values as a map.
fn pairs(value: &Value, show: impl Fn(&str, &Value) -> Reply) -> Reply {
    let Value::List(items) = value else { return doc("", value) };
    let pairs = items.chunks_exact(2).map(|pair| {
        let name = if let Value::Text(name) = pair[0] { name } else { "" };
        (Reply::bulk(name), show(name, &pair[1]))
    });
    Reply::Map(pairs.collect())
}
