//! The commands that one selector allows, with one bit for each command of the catalogue.
//!
//! A rule for a container command, or for its category, changes the subcommands as well. Therefore
//! the order of rules matters.
//!
//! **Invariant.** The rules, applied in order after `+@all` or `-@all`, result in the same set.

use std::collections::{BTreeMap, BTreeSet};

use super::catalogue::{Category, CommandId};
use super::rule::{self, RuleError};

/// A set of commands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Commands {
    bits: [u64; WORDS],
    /// No rule revoked anything after `+@all`, so the look-up is skipped.
    everything: bool,
    /// Commands of later versions are allowed, since the rules began with `+@all`.
    future: bool,
    /// For commands that are otherwise denied: the first arguments with which they are allowed, in
    /// lower case.
    first_arguments: BTreeMap<CommandId, BTreeSet<Vec<u8>>>,
    /// The rules since `+@all` or `-@all`, without those that a later rule replaced. The names are in
    /// lower case: `get`, `client|id`, `select|0` or `@pubsub`.
    rules: BTreeMap<Vec<u8>, Rule>,
    /// The number of rules so far, with those that were replaced.
    rules_seen: u64,
}

/// A rule for the commands of one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rule {
    change: Change,
    /// Its place in the order of all rules.
    number: u64,
}

const WORDS: usize = CommandId::COUNT.div_ceil(64);

/// The effect of a rule on a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Grant,
    Revoke,
}

impl Commands {
    pub(super) fn none() -> Self {
        Self {
            bits: [0; WORDS],
            everything: false,
            future: false,
            first_arguments: BTreeMap::new(),
            rules: BTreeMap::new(),
            rules_seen: 0,
        }
    }

    pub(super) fn all() -> Self {
        Self { bits: [u64::MAX; WORDS], everything: true, future: true, ..Self::none() }
    }

    /// Returns whether all commands are allowed.
    pub(super) fn is_everything(&self) -> bool {
        self.everything
    }

    /// Returns whether the command may run with this first argument. The name is a full name.
    pub(super) fn allow(&self, command: &str, argument: Option<&[u8]>) -> bool {
        if self.everything {
            return true;
        }
        let Some(id) = CommandId::find(command) else { return self.future };
        self.contains(id) || id.is_unchecked() || self.allow_with(id, argument)
    }

    /// Returns whether all commands of a category are allowed.
    pub(super) fn allow_all_in(&self, category: &str) -> bool {
        let category = Category::find(category.as_bytes());
        self.everything
            || CommandId::all()
                .filter(|id| category.is_some_and(|category| id.is_in(category)))
                .all(|id| self.contains(id))
    }

    /// Applies a rule that begins with `+` or `-`.
    pub(super) fn apply(&mut self, rule: &[u8]) -> Result<(), RuleError> {
        let (change, name) = match rule {
            [b'+', name @ ..] => (Change::Grant, name),
            [b'-', name @ ..] => (Change::Revoke, name),
            _ => return Err(RuleError::Syntax),
        };
        if name.eq_ignore_ascii_case(b"@all") {
            *self = match change {
                Change::Grant => Self::all(),
                Change::Revoke => Self::none(),
            };
            return Ok(());
        }
        match (change, name, name.iter().rposition(|&byte| byte == b'|')) {
            (_, [b'@', category @ ..], _) => {
                self.set_category(Category::find(category).ok_or(RuleError::Unknown)?, change);
            }
            (Change::Grant, _, Some(bar)) => self.grant_part(name, bar)?,
            _ => self.set(find(name)?, change),
        }
        self.keep_rule(change, name);
        Ok(())
    }

    /// Returns rules for this set as Redis 7.2 does: `+@all` or `-@all`, then the rules in their
    /// order.
    pub(super) fn describe(&self) -> Vec<u8> {
        let mut text = if self.future { b"+@all".to_vec() } else { b"-@all".to_vec() };
        let mut rules: Vec<_> = self.rules.iter().collect();
        rules.sort_unstable_by_key(|(_, rule)| rule.number);
        for (name, Rule { change, .. }) in rules {
            text.extend_from_slice(&[b' ', change.sign()]);
            text.extend_from_slice(name);
        }
        text
    }

    /// Adds a rule to the description. It replaces rules for the same name, and for the subcommands
    /// and first arguments of a command.
    fn keep_rule(&mut self, change: Change, name: &[u8]) {
        let mut parts = [name, b"|"].concat().to_ascii_lowercase();
        while let Some((part, _)) = self.rules.range(parts.clone()..).next()
            && part.starts_with(&parts)
        {
            let part = part.clone();
            self.rules.remove(&part);
        }
        parts.pop();
        self.rules_seen += 1;
        self.rules.insert(parts, Rule { change, number: self.rules_seen });
    }

    /// Applies `+container|subcommand`, or `+command|argument` if the command has no subcommands.
    fn grant_part(&mut self, rule: &[u8], bar: usize) -> Result<(), RuleError> {
        let id = find(&rule[..bar])?;
        let part = &rule[bar + 1..];
        if id.is_subcommand() {
            return Err(RuleError::FirstArgumentOfSubcommand);
        }
        if part.is_empty() || rule::has_blanks(part) {
            return Err(RuleError::Syntax);
        }
        if id.subcommands().next().is_some() {
            self.set(find(rule)?, Change::Grant);
            return Ok(());
        }
        self.first_arguments.entry(id).or_default().insert(part.to_ascii_lowercase());
        Ok(())
    }

    fn set_category(&mut self, category: Category, change: Change) {
        for id in CommandId::all().filter(|id| id.is_in(category)) {
            self.set(id, change);
        }
    }

