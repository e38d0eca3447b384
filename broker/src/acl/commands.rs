//! The commands that one selector allows, with one bit for each command of the catalogue.
//!
//! A rule for a container command, or for its category, changes the subcommands as well. Therefore
//! the order of rules matters.

use std::cmp::Reverse;
use std::collections::BTreeMap;

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
    /// For commands that are otherwise denied: the first arguments with which they are allowed.
    first_arguments: BTreeMap<CommandId, Vec<Vec<u8>>>,
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

    /// Applies a rule that begins with `+` or `-`.
    pub(super) fn apply(&mut self, rule: &[u8]) -> Result<(), RuleError> {
        match rule {
            [b'+', b'@', category @ ..] => self.set_named(category, Change::Grant)?,
            [b'-', b'@', category @ ..] => self.set_named(category, Change::Revoke)?,
            [b'+', command @ ..] => match command.iter().rposition(|&byte| byte == b'|') {
                Some(bar) => self.grant_part(command, bar)?,
                None => self.set(find(command)?, Change::Grant),
            },
            [b'-', command @ ..] => self.set(find(command)?, Change::Revoke),
            _ => return Err(RuleError::Syntax),
        }
        Ok(())
    }

    /// Returns rules for this set as Redis 7.0 does: first the categories that fit best, then the
    /// remaining commands by name.
    pub(super) fn describe(&self) -> Vec<u8> {
        let (mut described, change) = match self.future {
            true => (Self::all(), Change::Revoke),
            false => (Self::none(), Change::Grant),
        };
        let mut words = vec![match change {
            Change::Revoke => "+@all".to_owned(),
            Change::Grant => "-@all".to_owned(),
        }];
        for category in self.fitting_categories(change) {
            described.set_category(category, change);
            words.push(format!("{}@{}", change.sign(), category.name()));
        }
        let mut text = words.join(" ").into_bytes();
        for id in CommandId::all() {
            self.describe_command(id, &mut described, &mut text);
        }
        text
    }

    /// Appends the rules for one command that `described` lacks.
    fn describe_command(&self, id: CommandId, described: &mut Self, text: &mut Vec<u8>) {
        if self.contains(id) != described.contains(id) {
            let change = if self.contains(id) { Change::Grant } else { Change::Revoke };
            described.set(id, change);
            text.extend_from_slice(format!(" {}{}", change.sign(), id.name()).as_bytes());
        }
        if self.contains(id) {
            return;
        }
        for argument in self.first_arguments.get(&id).into_iter().flatten() {
            text.extend_from_slice(format!(" +{}|", id.name()).as_bytes());
            text.extend_from_slice(argument);
        }
    }

    /// Chooses categories one by one. In each of them, most commands need this change.
    fn fitting_categories(&self, change: Change) -> Vec<Category> {
        let mut left = self.clone();
        let mut chosen = Vec::new();
        loop {
            let best = Category::all()
                .filter(|category| !chosen.contains(category))
                .map(|category| (category, left.fit(category, change)))
                .filter(|(_, fit)| fit.same > fit.different)
                .min_by_key(|(_, fit)| (fit.different, Reverse(fit.same)));
            let Some((category, _)) = best else { return chosen };
            left.set_category(category, change.inverse());
            chosen.push(category);
        }
    }

    fn fit(&self, category: Category, change: Change) -> Fit {
        let mut fit = Fit { same: 0, different: 0 };
        // Later commands must not change the description of permissions from 7.0.
        for id in CommandId::all().filter(|id| id.is_in(category) && !id.is_later()) {
            match self.contains(id) == (change == Change::Grant) {
                true => fit.same += 1,
                false => fit.different += 1,
            }
        }
        fit
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
        let arguments = self.first_arguments.entry(id).or_default();
        if !arguments.iter().any(|argument| argument.eq_ignore_ascii_case(part)) {
            arguments.push(part.to_vec());
        }
        Ok(())
    }

    fn set_named(&mut self, name: &[u8], change: Change) -> Result<(), RuleError> {
        if name.eq_ignore_ascii_case(b"all") {
            *self = match change {
                Change::Grant => Self::all(),
                Change::Revoke => Self::none(),
            };
        } else {
            self.set_category(Category::find(name).ok_or(RuleError::Unknown)?, change);
        }
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
        allowed.iter().any(|allowed| allowed.eq_ignore_ascii_case(argument))
    }
}

impl Change {
    fn inverse(self) -> Self {
        match self {
            Self::Grant => Self::Revoke,
            Self::Revoke => Self::Grant,
        }
    }

    fn sign(self) -> char {
        match self {
            Self::Grant => '+',
            Self::Revoke => '-',
        }
    }
}

/// Counts of the commands in a category that need the change, and of the others.
#[derive(Clone, Copy, Debug)]
struct Fit {
    same: usize,
    different: usize,
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
        assert_eq!(commands(&text).describe(), text.into_bytes(), "{rules}, read back");
    }

    #[test]
    fn permissions_are_described_by_the_categories_that_fit_best() {
        check_described("", "-@all");
        check_described("-@all +@pubsub -publish", "-@all +@pubsub -publish");
        check_described("+@all -@dangerous", "+@all -@dangerous");
        check_described("+@ALL -@Admin", "+@all -@admin");
        check_described("+get +set +@geo -georadius", "-@all +@geo -georadius +get +set");
        check_described("+@read +@write", "-@all +@write +@read");
        check_described("+@connection -@connection", "-@all");
        check_described("+@fast -@fast", "-@all");
        check_described("+@transaction +@blocking", "-@all +@blocking +@transaction");
        check_described("+@pubsub -@slow", "-@all +publish +spublish");
        check_described(
            "+@all -@dangerous +info",
            "+@all -@admin -flushall -flushdb -keys -migrate -restore -restore-asking -sort -sort_ro -swapdb",
        );
        check_described(
            "+@keyspace +@read +@write +@set +@sortedset +@list +@hash +@string",
            "-@all +@write +@read +object|help",
        );
    }

    #[test]
    fn everything_is_complete_after_a_revoked_command_is_granted() {
        check_described("+@all -get +get", "+@all");
        check_described("+@all -@all +get", "-@all +get");
        check_described("+@all -@connection", "+@all -@connection");
    }

    #[test]
    fn a_command_has_its_subcommands() {
        check_described("+client", "-@all +client");
        check_described("+client -client|kill", "-@all +client -client|kill");
        check_described("+client|id +client", "-@all +client");
        check_described("+CLIENT|id +client|List", "-@all +client|id +client|list");
        check_described("+config|get +config -config", "-@all");
        check_described("+@all -client +client|id", "+@all -client +client|id");
        check_described("+@all -client|kill -config", "+@all -client|kill -config");
        check_described("+@all -@admin +client|kill", "+@all -@admin +client|kill");
    }

    #[test]
    fn commands_of_later_versions_are_described_only_where_they_differ() {
        check_described("+@connection", "-@all +@connection");
        check_described("+@connection -client|setinfo", "-@all +@connection -client|setinfo");
        check_described("+waitaof", "-@all +waitaof");
    }

    #[test]
    fn first_arguments_last_until_the_command_changes() {
        check_described("+select|0 +select|1 +SELECT|0", "-@all +select|0 +select|1");
        check_described("+DEBUG|Object", "-@all +debug|Object");
        check_described("+select|0 +select", "-@all +select");
        check_described("+select|0 -select", "-@all");
        check_described("+select|0 +@connection -select", "-@all +@connection -select");
        check_described("+@all -select +select|0", "+@all -select +select|0");
        check_described("+@all +select|0", "+@all");
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
