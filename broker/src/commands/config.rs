//! `CONFIG`: shows, changes and writes the settings in force.

use super::spec::Outcome;
use crate::pubsub::order::OrderGuard;
use crate::session::moving::{Changes, Endpoints, Move, Moving};
use std::collections::{BTreeMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use tracing::warn;

use super::Answer;
use super::errors::{CommandError, SYNTAX_ERROR, shown};
use crate::acl::Acl;
use crate::address::Port;
use crate::config::Config;
use crate::config::directive::{self, Directive};
use crate::config::ignored::{self, Change, IGNORED};
use crate::config::parse::Invalid;
use crate::config::promises;
use crate::config::reloaded::{ReloadError, Reloaded};
use crate::config::source::ConfigFile;
use crate::descriptors::fit_clients;
use crate::glob;
use crate::protocol::reply::Reply;
use crate::protocol::request::Request;
use crate::protocol::words;
use crate::replace_file::replace_file;
use crate::session::Session;
use crate::session::context::Context;
use crate::session::effect::Effect;
use crate::session::server_state::ServerState;
use crate::tls::{Material, TlsError};

/// `CONFIG GET parameter [parameter ...]`
pub(crate) fn get<'a>(
    server: &ServerState,
    config: &Config,
    wanted: impl Iterator<Item = &'a [u8]> + Clone,
) -> Reply {
    // Both bound the work: a request may have many patterns that match the same names.
    let mut is_known: HashSet<Vec<u8>> = HashSet::new();
    let mut left: Vec<&'static str> = directive::all()
        .map(|directive| directive.name)
        .chain(IGNORED.iter().map(|other| other.name))
        .filter(|name| !HIDDEN.contains(name))
        .collect();
    let mut found: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    let mut add = |is_known: &mut HashSet<Vec<u8>>, name: &[u8]| {
        if is_known.insert(name.to_ascii_lowercase()) {
            let value = value_of(server, config, name);
            found.extend(value.map(|value| (name.to_vec(), value)));
        }
    };
    for wanted in wanted {
        // A name without a glob is returned in the client's spelling.
        if !wanted.iter().any(|byte| b"*?[".contains(byte)) {
            add(&mut is_known, wanted);
            continue;
        }
        let pattern = wanted.to_ascii_lowercase();
        if left.is_empty() || !is_known.insert(pattern.clone()) {
            continue;
        }
        left.retain(|name| {
            let is_match = glob::matches(&pattern, name.as_bytes());
            if is_match {
                add(&mut is_known, name.as_bytes());
            }
            !is_match
        });
    }
    Reply::Map(
        found.into_iter().map(|(name, value)| (Reply::Bulk(name), Reply::Bulk(value))).collect(),
    )
}

/// Directives that a glob of `CONFIG GET` does not match: those that Redis hides, and those that only
/// this broker has.
const HIDDEN: [&str; 24] = [
    "counters-file",
    "http-bind",
    "http-names",
    "http-port",
    "http-tls",
    "http-token",
    "key-load-delay",
    "loading-process-events-interval-bytes",
    "log-format",
    "log-timestamp-format",
    "notify-pubsub-events",
    "primaryauth",
    "primaryuser",
    "pubsub-replay",
    "pubsub-slow-policy",
    "rdb-key-save-delay",
    "requirepass-file",
    "shutdown-drain",
    "tls-auth-clients-user",
    "tls-auto-reload-interval",
    "tls-crl-file",
    "use-exit-on-panic",
    "user-limits",
    "watchdog-period",
];

/// Returns the value of a directive that is in force, if `CONFIG GET` shows it.
fn value_of(server: &ServerState, config: &Config, name: &[u8]) -> Option<Vec<u8>> {
    if let Some(directive) = directive::find(name) {
        return directive.is_shown.then(|| directive.show(config).join(&b' '));
    }
    let other = ignored::find(name)?;
    let canonical = other.canonical();
    let given = server.settings.other(&canonical).map(|values| values.join(&b' '));
    // A promise that the broker does not keep is not in force.
    let given = given.filter(|value| promises::find(&canonical, value).is_none());
    given.or_else(|| other.default.map(|default| default.as_bytes().to_vec()))
}

/// Which settings a rewritten file has beside those that it had.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rewritten {
    /// Those that differ from the default.
    Changed,
    All,
}

