//! Finds the command that a request names.

use std::collections::HashMap as StdHashMap;
use std::sync::LazyLock;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::spec::Spec;
use super::table::SPECS;
use crate::config::Config;
use crate::ids::CommandId;
use crate::protocol::request::Request;

/// Finds commands for one worker. Applies `rename-command`, and caches the last command.
#[derive(Clone, Debug)]
pub(crate) struct Lookup {
    recent: Recent,
    renamed: Renamed,
}

/// A request with the command that it names. All later steps take it from here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parsed<'r> {
    pub(crate) found: Found,
    pub(crate) request: Request<'r>,
}

/// The outcome of a look-up.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Found {
    Command(&'static Spec),
    Unknown,
    /// The container exists, the subcommand does not.
    UnknownSubcommand(&'static Spec),
}

/// The command of the last request, which is nearly always the command of the next one.
#[derive(Clone, Debug, Default)]
struct Recent {
    name: [u8; RECENT_BYTES_MAX],
    length: usize,
    spec: Option<&'static Spec>,
}

/// Renamed and disabled commands.
#[derive(Clone, Debug, Default)]
struct Renamed {
    /// From the new name to the old one.
    new: StdHashMap<Vec<u8>, &'static str>,
    /// The old names, which are unknown now.
    old: Vec<&'static str>,
}

/// The longest name that the cache holds. Frequent commands have no longer names.
const RECENT_BYTES_MAX: usize = 8;
/// The longest full name of a command.
const NAME_BYTES_MAX: usize = 32;

static IDS: LazyLock<HashMap<&'static [u8], CommandId, FixedState>> =
    LazyLock::new(|| SPECS.iter().map(|spec| (spec.name.as_bytes(), spec.id)).collect());

impl Lookup {
    /// Creates a look-up with the renamed commands of the settings.
    ///
    /// # Errors
    ///
    /// A new name of `rename-command` is the name of another command.
    pub(crate) fn new(config: &Config) -> Result<Self, String> {
        Ok(Self { recent: Recent::default(), renamed: Renamed::new(config)? })
    }

    /// Finds the command of a request.
    pub(crate) fn parse<'r>(&mut self, request: Request<'r>) -> Parsed<'r> {
        let name = request.argument(0);
        if let Some(spec) = self.recent.find(name) {
            return Parsed { found: Found::Command(spec), request };
        }
        let found = self.find(request);
        if let Found::Command(spec) = found {
            self.recent.remember(name, spec);
        }
        Parsed { found, request }
    }

    /// Finds the command of a request without the cache.
    pub(crate) fn find(&self, request: Request<'_>) -> Found {
        let Some(name) = self.renamed.own_name(request.argument(0)) else { return Found::Unknown };
        find(name, (request.len() > 1).then(|| request.argument(1)))
    }
}

impl Found {
    /// Returns the command, if there is one.
    pub(crate) fn command(self) -> Option<&'static Spec> {
        match self {
            Self::Command(spec) => Some(spec),
            Self::Unknown | Self::UnknownSubcommand(_) => None,
        }
    }

    /// Returns the id of the command, or [`CommandId::UNKNOWN`].
    pub(crate) fn id(self) -> CommandId {
        self.command().map_or(CommandId::UNKNOWN, |spec| spec.id)
    }
}

impl Recent {
    /// Returns the last command if `name` has its exact spelling.
    fn find(&self, name: &[u8]) -> Option<&'static Spec> {
        self.spec.filter(|_| name == &self.name[..self.length])
    }

    /// Caches the command of `name`, unless it depends on the next argument.
    fn remember(&mut self, name: &[u8], spec: &'static Spec) {
        let depends = spec.container().is_some() || spec.is_container();
        if let Some(to) = self.name.get_mut(..name.len())
            && !depends
        {
            to.copy_from_slice(name);
            self.length = name.len();
            self.spec = Some(spec);
        }
    }
}

impl Renamed {
    /// Applies `rename-command`. Skips commands that only Redis has, since files written for Redis
    /// may rename them.
    fn new(config: &Config) -> Result<Self, String> {
        let mut renamed = Self::default();
        for (old, new) in &config.rename_command {
            let Some(spec) = find_full(old.as_bytes()) else { continue };
            let taken = find_full(new.as_bytes()).map(|spec| spec.name);
            if taken.is_some_and(|taken| !renamed.old.contains(&taken)) {
                return Err(format!(
                    "cannot rename command '{old}' to '{new}': a command has this name; choose \
                     another one in 'rename-command'"
                ));
            }
            renamed.old.push(spec.name);
            if !new.is_empty() {
                renamed.new.insert(new.clone().into_bytes(), spec.name);
            }
        }
        Ok(renamed)
    }

