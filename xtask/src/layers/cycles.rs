//! Finds modules that use themselves through others.

use std::collections::{BTreeMap, BTreeSet};

/// Returns the cycles of a graph: each group of names in which every name leads to every other.
pub(super) fn find<'a>(edges: impl Iterator<Item = &'a (String, String)>) -> Vec<Vec<&'a str>> {
    let mut next: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (from, to) in edges {
        next.entry(from).or_default().push(to);
    }
    let reached: BTreeMap<&str, BTreeSet<&str>> =
        next.keys().map(|&from| (from, reached(from, &next))).collect();
    let leads = |from: &str, to: &str| reached.get(from).is_some_and(|all| all.contains(to));
    let mut cycles = Vec::new();
    for &name in reached.keys() {
        let cycle: Vec<&str> = reached
            .keys()
            .copied()
            .filter(|other| leads(name, other) && leads(other, name))
            .collect();
        // Each cycle is found from all of its names; the first stands for the others.
        if cycle.first() == Some(&name) {
            cycles.push(cycle);
        }
    }
    cycles
}

/// Returns the names that one leads to.
fn reached<'a>(from: &str, next: &BTreeMap<&str, Vec<&'a str>>) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    let mut open: Vec<&str> = vec![from];
    while let Some(name) = open.pop() {
        for &to in next.get(name).into_iter().flatten() {
            if found.insert(to) {
                open.push(to);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(edges: &[(&str, &str)], expected: &[&[&str]]) {
        let edges: Vec<(String, String)> =
            edges.iter().map(|&(from, to)| (from.to_owned(), to.to_owned())).collect();
        assert_eq!(find(edges.iter()), expected, "{edges:?}");
    }

    #[test]
    fn cycles_are_told_from_what_leads_to_them() {
        check(&[("a", "b"), ("b", "c"), ("a", "c")], &[]);
        check(&[("a", "b"), ("b", "c"), ("c", "b"), ("c", "d")], &[&["b", "c"]]);
        check(
            &[("a", "b"), ("b", "a"), ("b", "c"), ("c", "d"), ("d", "c")],
            &[&["a", "b"], &["c", "d"]],
        );
    }
}
