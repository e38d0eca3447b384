//! The facts of an installed redis-server, from `COMMAND` and `COMMAND DOCS`.
//!
//! A server without data runs for these requests. It listens on a socket in a temporary directory,
//! and `redis-cli` prints its replies as JSON.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::value::Value;
use super::{STEP, parse};
use crate::step::{Failure, Step};

/// The field of `INFO` that names the release. The broker states the facts of Redis 7.0.
const RELEASE: &str = "redis_version:7.0.";

/// Returns an entry for each command and subcommand of Redis 7.0.
pub(super) fn entries() -> Result<Vec<Value>, Failure> {
    let server = Server::start()?;
    let info = server.ask(&["INFO", "server"])?;
    if !info.contains(RELEASE) {
        let found = info.lines().find(|line| line.starts_with("redis_version:"));
        let reason = format!(
            "--from-redis expects redis-server 7.0, found {:?}; install Redis 7.0",
            found.unwrap_or("no version")
        );
        return Err(unexpected(reason));
    }
    let commands: Vec<Value> = parse("COMMAND", &server.ask(&["--json", "COMMAND"])?)?;
    let docs: Value = parse("COMMAND DOCS", &server.ask(&["--json", "COMMAND", "DOCS"])?)?;
    let mut entries = Vec::new();
    for command in commands {
        add(&mut entries, command, &docs)?;
    }
    Ok(entries)
}

/// Adds the entry of a command from its fields in `COMMAND`, then those of its subcommands.
fn add(entries: &mut Vec<Value>, command: Value, docs: &Value) -> Result<(), Failure> {
    let fields: Result<[Value; 10], _> = match command {
        Value::List(fields) => fields.try_into(),
        other => Err(vec![other]),
    };
    let fields = fields.map_err(|found| unexpected(format!("COMMAND returned {found:?}")))?;
    let [name, arity, flags, first, last, step, categories, tips, key_specs, subcommands] = fields;
    let Value::Text(key) = &name else {
        return Err(unexpected(format!("COMMAND returned the name {name:?}")));
    };
    let Some(Value::Map(docs)) = docs.field(key) else {
        return Err(unexpected(format!("COMMAND DOCS has no {key:?}")));
    };
    let mut docs = docs.clone();
    let subdocs = docs.iter().position(|(field, _)| field == "subcommands");
    let subdocs = subdocs.map_or(Value::Map(Vec::new()), |at| docs.remove(at).1);
    let fields = [
        ("name", name),
        ("arity", arity),
        ("flags", flags),
        ("keys", Value::List(vec![first, last, step])),
        ("categories", without_sign(categories)),
        ("tips", tips),
        ("key_specs", key_specs),
        ("docs", Value::Map(docs)),
    ];
    entries.push(Value::Map(fields.map(|(name, value)| (name.to_owned(), value)).into()));
    if let Value::List(subcommands) = subcommands {
        for subcommand in subcommands {
            add(entries, subcommand, &subdocs)?;
        }
    }
    Ok(())
}

/// Removes the `@` before each category.
fn without_sign(categories: Value) -> Value {
    match categories {
        Value::List(names) => Value::List(names.into_iter().map(without_sign).collect()),
        Value::Text(name) => Value::Text(name.trim_start_matches('@').to_owned()),
        other => other,
    }
}

fn unexpected(reason: String) -> Failure {
    Failure::Unexpected { step: STEP, reason }
}

/// A server that ends with this value.
struct Server {
    process: Child,
    dir: TempDir,
}

impl Server {
    /// Starts a server and waits until it accepts connections.
    fn start() -> Result<Self, Failure> {
        let not_started = |source| Failure::NotStarted { step: "redis-server", source };
        let dir = tempfile::tempdir().map_err(not_started)?;
        let process = Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--unixsocket"])
            .arg(socket(dir.path()))
            .current_dir(dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(not_started)?;
        let mut server = Self { process, dir };
        let Some(log) = server.process.stdout.take() else {
            return Err(unexpected("redis-server has no standard output".to_owned()));
        };
        let mut lines = BufReader::new(log).lines();
        let is_ready = |line: std::io::Result<String>| {
            line.is_ok_and(|line| line.contains("ready to accept connections"))
        };
        if !lines.any(is_ready) {
            return Err(unexpected("redis-server ended at its start".to_owned()));
        }
        Ok(server)
    }

    /// Returns the reply to a request, as `redis-cli` prints it.
    fn ask(&self, words: &[&str]) -> Result<String, Failure> {
        Step::program("redis-cli", "redis-cli")
            .args([Path::new("-s"), &socket(self.dir.path())])
            .args(words)
            .answer()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn socket(dir: &Path) -> PathBuf {
    dir.join("redis.sock")
}
