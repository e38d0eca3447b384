//! The order of modules that a `layers.txt` asks for.
//!
//! ```text
//! server          # one layer a line, top first
//! session config  # these two do not use each other
//! ground
//! allow ground -> config   # accepted until the use is removed
//! ```

use std::collections::{BTreeMap, BTreeSet};

/// The rank of each module, and the uses that are accepted against it.
#[derive(Debug, Default)]
pub(super) struct Order {
    /// Lines from the top, by module.
    ranks: BTreeMap<String, usize>,
    allowed: BTreeSet<(String, String)>,
}

impl Order {
    /// Reads the text of a `layers.txt`.
    pub(super) fn parse(text: &str) -> Self {
        let mut order = Self::default();
        for (rank, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default();
            if let Some((user, used)) = line.trim().strip_prefix("allow ").and_then(split_use) {
                order.allowed.insert((user, used));
                continue;
            }
            let names = line.split(|char: char| char.is_whitespace() || char == ',');
            let names = names.filter(|name| !name.is_empty());
            order.ranks.extend(names.map(|name| (name.to_owned(), rank)));
        }
        order
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &String> {
        self.ranks.keys()
    }

    pub(super) fn allowed(&self) -> impl Iterator<Item = &(String, String)> {
        self.allowed.iter()
    }

    pub(super) fn rank(&self, module: &str) -> Option<usize> {
        self.ranks.get(module).copied()
    }

    pub(super) fn allows(&self, user: &str, used: &str) -> bool {
        self.allowed.iter().any(|(from, to)| from == user && to == used)
    }

    /// Returns whether both modules are listed and the used one is not lower than its user.
    pub(super) fn is_upward(&self, user: &str, used: &str) -> bool {
        matches!((self.rank(user), self.rank(used)), (Some(user), Some(used)) if user >= used)
    }
}

fn split_use(text: &str) -> Option<(String, String)> {
    let (user, used) = text.split_once("->")?;
    Some((user.trim().to_owned(), used.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_one_line_share_a_layer() {
        let order = Order::parse("# The top.\na\n\nb, c d\nallow d -> a # for now\n");
        assert!(order.rank("a") < order.rank("b"));
        assert_eq!(order.rank("b"), order.rank("d"));
        assert!(order.is_upward("b", "c") && order.is_upward("c", "a"));
        assert!(!order.is_upward("a", "c") && !order.is_upward("a", "unlisted"));
        assert!(order.allows("d", "a") && !order.allows("a", "d"));
        assert_eq!(order.names().collect::<Vec<_>>(), ["a", "b", "c", "d"]);
    }
}
