//! Measures the English of comments and documents, and holds it to targets.
//!
//! Three groups of words take the place of nouns and make servers talk like people. Their rates per
//! 1,000 words are limited, as is the median length of sentences. Parts of the repository count
//! alone and together.

mod markdown;
mod part;

use std::collections::BTreeMap;
use std::path::Path;

use self::part::{GROUPS, Hit, LONG_SENTENCE_WORDS, Part, RATE_MAX, SENTENCE_WORDS_MAX};
use crate::source;
use crate::step::{Failure, workspace_dir};

/// Parts with fewer words count in the total only.
const PART_WORDS_MIN: usize = 1000;
const STEP: &str = "prose";
const TOTAL: &str = "total";
const DOCUMENTS: &str = "documents";

/// Prints the figures of all parts, and up to `shown` lines for each target that is missed.
///
/// # Errors
///
/// When a part misses a target.
pub(crate) fn check(shown: usize) -> Result<(), Failure> {
    println!("\n==> {STEP}");
    let parts = measure(&workspace_dir())?;
    print_table(&parts);
    let mut missed = Vec::new();
    for (name, part) in &parts {
        if name == TOTAL || part.words >= PART_WORDS_MIN {
            missed.extend(part.misses().into_iter().map(|miss| format!("{name}: {miss}")));
        }
    }
    if missed.is_empty() {
        return Ok(());
    }
    print_lines(&parts, shown);
    let reason = format!(
        "targets are missed (rates up to {RATE_MAX} per 1,000 words, median sentence up to \
         {SENTENCE_WORDS_MAX} words)\n\n    {}\n",
        missed.join("\n    ")
    );
    Err(Failure::Unexpected { step: STEP, reason })
}

/// Reads all Rust files and documents below `root`. Returns the parts with most words first, and the
/// total last.
fn measure(root: &Path) -> Result<Vec<(String, Part)>, Failure> {
    let mut parts: BTreeMap<String, Part> = BTreeMap::new();
    let mut total = Part::default();
    let mut add = |name: &str, path: &Path, line: usize, text: &str| {
        parts.entry(name.to_owned()).or_default().add(path, line, text);
        total.add(path, line, text);
    };
    for file in source::rust_files(root)? {
        let mut folders = file.path.iter();
        let first = folders.next().map(|name| name.to_string_lossy().into_owned());
        // A file of the root itself is in no folder.
        let name = folders.next().and(first).unwrap_or_else(|| ".".to_owned());
        for comment in &file.comments {
            add(&name, &file.path, comment.line, &comment.text);
        }
    }
    for path in source::files(root, "md")? {
        add(DOCUMENTS, &path, 1, &source::read(&root.join(&path))?);
    }
    let mut parts: Vec<(String, Part)> = parts.into_iter().collect();
    parts.sort_by_key(|(_, part)| std::cmp::Reverse(part.words));
    parts.push((TOTAL.to_owned(), total));
    Ok(parts)
}

fn print_table(parts: &[(String, Part)]) {
    let names: String = GROUPS.iter().map(|group| format!("{:>6}", group.name)).collect();
    println!("    {:<10} {:>6} {names} sentences median  long", "part", "words");
    for (name, part) in parts {
        let rates: String =
            (0..GROUPS.len()).map(|group| format!("{:>6.1}", part.rate(group))).collect();
        println!(
            "    {name:<10} {:>6} {rates} {:>9} {:>6.1} {:>3.0} %",
            part.words,
            part.sentences(),
            part.median(),
            part.long_percent()
        );
    }
    println!("    ('long' sentences have more than {LONG_SENTENCE_WORDS} words)");
}

/// Prints lines of the whole repository, evenly chosen from each group of words.
fn print_lines(parts: &[(String, Part)], shown: usize) {
    let Some((_, total)) = parts.last() else { return };
    if shown == 0 {
        return;
    }
    for (group, hits) in GROUPS.iter().zip(&total.hits) {
        println!("\n    {}: {} in all", group.name, hits.len());
        for Hit { place, word, line } in chosen(hits, shown) {
            println!("      {place}: [{word}] {line}");
        }
    }
}

/// Returns up to `count` items from all of a list.
fn chosen<T>(items: &[T], count: usize) -> impl Iterator<Item = &T> {
    let step = items.len().checked_div(count).unwrap_or_default().max(1);
    items.iter().step_by(step).take(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_chosen_from_the_whole_list() {
        let check = |count, expected: &[usize]| {
            let items: Vec<usize> = (0..7).collect();
            assert_eq!(chosen(&items, count).copied().collect::<Vec<_>>(), expected);
        };
        check(0, &[]);
        check(3, &[0, 2, 4]);
        check(9, &[0, 1, 2, 3, 4, 5, 6]);
    }
}
