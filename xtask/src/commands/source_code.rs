//! The text of the generated files.

use std::fmt::Write;

use super::value::Value;
use super::{Command, Release};

/// The ACL categories, in the order in which Redis shows them.
const CATEGORIES: [&str; 21] = [
    "keyspace",
    "read",
    "write",
    "set",
    "sortedset",
    "list",
    "hash",
    "string",
    "bitmap",
    "hyperloglog",
    "geo",
    "stream",
    "pubsub",
    "admin",
    "fast",
    "slow",
    "blocking",
    "dangerous",
    "connection",
    "transaction",
    "scripting",
];

const ABOUT_HEAD: &str = "\
//! Redis' documentation of each command, as `COMMAND DOCS` and `COMMAND INFO` report it.
//!
//! `cargo xtask commands` writes this file from `broker/commands.json`.

use super::spec::About;
use super::spec::Value::{Int, List, Text};
";

const CATALOGUE_HEAD: &str = "\
//! The rows of the catalogue: the commands of Redis 7.0 and the additions of 7.2.
//!
//! The rows are sorted by name, so each command stands directly before its subcommands.
//! `cargo xtask commands` writes this file from `broker/commands.json`.

use super::{OURS, Row, UNCHECKED};

/// The names of the categories, each at the place of its bit, in the order that Redis shows.
#[rustfmt::skip]
pub(super) const CATEGORIES: &[&str] = &[
";

/// Returns the documentation of the commands that the table names, in the table's order.
pub(super) fn about(commands: &[Command], table: &str) -> Result<String, String> {
    let mut text = ABOUT_HEAD.to_owned();
    for (row, name) in table.split("&about::").skip(1).map(identifier).enumerate() {
        let command = commands
            .iter()
            .find(|command| constant(&command.name) == name)
            .ok_or_else(|| format!("row {row} of the table: no command for about::{name}"))?;
        let tips: Vec<String> = command.tips.iter().map(|tip| format!("{tip:?}")).collect();
        let Value::Map(docs) = &command.docs else {
            return Err(format!("{}: 'docs' expects a map", command.name));
        };
        let docs: Vec<String> =
            docs.iter().map(|(field, value)| format!("({field:?}, {})", literal(value))).collect();
        let _ = write!(
            text,
            "
#[rustfmt::skip]
pub(super) static {name}: About = About {{
    tips: &[{}],
    key_specs: &[{}],
    docs: &[{}],
}};
",
            tips.join(", "),
            literals(&command.key_specs),
            docs.join(", ")
        );
    }
    Ok(text)
}

/// Returns the catalogue of all commands.
pub(super) fn catalogue(commands: &[Command]) -> String {
    let mut text = CATALOGUE_HEAD.to_owned();
    for names in CATEGORIES.chunks(7) {
        let names: Vec<String> = names.iter().map(|name| format!("{name:?},")).collect();
        let _ = writeln!(text, "    {}", names.join(" "));
    }
    text.push_str("];\n\n");
    for (bit, name) in CATEGORIES.iter().enumerate() {
        let _ = writeln!(text, "const {}: u32 = 1 << {bit};", constant(name));
    }
    text.push_str("\n#[rustfmt::skip]\npub(super) const ROWS: &[Row] = &[\n");
    for command in commands {
        let _ = writeln!(text, "    Row::new({:?}, {}),", command.name, bits(command));
    }
    text.push_str("];\n");
    text
}

/// Returns an expression for the categories of a command and its other bits.
fn bits(command: &Command) -> String {
    let is_in = |category: &&&str| command.categories.iter().any(|own| own == **category);
    let mut bits: Vec<String> =
        CATEGORIES.iter().filter(is_in).map(|name| constant(name)).collect();
    if command.release == Some(Release::Broker) {
        bits.push("OURS".to_owned());
    }
    if command.flags.iter().any(|flag| flag == "no_auth") {
        bits.push("UNCHECKED".to_owned());
    }
    bits.join(" | ")
}

/// Returns the name of a constant: `CLIENT_NO_EVICT` for `client|no-evict`.
fn constant(name: &str) -> String {
    name.replace(|each: char| !each.is_ascii_alphanumeric(), "_").to_ascii_uppercase()
}

/// Returns the identifier at the start of a text.
fn identifier(text: &str) -> &str {
    text.split(|each: char| !each.is_ascii_alphanumeric() && each != '_').next().unwrap_or(text)
}

/// Returns a value in the source code. Maps become lists of names and values in turn.
fn literal(value: &Value) -> String {
    match value {
        Value::Int(number) => format!("Int({number})"),
        Value::Text(text) => format!("Text({text:?})"),
        Value::List(items) => format!("List(&[{}])", literals(items)),
        Value::Map(fields) => {
            let fields: Vec<String> = fields
                .iter()
                .map(|(name, value)| format!("Text({name:?}), {}", literal(value)))
                .collect();
            format!("List(&[{}])", fields.join(", "))
        }
    }
}

fn literals(values: &[Value]) -> String {
    values.iter().map(literal).collect::<Vec<_>>().join(", ")
}