/// `CONFIG REWRITE`
pub(crate) fn rewrite(server: &ServerState, config: &Config, which: Rewritten) -> Answer {
    // With an `aclfile`, users stand there. `ACL SAVE` writes it.
    let users = if server.users.file.is_some() { Vec::new() } else { server.users.with(Acl::list) };
    let Some(path) = &server.settings.file else {
        return Err(b"ERR The server is running without a config file".to_vec());
    };
    let others = server.settings.others();
    let write = || {
        let text = std::fs::read(path)?;
        let included = included(&text)?;
        let is_outside = server.settings.is_from_outside(config.requirepass.as_deref());
        let password = if is_outside { Password::Outside } else { Password::of(config) };
        let in_force = InForce { config, password, others: &others, users: &users };
        let mut new = rewritten(&text, in_force, &included, which);
        if has_includes(&text) {
            override_includes(&mut new, config, password)?;
        }
        replace_file(path, &new)
    };
    match write() {
        Ok(()) => {
            // Its own lines are no change for the next reload.
            server.settings.set_last_read(config.clone());
            Ok(Reply::ok())
        }
        Err(error) => Err(format!("ERR Rewriting config file: {error}").into_bytes()),
    }
}

fn has_includes(text: &[u8]) -> bool {
    text.split(|&byte| byte == b'\n').any(|line| is(line, "include"))
}

/// Returns the settings of the files that a file includes. They stay there.
fn included(text: &[u8]) -> io::Result<ConfigFile> {
    let lines = text.split(|&byte| byte == b'\n').filter(|line| is(line, "include"));
    let included = loaded(&lines.collect::<Vec<_>>().join(&b'\n'))?;
    if included.config.users.is_empty() {
        return Ok(included);
    }
    // They would be defined twice.
    Err(io::Error::other("it includes other files with users; change these by hand"))
}

fn loaded(text: &[u8]) -> io::Result<ConfigFile> {
    let mut loaded = ConfigFile::default();
    // The client must not see the line, which may have a password.
    let read = loaded.add_reader("CONFIG REWRITE", text);
    read.map_err(|error| io::Error::other(error.without_values()))?;
    Ok(loaded)
}

/// Adds a line for each setting that an included file still overrides. The last line of a setting counts.
fn override_includes(text: &mut Vec<u8>, config: &Config, password: Password) -> io::Result<()> {
    let differs = |read: &Config| {
        let shown = directive::all().filter(|each| each.is_shown && !each.is_older_name());
        let shown = shown.filter(|each| !password.hides(each));
        shown.filter(|each| each.show(config) != each.show(read)).collect::<Vec<_>>()
    };
    for resets in [false, true] {
        for directive in differs(&loaded(text)?.config) {
            // The lines of some settings add up.
            let reset = resets.then(|| format!("{} \"\"", directive.name));
            let lines = reset.into_iter().chain(directive.lines(config));
            lines.for_each(|line| text.extend_from_slice(format!("{line}\n").as_bytes()));
        }
    }
    match differs(&loaded(text)?.config).first() {
        None => Ok(()),
        Some(directive) => {
            let name = directive.name;
            Err(io::Error::other(format!("an included file sets '{name}'; change it by hand")))
        }
    }
}

/// Returns the first word of a line.
fn name_of(line: &[u8]) -> &[u8] {
    line.trim_ascii_start().split(u8::is_ascii_whitespace).next().unwrap_or_default()
}

/// Returns whether a line sets this directive.
fn is(line: &[u8], name: &str) -> bool {
    name_of(line).eq_ignore_ascii_case(name.as_bytes())
}

