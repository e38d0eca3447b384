//! The commands that rules can name, with their categories.
//!
//! The catalogue holds all commands of Redis, since an ACL file may grant commands that this server
//! lacks, such as `+hset`. A command that only this server has is in no category. Only users whose
//! rules begin with `+@all` may run it.

mod rows;

use std::sync::LazyLock;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use self::rows::{CATEGORIES, ROWS};

/// A command, or a subcommand such as `client|id`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct CommandId(u16);

impl CommandId {
    /// The number of commands.
    pub(super) const COUNT: usize = ROWS.len();

    /// Finds a command by its full name in lower case.
    pub(super) fn find(name: &str) -> Option<Self> {
        static BY_NAME: LazyLock<HashMap<&str, CommandId, FixedState>> =
            LazyLock::new(|| CommandId::all().map(|id| (id.name(), id)).collect());
        BY_NAME.get(name).copied()
    }

    /// Returns all commands by name, each before its subcommands.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        (0..).map(Self).take(Self::COUNT)
    }

    pub(super) fn name(self) -> &'static str {
        self.row().name
    }

    /// Returns its place in the catalogue.
    pub(super) fn index(self) -> usize {
        usize::from(self.0)
    }

    pub(super) fn is_in(self, category: Category) -> bool {
        self.row().categories >> category.0 & 1 == 1
    }

    /// Returns whether Redis lacks it.
    fn is_ours(self) -> bool {
        self.row().categories & OURS != 0
    }

    /// Returns whether every user may run it regardless of the rules: `AUTH` and its like.
    pub(super) fn is_unchecked(self) -> bool {
        self.row().categories & UNCHECKED != 0
    }

    pub(super) fn is_subcommand(self) -> bool {
        self.name().contains('|')
    }

    pub(super) fn subcommands(self) -> impl Iterator<Item = Self> {
        let name = self.name();
        Self::all().skip(self.index() + 1).take_while(move |other| {
            other.name().strip_prefix(name).is_some_and(|rest| rest.starts_with('|'))
        })
    }

    fn row(self) -> &'static Row {
        &ROWS[self.index()]
    }
}

/// A group of commands, such as `@pubsub`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Category(u8);

impl Category {
    /// Finds a category by its name in any case.
    pub(super) fn find(name: &[u8]) -> Option<Self> {
        Self::all().find(|category| category.name().as_bytes().eq_ignore_ascii_case(name))
    }

    /// Returns all categories in the order of Redis.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        (0..).map(Self).take(CATEGORIES.len())
    }

    pub(super) fn name(self) -> &'static str {
        CATEGORIES[usize::from(self.0)]
    }
}

/// Returns the names of all categories, as `ACL CAT` lists them.
pub(crate) fn categories() -> &'static [&'static str] {
    CATEGORIES
}

/// Returns the full names of the commands in a category. The name may have any case.
pub(crate) fn commands_in(category: &[u8]) -> Option<Vec<&'static str>> {
    let category = Category::find(category)?;
    let is_in = |id: &CommandId| id.is_in(category) && !id.is_ours();
    Some(CommandId::all().filter(is_in).map(CommandId::name).collect())
}

/// Returns whether Redis lacks a command. Lists of commands omit it, since clients compare them. The
/// full name is in lower case.
pub(crate) fn is_ours(command: &str) -> bool {
    CommandId::find(command).is_some_and(CommandId::is_ours)
}

/// Returns the names of the categories of a command. The full name is in lower case.
pub(crate) fn categories_of(command: &str) -> impl Iterator<Item = &'static str> {
    let id = CommandId::find(command);
    let is_in = move |category: &Category| id.is_some_and(|id| id.is_in(*category));
    Category::all().filter(is_in).map(Category::name)
}

/// A row of the catalogue.
#[derive(Debug)]
struct Row {
    name: &'static str,
    /// A bit for each category, and [`OURS`] and [`UNCHECKED`].
    categories: u32,
}

impl Row {
    const fn new(name: &'static str, categories: u32) -> Self {
        Self { name, categories }
    }
}

/// Redis lacks it, so lists of commands omit it.
const OURS: u32 = 1 << 30;
/// Every user may run it regardless of the rules.
const UNCHECKED: u32 = 1 << 31;

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> CommandId {
        CommandId::find(name).unwrap()
    }

    #[test]
    fn names_ascend_and_a_command_stands_right_before_its_subcommands() {
        assert!(ROWS.windows(2).all(|pair| pair[0].name < pair[1].name));
        for id in CommandId::all() {
            if let Some((container, _)) = id.name().split_once('|') {
                assert!(named(container).subcommands().any(|other| other == id), "{}", id.name());
            }
        }
        assert_eq!(named("get").subcommands().count(), 0);
        assert_eq!(named("slowlog").subcommands().count(), 4);
    }

    #[test]
    fn all_commands_of_redis_are_known() {
        assert_eq!(CommandId::all().filter(|id| !id.is_ours()).count(), 370);
        for name in ["hset", "client|setinfo", "publish", "waitaof", "cluster|myshardid"] {
            assert_eq!(named(name).name(), name);
        }
        for name in ["", "HSET", "client|nosuch", "hset|a", "client|", "|"] {
            assert_eq!(CommandId::find(name), None, "{name}");
        }
    }

    #[test]
    fn every_command_is_either_fast_or_slow() {
        let fast = Category::find(b"fast").unwrap();
        let slow = Category::find(b"SLOW").unwrap();
        assert!(CommandId::all().all(|id| id.is_in(fast) != id.is_in(slow)));
    }

    #[test]
    fn a_category_lists_its_commands() {
        let pubsub = [
            "psubscribe",
            "publish",
            "pubsub|channels",
            "pubsub|numpat",
            "pubsub|numsub",
            "pubsub|shardchannels",
            "pubsub|shardnumsub",
            "punsubscribe",
            "spublish",
            "ssubscribe",
            "subscribe",
            "sunsubscribe",
            "unsubscribe",
        ];
        assert_eq!(commands_in(b"PubSub").unwrap(), pubsub);
        assert_eq!(commands_in(b"all"), None);
        assert_eq!(commands_in(b""), None);
        assert_eq!(categories().len(), 21);
    }

    #[test]
    fn only_the_way_in_and_out_is_unchecked() {
        let unchecked = CommandId::all().filter(|id| id.is_unchecked()).map(CommandId::name);
        assert_eq!(unchecked.collect::<Vec<_>>(), ["auth", "hello", "quit", "reset"]);
    }
}
