//! The list of chapters, and the links of the book to its files and headings.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::CHAPTERS;
use crate::chapter::folder;

#[test]
fn the_summary_lists_every_chapter_once() {
    let text = fs::read_to_string(folder().join("SUMMARY.md")).expect("the summary");
    let mut listed: Vec<String> =
        links(&text).map(|link| link.trim_end_matches(".md").replace('-', "_")).collect();
    listed.sort_unstable();
    let mut chapters = CHAPTERS.to_vec();
    chapters.sort_unstable();
    assert_eq!(listed, chapters);
}

#[test]
fn links_lead_to_files_and_headings() {
    for name in CHAPTERS {
        let path = folder().join(format!("{}.md", name.replace('_', "-")));
        let text = fs::read_to_string(&path).expect("the chapter is there");
        for link in links(&text).filter(|link| !link.contains("://")) {
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { path.clone() } else { folder().join(file) };
            assert!(target.exists(), "{name}: no file {link}");
            // mdBook makes pages of its own chapters only, and renames all links to such files.
            let is_page = !file.starts_with("..") || !file.ends_with(".md");
            assert!(is_page, "{name}: {link} is no page of the book");
            let is_there = heading.is_empty() || headings(&target).contains(heading);
            assert!(is_there, "{name}: no heading {link}");
        }
        for included in text.lines().filter_map(|line| line.strip_prefix("{{#include ")) {
            let file = included.trim_end_matches('}');
            assert!(folder().join(file).is_file(), "{name}: no file {file}");
        }
    }
}

/// Returns the targets of links, without those of code.
fn links(text: &str) -> impl Iterator<Item = &str> {
    let prose = text.split("```").step_by(2);
    prose.flat_map(|part| part.split("](").skip(1)).filter_map(|rest| rest.split(')').next())
}

/// Returns the ids that mdBook gives to the headings of a file.
fn headings(path: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(path).expect("the file is there");
    let lines = text.lines().filter(|line| line.starts_with('#'));
    lines.map(|line| id(line.trim_start_matches('#').trim())).collect()
}

fn id(heading: &str) -> String {
    let letters = heading.chars().filter_map(|letter| match letter {
        ' ' => Some('-'),
        letter if letter.is_alphanumeric() || matches!(letter, '-' | '_') => {
            Some(letter.to_ascii_lowercase())
        }
        _ => None,
    });
    letters.collect()
}