/// Returns the text of a configuration file with the settings in force. Keeps the order of its
/// lines, and adds further settings that differ from those of included files, or from the default.
fn rewritten(
    text: &[u8],
    InForce { config, password, others, users }: InForce<'_>,
    included: &ConfigFile,
    which: Rewritten,
) -> Vec<u8> {
    let mut written: Vec<&str> = Vec::new();
    let mut others_left = others.clone();
    let mut lines: Vec<Vec<u8>> = Vec::new();
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    for line in text.split(|&byte| byte == b'\n') {
        let name = name_of(line);
        let found = directive::find(name).filter(|directive| directive.is_shown);
        match found.map(Directive::current) {
            // All users are added below.
            None if is(line, "user") => {}
            None => match ignored::find(name).filter(|other| other.default.is_some()) {
                None => lines.push(line.strip_suffix(b"\r").unwrap_or(line).to_vec()),
                Some(other) => {
                    let given = others_left.remove_entry(&other.canonical());
                    lines.extend(given.map(|(name, values)| line_of(&name, &values).into_bytes()));
                }
            },
            Some(directive) if written.contains(&directive.name) => {}
            Some(directive) if password == Password::Outside && is_password(directive) => {
                lines.push(line.strip_suffix(b"\r").unwrap_or(line).to_vec());
            }
            Some(directive) if password.hides(directive) => {}
            Some(directive) => {
                written.push(directive.name);
                lines.extend(directive.lines(config).into_iter().map(String::into_bytes));
            }
        }
    }
    let is_new = |name| !written.contains(&name);
    let changed = directive::all()
        .filter(|each| each.is_shown && !each.is_older_name() && is_new(each.name))
        .filter(|each| !password.hides(each))
        .filter(|each| which == Rewritten::All || each.show(config) != each.show(&included.config));
    let mut added: Vec<String> = changed.flat_map(|directive| directive.lines(config)).collect();
    let is_default = |name: &str, values: &[Vec<u8>]| {
        if let Some(known) = included.others.get(name) {
            return known == values;
        }
        let default = ignored::find(name.as_bytes()).and_then(|other| other.default);
        default.is_none_or(|default| values.join(&b' ') == default.as_bytes())
    };
    others_left.retain(|name, values| !is_default(name, values));
    added.extend(others_left.iter().map(|(name, values)| line_of(name, values)));
    let user = |line: &Vec<u8>| {
        let words: Vec<String> = line.split(|&byte| byte == b' ').map(quoted).collect();
        words.join(" ")
    };
    // `requirepass` makes this user at the next start. A line of it would hide a changed password.
    let mut alone = Acl::new(config.channels_default());
    alone.set_password_of_default(config.requirepass.as_deref());
    let default_user = alone.list();
    let is_changed = |line: &&Vec<u8>| !default_user.contains(line);
    added.extend(users.iter().filter(is_changed).map(user));
    if !added.is_empty() {
        const MARK: &str = "# Generated by CONFIG REWRITE";
        if !lines.iter().any(|line| line == MARK.as_bytes()) {
            lines.push(MARK.into());
        }
        lines.extend(added.into_iter().map(String::into_bytes));
    }
    lines.push(Vec::new());
    lines.join(&b'\n')
}

/// The settings in force.
#[derive(Clone, Copy)]
struct InForce<'a> {
    config: &'a Config,
    password: Password,
    others: &'a Others,
    /// Lines of `ACL LIST`.
    users: &'a [Vec<u8>],
}

/// The place of the password in force.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Password {
    /// The configuration file.
    Setting,
    /// A file of its own.
    File,
    /// Outside of files and flags. The lines of the file about it stay.
    Outside,
}

impl Password {
    fn of(config: &Config) -> Self {
        if config.requirepass_file.is_some() { Self::File } else { Self::Setting }
    }

    /// Returns whether a rewrite must not write the value of a directive.
    fn hides(self, directive: &Directive) -> bool {
        match self {
            Self::Setting => false,
            Self::File => directive.name == "requirepass",
            Self::Outside => is_password(directive),
        }
    }
}

fn is_password(directive: &Directive) -> bool {
    matches!(directive.name, "requirepass" | "requirepass-file")
}

/// Values of ignored directives, by their current names.
type Others = BTreeMap<String, Vec<Vec<u8>>>;

/// Returns the configuration line of a directive with these values.
fn line_of(name: &str, values: &[Vec<u8>]) -> String {
    let values: Vec<_> = match values {
        [] => vec![quoted(b"")],
        values => values.iter().map(|value| quoted(value)).collect(),
    };
    format!("{name} {}", values.join(" "))
}

/// A change of one directive.
struct Setting<'a> {
    name: &'a [u8],
    value: &'a [u8],
}

impl Session {
    /// `CONFIG SET parameter value [parameter value ...]`: applies all changes or none. Returns
    /// [`Outcome::WaitForMove`] if the server has to listen on other addresses first.
    pub(crate) fn config_set(
        &mut self,
        request: Request<'_>,
        context: &mut Context,
        order: &mut OrderGuard<'_>,
    ) -> Outcome {
        self.try_config_set(request, context, order).unwrap_or_else(|error| Err(error).into())
    }

