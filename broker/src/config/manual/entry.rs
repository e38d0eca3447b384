//! The paragraphs of `redis.conf.example`, each with its directives.
//!
//! An empty line ends a paragraph, and an empty comment a part of it. A part that begins with the name
//! of a directive is an example; lines with a deeper indent are a list.

use crate::config::directive::{self, Directive};

/// The whole file.
pub(super) struct Manual {
    /// The part before the first heading.
    pub(super) introduction: Vec<Piece>,
    pub(super) sections: Vec<Section>,
}

/// A heading and the paragraphs below it.
pub(super) struct Section {
    pub(super) title: String,
    pub(super) entries: Vec<Entry>,
}

/// A paragraph, and the directives that it describes.
pub(super) struct Entry {
    /// In the order of the file, older names last.
    pub(super) names: Vec<&'static str>,
    pub(super) pieces: Vec<Piece>,
}

/// A part of a paragraph.
pub(super) enum Piece {
    Prose {
        /// The word in front of the colon.
        label: Option<&'static str>,
        text: String,
    },
    Code(Vec<String>),
}

/// The words in front of a colon that begin a part.
const LABELS: [&str; 3] = ["Unit", "Default", "Cost"];

impl Manual {
    /// Reads the text of the file.
    pub(super) fn read(text: &str) -> Self {
        let mut blocks = text.split("\n\n");
        let mut introduction = pieces(blocks.next().unwrap_or_default());
        // The purpose of the file itself, and its form.
        introduction.drain(..3);
        let mut sections: Vec<Section> = Vec::new();
        for block in blocks {
            if block.starts_with("##") {
                let title = block.trim_matches(['#', '\n', ' ']).to_owned();
                sections.push(Section { title, entries: Vec::new() });
            } else if let Some(section) = sections.last_mut() {
                section.entries.push(Entry::read(block));
            }
        }
        Self { introduction, sections }
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.sections.iter().flat_map(|section| &section.entries)
    }

    /// Returns the paragraph of a directive.
    pub(super) fn entry(&self, name: &str) -> &Entry {
        self.entries().find(|entry| entry.has(name)).expect("another test has found it")
    }
}

impl Entry {
    fn read(block: &str) -> Self {
        let live = block.lines().filter(|line| !line.starts_with('#'));
        let mut names: Vec<&str> = live.filter_map(first_word).filter_map(known).collect();
        let pieces = pieces(block);
        if names.is_empty() {
            let examples = pieces.iter().filter_map(|piece| match piece {
                Piece::Code(lines) => lines.first().and_then(|line| first_word(line)),
                Piece::Prose { .. } => None,
            });
            names = examples.filter_map(known).collect();
        }
        let is_older = |name: &str| {
            let says = |what| block.contains(&format!(" {name} is {what} name of this directive"));
            says("an older") || says("Valkey's")
        };
        names.extend(directive::all().map(|each| each.name).filter(|name| is_older(name)));
        names.dedup();
        Self { names, pieces }
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.names.contains(&name)
    }

    pub(super) fn has_default(&self) -> bool {
        self.pieces.iter().any(|piece| matches!(piece, Piece::Prose { label: Some("Default"), .. }))
    }

    /// Returns the directives, which are none for `include`.
    pub(super) fn directives(&self) -> impl Iterator<Item = &'static Directive> {
        self.names.iter().filter_map(|name| directive::find(name.as_bytes()))
    }

    /// Returns the first sentence, without its full stop.
    pub(super) fn summary(&self) -> &str {
        let Some(Piece::Prose { label: None, text }) = self.pieces.first() else { return "" };
        text.split_once(". ").map_or(&**text, |(first, _)| first).trim_end_matches('.')
    }
}

/// Reads the comments of a paragraph.
fn pieces(block: &str) -> Vec<Piece> {
    let mut found = Vec::new();
    let comments = block.lines().filter_map(|line| line.strip_prefix('#'));
    let lines: Vec<&str> = comments.map(|line| line.strip_prefix(' ').unwrap_or(line)).collect();
    for part in lines.split(|line| line.is_empty()).filter(|part| !part.is_empty()) {
        if first_word(part[0]).is_some_and(|word| known(word).is_some()) {
            found.push(Piece::Code(part.iter().map(ToString::to_string).collect()));
        } else {
            part.iter().enumerate().for_each(|(at, line)| add_line(&mut found, at == 0, line));
        }
    }
    found
}

/// Adds a line to the last piece, or as a piece of its own.
fn add_line(pieces: &mut Vec<Piece>, is_first: bool, line: &str) {
    if let Some(line) = line.strip_prefix("  ") {
        match pieces.last_mut() {
            Some(Piece::Code(lines)) => lines.push(line.to_owned()),
            _ => pieces.push(Piece::Code(vec![line.to_owned()])),
        }
        return;
    }
    let label = LABELS
        .into_iter()
        .find_map(|label| Some((label, line.strip_prefix(label)?.strip_prefix(": ")?)));
    match (label, pieces.last_mut()) {
        (Some((label, text)), _) => {
            pieces.push(Piece::Prose { label: Some(label), text: text.to_owned() });
        }
        (None, Some(Piece::Prose { text, .. })) if !is_first => {
            text.push(' ');
            text.push_str(line);
        }
        (None, _) => pieces.push(Piece::Prose { label: None, text: line.to_owned() }),
    }
}

fn first_word(line: &str) -> Option<&str> {
    line.split(' ').next()
}

/// Returns the name if it is that of a directive in this case.
fn known(name: &str) -> Option<&'static str> {
    if name == INCLUDE {
        return Some(INCLUDE);
    }
    directive::all().map(|each| each.name).find(|each| *each == name)
}

/// Read with the file, so it has no row in the table.
const INCLUDE: &str = "include";
