//! The manual of the settings, made from `redis.conf.example` and the table of directives.
//!
//! The text of each directive stands in `redis.conf.example` alone. The table adds the values, the
//! default and the place in `CONFIG SET`. A test compares the pages with both, so a directive without
//! a text, or with an old page, fails.

mod completions;
mod entry;
mod markdown;
mod roff;
mod spans;

use super::Config;
use super::directive::Directive;
use super::ignored::Change;

/// The text of all directives.
const EXAMPLE: &str = include_str!("../../../redis.conf.example");

/// Returns the pages with their paths in the repository.
fn pages() -> [(&'static str, String); 6] {
    let manual = entry::Manual::read(EXAMPLE);
    [
        ("docs/src/configuration.md", markdown::page(&manual)),
        ("packaging/man/relaybox.conf.5", roff::settings(&manual)),
        ("packaging/man/relaybox.1", roff::program(&manual)),
        ("packaging/completions/broker.bash", completions::bash()),
        ("packaging/completions/_broker", completions::zsh(&manual)),
        ("packaging/completions/broker.fish", completions::fish(&manual)),
    ]
}

/// Returns the default as in a file.
fn default_of(directive: &Directive) -> String {
    // Each row of these stands for a line of a file, and the directory is that of the start.
    if !directive.is_shown || directive.name == "dir" {
        return String::new();
    }
    let values = directive.show(&Config::default());
    let values: Vec<String> = values
        .iter()
        .map(|value| String::from_utf8_lossy(value).into_owned())
        .map(|value| if value.is_empty() { "\"\"".to_owned() } else { value })
        .collect();
    values.join(" ")
}

/// Returns whether `CONFIG SET` takes a directive.
fn changes(directive: &Directive) -> &'static str {
    match directive.change {
        Change::Free => "yes",
        Change::Immutable => "no",
        Change::Protected => "with enable-protected-configs",
    }
}

#[test]
fn the_manual_is_made_from_the_table() {
    for (path, page) in pages() {
        let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
        if std::env::var_os("UPDATE_COMPATIBILITY").is_some() {
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(&file, &page).unwrap();
        }
        let found = std::fs::read_to_string(&file).unwrap_or_default();
        assert_eq!(found, page, "{path}: run this test with UPDATE_COMPATIBILITY=1 to write it");
    }
}

#[test]
fn every_directive_has_one_text_with_a_default() {
    let manual = entry::Manual::read(EXAMPLE);
    for directive in super::directive::all() {
        let count = manual.entries().filter(|entry| entry.has(directive.name)).count();
        assert_eq!(count, 1, "{} has no paragraph in redis.conf.example", directive.name);
    }
    for entry in manual.entries() {
        let summary = entry.summary();
        let first = summary.chars().next();
        assert!(first.is_some_and(|letter| letter.is_ascii_uppercase()), "{:?}", entry.names);
        assert!(entry.has_default(), "the paragraph of {:?} has no default", entry.names);
    }
}