    fn try_config_set(
        &mut self,
        request: Request<'_>,
        context: &mut Context,
        order: &mut OrderGuard<'_>,
    ) -> Result<Outcome, CommandError> {
        let words: Vec<&[u8]> = request.arguments_from(2).collect();
        if !words.len().is_multiple_of(2) {
            return Err(SYNTAX_ERROR.to_vec());
        }
        let settings: Vec<Setting<'_>> =
            words.chunks_exact(2).map(|pair| Setting { name: pair[0], value: pair[1] }).collect();
        let may_change_protected = context.config.enable_protected_configs.allows(&self.info.peer);
        for (index, setting) in settings.iter().enumerate() {
            let earlier = settings[..index].iter();
            check(setting, may_change_protected, earlier.map(|earlier| earlier.name))?;
        }
        // The newest settings: another worker may have changed them in this turn.
        let current = self.server.settings.get();
        let changes = changes(&settings, &current)?;
        let is_place = |setting: &&Setting<'_>| {
            [&b"bind"[..], b"port", b"tls-port"]
                .iter()
                .any(|name| setting.name.eq_ignore_ascii_case(name))
        };
        let (from, to) = self.places(&current, &changes.config);
        let Some(named) = settings.iter().find(is_place).filter(|_| from != to) else {
            put_in_force(&self.server, changes, context, order);
            return Ok(Reply::ok().into());
        };
        if self.runs_transaction {
            return Err(failed(named.name, "it can't be changed inside a transaction"));
        }
        let wanted = Arc::new(Move::new(from, to, self.info.clone()));
        context.effects.push(Effect::Move(wanted.clone()));
        let name = named.name.to_vec();
        let own = |setting: &Setting<'_>| (setting.name.to_vec(), setting.value.to_vec());
        let settings = settings.iter().map(own).collect();
        self.moving = Some(Box::new(Moving { wanted, settings, name }));
        Ok(Outcome::WaitForMove)
    }

    /// Returns the endpoints of the server, and those of the new settings.
    fn places(&self, old: &Config, new: &Config) -> (Endpoints, Endpoints) {
        let bound = |port: &AtomicU16| Port::bound(port.load(Ordering::Relaxed));
        let (port, tls_port) = (bound(&self.server.port), bound(&self.server.tls_port));
        let place = |config: &Config, port, tls_port| Endpoints {
            names: config.bind.clone(),
            port,
            tls_port,
            backlog: config.tcp_backlog,
        };
        // An unchanged port stays, even if the system chose it.
        let new_port = if old.port == new.port { port } else { new.port };
        let new_tls_port = if old.tls.port == new.tls.port { tls_port } else { new.tls.port };
        (place(old, port, tls_port), place(new, new_port, new_tls_port))
    }

    /// Returns whether the move of the server has ended, with or without success.
    pub(crate) fn has_moved(&self) -> bool {
        self.moving.as_ref().is_none_or(|moving| moving.wanted.outcome().is_some())
    }

    /// Ends [`Flow::WaitForMove`](super::execute::Flow::WaitForMove).
    pub(crate) fn end_move(&mut self, context: &mut Context, order: &mut OrderGuard<'_>) {
        let Some(moving) = self.moving.take() else { return };
        let Moving { wanted, settings, name } = *moving;
        if wanted.outcome() == Some(true) {
            let settings: Vec<Setting<'_>> =
                settings.iter().map(|(name, value)| Setting { name, value }).collect();
            // Applied to the settings of now, which other clients may have changed meanwhile.
            return match changes(&settings, &self.server.settings.get()) {
                Ok(changes) => {
                    put_in_force(&self.server, changes, context, order);
                    self.reply(context, &Reply::ok());
                }
                Err(error) => self.reply_error(context, error),
            };
        }
        let why = match name.eq_ignore_ascii_case(b"bind") {
            true => "Failed to bind to specified addresses.",
            false => "Unable to listen on this port. Check server logs.",
        };
        self.reply_error(context, failed(&name, why));
    }

    /// Reads the files for `CONFIG RELOAD`, or returns their mistake. A slow disk must not stop other
    /// threads, so the order is not held. Within a transaction it is.
    pub(crate) fn read_again_without_order(&mut self) -> Option<Outcome> {
        match self.server.read_again() {
            Ok(read) => {
                self.read_again = Some(Box::new(read));
                None
            }
            Err(error) => Some(Err(format!("ERR {error}").into_bytes()).into()),
        }
    }

    /// `CONFIG RELOAD`: puts the files in force that have just been read.
    pub(crate) fn config_reload(
        &mut self,
        context: &mut Context,
        order: &mut OrderGuard<'_>,
    ) -> Answer {
        let Some(read) = self.read_again.take() else { return Ok(Reply::ok()) };
        reload(&self.server, *read, context, order)
            .map_err(|error| format!("ERR {error}").into_bytes())?;
        // Files that do not match are read once more after a second.
        let server = self.server.clone();
        let thread = std::thread::Builder::new().name("tls reload".to_owned());
        if let Err(error) = thread.spawn(move || server.reload_tls()) {
            warn!(%error, "cannot read the files of TLS again");
        }
        Ok(Reply::ok())
    }

    /// `CONFIG RESETSTAT`
    pub(crate) fn config_resetstat(&self, order: &mut OrderGuard<'_>) -> Reply {
        self.server.broker.stats().reset();
        self.server.loops.reset();
        order.keyspace().reset_counts();
        self.server.commands.reset();
        Reply::ok()
    }
}

