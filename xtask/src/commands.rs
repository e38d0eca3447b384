//! Writes the facts of commands from `broker/commands.json` into the broker's source.
//!
//! The file holds the facts of all commands of Redis, since ACL files may name commands that the
//! broker lacks. An entry without `release` has the facts of Redis 7.0, and `refresh` replaces it.
//! An entry with `release` has facts of a later release, or exists in this broker only. Such an
//! entry is written by hand and stays as it is.

mod redis;
mod source_code;
mod value;

use std::fs;
use std::path::Path;

use serde::Deserialize;

use self::value::Value;
use crate::source;
use crate::step::{Failure, workspace_dir};

const STEP: &str = "commands";
const FACTS: &str = "broker/commands.json";
/// The command table, which names the constants that are written.
const TABLE: &str = "broker/src/commands/table.rs";
const ABOUT: &str = "broker/src/commands/about.rs";
const CATALOGUE: &str = "broker/src/acl/catalogue/rows.rs";

/// One command, or a subcommand such as `client|id`.
#[derive(Deserialize)]
struct Command {
    name: String,
    release: Option<Release>,
    flags: Vec<String>,
    categories: Vec<String>,
    tips: Vec<String>,
    key_specs: Vec<Value>,
    docs: Value,
}

/// The release with the facts of an entry, if they are not those of Redis 7.0.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
enum Release {
    #[serde(rename = "7.2")]
    Redis72,
    #[serde(rename = "broker")]
    Broker,
}

/// Writes the generated files.
///
/// # Errors
///
/// When a file cannot be read or written, or the command table names an unknown command.
pub(crate) fn write() -> Result<(), Failure> {
    for (path, text) in generated(&workspace_dir())? {
        write_file(path, &text)?;
    }
    Ok(())
}

/// Compares the generated files with the facts.
///
/// # Errors
///
/// When a file differs or cannot be read.
pub(crate) fn check() -> Result<(), Failure> {
    println!("\n==> {STEP}");
    let root = workspace_dir();
    for (path, text) in generated(&root)? {
        if source::read(&root.join(path))? != text {
            let reason = format!("{path} differs from {FACTS}; run `cargo xtask commands`");
            return Err(Failure::Unexpected { step: STEP, reason });
        }
    }
    Ok(())
}

/// Replaces the facts of Redis 7.0 with those of an installed redis-server.
///
/// # Errors
///
/// When no redis-server 7.0 is installed, or it cannot be asked.
pub(crate) fn refresh() -> Result<(), Failure> {
    let text = source::read(&workspace_dir().join(FACTS))?;
    let stated: Vec<Value> = parse(FACTS, &text)?;
    let mut entries: Vec<Value> =
        stated.into_iter().filter(|entry| entry.field("release").is_some()).collect();
    entries.extend(redis::entries()?);
    entries.sort_by(|one, other| one.text("name").cmp(other.text("name")));
    write_file(FACTS, &value::file(&entries))
}

/// Returns each generated file with its text.
fn generated(root: &Path) -> Result<[(&'static str, String); 2], Failure> {
    let commands: Vec<Command> = parse(FACTS, &source::read(&root.join(FACTS))?)?;
    let table = source::read(&root.join(TABLE))?;
    let about = source_code::about(&commands, &table)
        .map_err(|reason| Failure::Unexpected { step: STEP, reason })?;
    Ok([(ABOUT, about), (CATALOGUE, source_code::catalogue(&commands))])
}

fn parse<T: for<'de> Deserialize<'de>>(name: &str, text: &str) -> Result<T, Failure> {
    serde_json::from_str(text)
        .map_err(|error| Failure::Unexpected { step: STEP, reason: format!("{name}: {error}") })
}

fn write_file(path: &str, text: &str) -> Result<(), Failure> {
    let path = workspace_dir().join(path);
    fs::write(&path, text).map_err(|source| Failure::Unwritable { path, source })
}