    /// Resolves a renamed command; returns `None` if the name is disabled.
    fn own_name<'a>(&self, name: &'a [u8]) -> Option<&'a [u8]> {
        if self.old.is_empty() {
            return Some(name);
        }
        let lower = name.to_ascii_lowercase();
        if let Some(own) = self.new.get(&lower) {
            return Some(own.as_bytes());
        }
        let is_gone = self.old.iter().any(|old| old.as_bytes() == lower);
        (!is_gone).then_some(name)
    }
}

/// Finds a command by its own name and that of its subcommand.
pub(crate) fn find(name: &[u8], subcommand: Option<&[u8]>) -> Found {
    let mut full = [0; NAME_BYTES_MAX];
    if name.len() > NAME_BYTES_MAX || name.contains(&b'|') {
        return Found::Unknown;
    }
    for (to, from) in full.iter_mut().zip(name) {
        *to = from.to_ascii_lowercase();
    }
    let Some(id) = IDS.get(&full[..name.len()]) else { return Found::Unknown };
    let spec = &SPECS[id.index()];
    match subcommand {
        Some(subcommand) if spec.is_container() => {
            find_in(spec, subcommand).map_or(Found::UnknownSubcommand(spec), Found::Command)
        }
        _ => Found::Command(spec),
    }
}

fn find_in(container: &'static Spec, subcommand: &[u8]) -> Option<&'static Spec> {
    let start = container.name.len() + 1;
    let mut rows = container.subcommands().iter();
    rows.find(|row| row.name.as_bytes()[start..].eq_ignore_ascii_case(subcommand))
}

/// Finds a row by its full name, such as `ping` or `client|id`.
pub(crate) fn find_full(name: &[u8]) -> Option<&'static Spec> {
    let id = IDS.get(&*name.to_ascii_lowercase())?;
    Some(&SPECS[id.index()])
}

/// Returns the row with this id.
pub(crate) fn spec(id: CommandId) -> &'static Spec {
    &SPECS[id.index()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::source::ConfigFile;

    fn name(name: &str, subcommand: Option<&str>) -> &'static str {
        match find(name.as_bytes(), subcommand.map(str::as_bytes)) {
            Found::Command(spec) => spec.name,
            Found::Unknown => "unknown",
            Found::UnknownSubcommand(_) => "unknown subcommand",
        }
    }

    #[test]
    fn names_are_found_in_any_case() {
        assert_eq!(name("PUBLISH", Some("id")), "publish");
        assert_eq!(name("Client", Some("iD")), "client|id");
        assert_eq!(name("client", None), "client");
        assert_eq!(name("client", Some("nosuch")), "unknown subcommand");
        assert_eq!(name("client|id", None), "unknown");
        assert_eq!(name("", None), "unknown");
        assert_eq!(name(&"x".repeat(100), None), "unknown");
    }

    #[test]
    fn the_last_command_is_found_by_the_same_spelling() {
        let mut recent = Recent::default();
        assert!(recent.find(b"").is_none());
        let spec = find_full(b"publish").unwrap();
        recent.remember(b"Publish", spec);
        assert_eq!(recent.find(b"Publish").unwrap().id, spec.id);
        for other in [&b"PUBLISH"[..], b"Publis", b"Publish ", b""] {
            assert!(recent.find(other).is_none());
        }
        recent.remember(b"CLIENT", find_full(b"client").unwrap());
        assert!(recent.find(b"CLIENT").is_none(), "it has subcommands");
    }

    #[test]
    fn a_renamed_command_has_its_new_name_only() {
        let text = "rename-command flushdb badger\nrename-command config \"\"";
        let renamed = Renamed::new(&ConfigFile::from_text(text).unwrap().config).unwrap();
        assert_eq!(renamed.own_name(b"BADGER"), Some(&b"flushdb"[..]));
        assert_eq!(renamed.own_name(b"FlushDB"), None);
        assert_eq!(renamed.own_name(b"config"), None);
        assert_eq!(renamed.own_name(b"ping"), Some(&b"ping"[..]));
    }

    #[test]
    fn a_command_cannot_take_the_name_of_another() {
        let renamed = |text| {
            let config = ConfigFile::from_text(text).unwrap().config;
            Renamed::new(&config).map(|renamed| renamed.new.len())
        };
        let error = renamed("rename-command get ping").unwrap_err();
        assert!(error.starts_with("cannot rename command 'get' to 'ping'"), "{error}");
        assert_eq!(renamed("rename-command ping pong\nrename-command get ping"), Ok(2));
        assert_eq!(renamed("rename-command lpush ping"), Ok(0));
    }

    #[test]
    fn every_row_is_found_by_its_full_name() {
        for spec in &SPECS {
            let found = find_full(spec.name.as_bytes()).unwrap();
            assert!(std::ptr::eq(found, spec), "{}", spec.name);
            assert!(spec.name.len() <= NAME_BYTES_MAX);
        }
    }
}