/// Puts checked changes in force.
fn put_in_force(
    server: &ServerState,
    changes: Changes,
    context: &mut Context,
    order: &mut OrderGuard<'_>,
) {
    let Changes { config, others, password, channels_default: channels, tls } = changes;
    if let Some(material) = tls {
        server.tls.set(material);
    }
    for (name, value) in others {
        server.settings.set_other(&name, vec![value]);
    }
    if password {
        let password = config.requirepass.clone();
        server.users.change(|acl| acl.set_password_of_default(password.as_deref()));
    }
    if channels {
        let default = config.channels_default();
        server.users.change(|acl| acl.set_channels_default(default));
    }
    let moves = config.dir != context.config.dir;
    if let Some(path) = config.dir.as_deref().filter(|_| moves)
        && let Err(error) = std::env::set_current_dir(path)
    {
        tracing::warn!(%error, path = %path.display(), "cannot change the working directory");
    }
    let Config { tracking_table_max_keys: keys_max, maxmemory_clients, .. } = config;
    if maxmemory_clients != context.config.maxmemory_clients {
        context.effects.push(Effect::Evict);
    }
    server.settings.set(config);
    order.keyspace().limit_tracked(keys_max);
    context.set_config(server.settings.get());
}

/// Puts the changes of a file in force that was read again, or none of them. The log and `INFO` tell
/// the outcome.
pub(crate) fn reload(
    server: &ServerState,
    read: ConfigFile,
    context: &mut Context,
    order: &mut OrderGuard<'_>,
) -> Result<Reloaded, ReloadError> {
    let reloaded = put_changes_in_force(server, read, context, order);
    server.record_reload(&reloaded);
    reloaded
}

fn put_changes_in_force(
    server: &ServerState,
    read: ConfigFile,
    context: &mut Context,
    order: &mut OrderGuard<'_>,
) -> Result<Reloaded, ReloadError> {
    let reloaded = Reloaded::between(&server.settings.last_read(), &read.config);
    let in_force = server.settings.get();
    let config = reloaded
        .merge(&in_force, &read.config)
        .map_err(|invalid| ReloadError(format!("a setting cannot be changed: {invalid}")))?;
    if let Some(fitting) = fewer_clients(&in_force, &config) {
        let text = format!("maxclients: the limit of open files allows {fitting}");
        return Err(ReloadError(text));
    }
    let has = |name| reloaded.changed.contains(&name);
    let tls = match reloaded.changed.iter().any(|name| name.starts_with("tls-")) {
        true => load_tls(&config).map_err(|error| ReloadError(error.to_string()))?,
        false => None,
    };
    let changes = Changes {
        config,
        others: Vec::new(),
        password: has("requirepass"),
        channels_default: has("acl-pubsub-default"),
        tls,
    };
    put_in_force(server, changes, context, order);
    server.settings.set_read(read);
    Ok(reloaded)
}