    /// Changes a command and its subcommands.
    fn set(&mut self, id: CommandId, change: Change) {
        self.first_arguments.remove(&id);
        self.set_bit(id, change);
        for subcommand in id.subcommands() {
            self.set_bit(subcommand, change);
        }
    }

    fn set_bit(&mut self, id: CommandId, change: Change) {
        let (word, bit) = (id.index() / 64, 1 << (id.index() % 64));
        match change {
            Change::Grant => self.bits[word] |= bit,
            Change::Revoke => {
                self.bits[word] &= !bit;
                self.everything = false;
            }
        }
    }

    fn contains(&self, id: CommandId) -> bool {
        self.bits[id.index() / 64] >> (id.index() % 64) & 1 == 1
    }

    fn allow_with(&self, id: CommandId, argument: Option<&[u8]>) -> bool {
        let (Some(allowed), Some(argument)) = (self.first_arguments.get(&id), argument) else {
            return false;
        };
        allowed.contains(&argument.to_ascii_lowercase())
    }
}

impl Change {
    fn sign(self) -> u8 {
        match self {
            Self::Grant => b'+',
            Self::Revoke => b'-',
        }
    }
}

/// Finds the command of a rule. The name may have any case.
fn find(name: &[u8]) -> Result<CommandId, RuleError> {
    let name = name.to_ascii_lowercase();
    std::str::from_utf8(&name).ok().and_then(CommandId::find).ok_or(RuleError::Unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commands(rules: &str) -> Commands {
        let mut commands = Commands::none();
        for rule in rules.split_whitespace() {
            commands.apply(rule.as_bytes()).unwrap();
        }
        commands
    }

    #[track_caller]
    fn check_described(rules: &str, expected: &str) {
        let text = String::from_utf8(commands(rules).describe()).unwrap();
        assert_eq!(text, expected, "{rules}");
        assert_eq!(commands(&text).bits, commands(rules).bits, "{rules}, read back");
    }

    #[test]
    fn rules_are_described_in_their_order() {
        check_described("", "-@all");
        check_described("-@all +@pubsub -publish", "-@all +@pubsub -publish");
        check_described("+get +set +@geo -georadius", "-@all +get +set +@geo -georadius");
        check_described("+@ALL -@Admin +GET", "+@all -@admin +get");
        check_described("+@all +client|id", "+@all +client|id");
        check_described("+@all -@all +get", "-@all +get");
    }

    #[test]
    fn a_rule_replaces_earlier_rules_for_the_same_commands() {
        check_described("+get +set +get", "-@all +set +get");
        check_described("+@all -get +get", "+@all +get");
        check_described("+@connection -@connection", "-@all -@connection");
        check_described("+@read +get", "-@all +@read +get");
        check_described("+get +@read", "-@all +get +@read");
        check_described("+get +getex -get", "-@all +getex -get");
    }

    #[test]
    fn a_command_has_its_subcommands() {
        check_described("+client -client|kill", "-@all +client -client|kill");
        check_described("+client|id -client|kill +client", "-@all +client");
        check_described("+CLIENT|id +client|List", "-@all +client|id +client|list");
        check_described("+config|get +config -config", "-@all -config");
    }

    #[test]
    fn first_arguments_last_until_the_command_changes() {
        check_described("+select|0 +select|1 +SELECT|0", "-@all +select|1 +select|0");
        check_described("+DEBUG|Object", "-@all +debug|object");
        check_described("+select|0 +select", "-@all +select");
        check_described("+select|0 -select", "-@all -select");
        check_described("+select|0 +@connection", "-@all +select|0 +@connection");
        check_described("+@all +select|0", "+@all +select|0");
    }

    #[track_caller]
    fn check_allowed(rules: &str, command: &str, argument: Option<&str>, expected: bool) {
        let allowed = commands(rules).allow(command, argument.map(str::as_bytes));
        assert_eq!(allowed, expected, "{rules}: {command} {argument:?}");
    }

    #[test]
    fn a_command_is_allowed_or_not() {
        check_allowed("+get", "get", Some("a"), true);
        check_allowed("+get", "set", Some("a"), false);
        check_allowed("+client|id", "client|id", Some("id"), true);
        check_allowed("+client|id", "client|list", Some("list"), false);
        check_allowed("+select|0", "select", Some("0"), true);
        check_allowed("+debug|object", "debug", Some("OBJECT"), true);
        check_allowed("+select|0", "select", Some("1"), false);
        check_allowed("+select|0", "select", None, false);
        for way in ["auth", "hello", "quit", "reset"] {
            check_allowed("-@all", way, None, true);
        }
    }

    #[test]
    fn an_unknown_command_is_allowed_after_a_start_with_everything() {
        check_allowed("+@all", "tap", None, true);
        check_allowed("+@all -get", "tap", None, true);
        check_allowed("+@all -@all +@read +@write", "tap", None, false);
    }

    #[test]
    fn a_rule_that_cannot_be_applied_returns_the_cause() {
        for (rule, expected) in [
            ("+foo", RuleError::Unknown),
            ("-foo", RuleError::Unknown),
            ("+@foo", RuleError::Unknown),
            ("+@", RuleError::Unknown),
            ("+", RuleError::Unknown),
            ("-", RuleError::Unknown),
            ("+|", RuleError::Unknown),
            ("+client|nosuch", RuleError::Unknown),
            ("-client|", RuleError::Unknown),
            ("-select|0", RuleError::Unknown),
            ("+get|a|b", RuleError::Unknown),
            ("+client|", RuleError::Syntax),
            ("+select|", RuleError::Syntax),
            ("foo", RuleError::Syntax),
            ("+config|get|x", RuleError::FirstArgumentOfSubcommand),
        ] {
            assert_eq!(Commands::none().apply(rule.as_bytes()), Err(expected), "{rule}");
        }
    }
}