/// Parses all changes of a `CONFIG SET`.
fn changes(settings: &[Setting<'_>], config: &Config) -> Result<Changes, CommandError> {
    let changes =
        |name: &[u8]| settings.iter().any(|setting| setting.name.eq_ignore_ascii_case(name));
    let mut all = Changes {
        config: config.clone(),
        others: Vec::new(),
        password: changes(b"requirepass"),
        channels_default: changes(b"acl-pubsub-default"),
        tls: None,
    };
    for setting in settings {
        let because = |invalid: Invalid| failed(setting.name, &invalid.to_string());
        if let Some(directive) = directive::find(setting.name) {
            let value = [setting.value.to_vec()];
            directive.replace(&mut all.config, &value).map_err(because)?;
            if directive.name == "maxclients"
                && let Some(fitting) = fewer_clients(config, &all.config)
            {
                let reason = format!(
                    "The operating system is not able to handle the specified number of clients, \
                     try with {fitting}"
                );
                return Err(failed(setting.name, &reason));
            }
            if let Some(path) = all.config.dir.take_if(|_| directive.name == "dir") {
                all.config.dir = Some(directory(&path).map_err(because)?);
            }
        } else if let Some(other) = ignored::find(setting.name) {
            other.check(setting.value).map_err(because)?;
            let (name, value) = (other.canonical(), other.normal(setting.value));
            if let Some(promise) = promises::find(&name, &value) {
                return Err(failed(setting.name, promise.consequence));
            }
            all.others.push((name, value));
        }
    }
    let is_about_tls = |setting: &&Setting<'_>| {
        let directive = directive::find(setting.name);
        directive.is_some_and(|directive| directive.name.starts_with("tls-"))
    };
    // Also for the same values: the files may be others.
    if let Some(setting) = settings.iter().find(is_about_tls) {
        all.tls = load_tls(&all.config).map_err(|error| {
            warn!("{error}");
            failed(setting.name, "Unable to update TLS configuration. Check server logs.")
        })?;
    }
    Ok(all)
}

/// Returns the number of clients that the system allows, if a change asks for more.
fn fewer_clients(in_force: &Config, wanted: &Config) -> Option<usize> {
    let is_more = wanted.maxclients > in_force.maxclients;
    let fitting = is_more.then(|| fit_clients(wanted.maxclients))?;
    (fitting < wanted.maxclients).then_some(fitting)
}

/// Builds TLS from the settings, if there is a port for it.
fn load_tls(config: &Config) -> Result<Option<Arc<Material>>, TlsError> {
    config.needs_tls().then(|| Material::load(&config.tls).map(Arc::new)).transpose()
}

/// Checks whether a directive may be changed, and occurs once.
fn check<'a>(
    setting: &Setting<'_>,
    may_change_protected: bool,
    mut earlier: impl Iterator<Item = &'a [u8]>,
) -> Result<(), CommandError> {
    let name = setting.name;
    let change = match (directive::find(name), ignored::find(name)) {
        (Some(directive), _) if directive.is_shown => directive.change,
        (None, Some(other)) if other.default.is_some() => other.change,
        _ => {
            let start = b"ERR Unknown option or number of arguments for CONFIG SET - '";
            return Err([start, shown(name, usize::MAX), b"'"].concat());
        }
    };
    match change {
        Change::Immutable => Err(failed(name, "can't set immutable config")),
        Change::Protected if !may_change_protected => {
            Err(failed(name, "can't set protected config"))
        }
        Change::Free | Change::Protected
            if earlier.any(|other| other.eq_ignore_ascii_case(name)) =>
        {
            Err(failed(name, "duplicate parameter"))
        }
        Change::Free | Change::Protected => Ok(()),
    }
}

/// Returns the absolute path of a directory.
fn directory(path: &Path) -> Result<PathBuf, Invalid> {
    let missing = Invalid::Directory("No such file or directory");
    let path = path.canonicalize().map_err(|_| missing)?;
    if path.is_dir() { Ok(path) } else { Err(Invalid::Directory("Not a directory")) }
}

fn failed(name: &[u8], why: &str) -> CommandError {
    let start = b"ERR CONFIG SET failed (possibly related to argument '";
    [start, shown(name, usize::MAX), b"') - ", why.as_bytes()].concat()
}

impl Directive {
    /// Returns the configuration lines for the values in force.
    fn lines(&self, config: &Config) -> Vec<String> {
        let values = self.show(config);
        let line = |values: &[Vec<u8>]| line_of(self.name, values);
        // One line for each class of clients.
        match self.name {
            "client-output-buffer-limit" => values.chunks(4).map(line).collect(),
            _ => vec![line(&values)],
        }
    }
}

/// Quotes a value if it needs quotes.
fn quoted(value: &[u8]) -> String {
    let is_plain = |byte: &u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\'' | b'\\');
    match std::str::from_utf8(value) {
        Ok(text) if !value.is_empty() && value.iter().all(is_plain) => text.to_owned(),
        _ => words::quote(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rewritten_file_keeps_comments_and_has_the_settings_in_force() {
        let text = "# mine\nport 7000\nappendonly yes\nzset-max-ziplist-entries 9\nport 7001\nzset-max-ziplist-entries 8\n";
        let others = [
            ("appendonly", vec!["yes"]),
            ("zset-max-listpack-entries", vec!["7"]),
            ("hash-max-listpack-value", vec!["9"]),
        ];
        let bytes = |word: &str| word.as_bytes().to_vec();
        let others = others
            .map(|(name, values)| (name.to_owned(), values.into_iter().map(bytes).collect()))
            .into();
        let config = Config {
            port: Port::from(7001),
            requirepass: Some(b"a b".to_vec()),
            ..ConfigFile::default().config
        };
        let rewritten = |which| text_of(text, &config, &others, which);
        let all = ConfigFile::from_text(&rewritten(Rewritten::All)).unwrap();
        // The directory is that of the process.
        assert_eq!(all.config, Config { dir: std::env::current_dir().ok(), ..config.clone() });
        let rewritten = rewritten(Rewritten::Changed);
        assert_eq!(
            rewritten,
            "# mine\nport 7001\nappendonly yes\nzset-max-listpack-entries 7\n\
             # Generated by CONFIG REWRITE\nrequirepass \"a b\"\nhash-max-listpack-value 9\n"
        );
        assert_eq!(ConfigFile::from_text(&rewritten).unwrap().config, config);
    }

    #[test]
    fn a_rewritten_file_does_not_repeat_a_password_of_another_file() {
        let password = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(password.path(), "secret\r\nsecond line").unwrap();
        let text = format!("requirepass other\nrequirepass-file {}\n", password.path().display());
        let config = ConfigFile::from_text(&text).unwrap().config;
        assert_eq!(config.requirepass.as_deref(), Some(&b"secret"[..]));
        let mut acl = Acl::new(config.channels_default());
        acl.set_password_of_default(config.requirepass.as_deref());
        for which in [Rewritten::Changed, Rewritten::All] {
            let (password, others, users) = (Password::of(&config), BTreeMap::new(), acl.list());
            let in_force = InForce { config: &config, password, others: &others, users: &users };
            let lines = rewritten(text.as_bytes(), in_force, &ConfigFile::default(), which);
            let lines = String::from_utf8(lines).unwrap();
            let has_word = |word| lines.split_whitespace().any(|found| found == word);
            assert!(has_word("requirepass-file") && !has_word("requirepass"), "{lines}");
            assert!(!has_word("user") && !lines.contains("secret"), "{lines}");
        }
        // A password that a client sets takes the place of the file.
        let mut changed = config.clone();
        let row = directive::find(b"requirepass").unwrap();
        row.set(&mut changed, &[b"new".to_vec()]).unwrap();
        let lines = text_of(&text, &changed, &BTreeMap::new(), Rewritten::Changed);
        assert!(lines.contains("requirepass new\n"));
        // One of a variable is in no file, and the lines about others stay.
        let others = BTreeMap::new();
        let password = Password::Outside;
        let in_force = InForce { config: &changed, password, others: &others, users: &[] };
        let lines = rewritten(b"requirepass x\n", in_force, &ConfigFile::default(), Rewritten::All);
        let lines = String::from_utf8(lines).unwrap();
        assert!(lines.starts_with("requirepass x\n") && !lines.contains("new"), "{lines}");
    }

    fn text_of(text: &str, config: &Config, others: &Others, which: Rewritten) -> String {
        let in_force = InForce { config, password: Password::of(config), others, users: &[] };
        let text = rewritten(text.as_bytes(), in_force, &ConfigFile::default(), which);
        String::from_utf8(text).unwrap()
    }

    /// An older name becomes the current one, in its place.
    #[test]
    fn a_rewritten_file_has_one_line_for_two_names() {
        let loaded = ConfigFile::from_text("lua-time-limit 2000\ntimeout 1\n").unwrap();
        for which in [Rewritten::Changed, Rewritten::All] {
            let text = "lua-time-limit 1000\ntimeout 1\nbusy-reply-threshold 1000\n";
            let text = text_of(text, &loaded.config, &BTreeMap::new(), which);
            assert!(text.starts_with("busy-reply-threshold 2000\ntimeout 1\n"), "{text}");
            assert_eq!(text.matches(" 2000\n").count(), 1, "{text}");
        }
    }
}
