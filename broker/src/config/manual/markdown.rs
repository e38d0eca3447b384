//! The chapter of the book.

use super::entry::{Entry, Manual, Piece};
use super::spans::{Span, spans};
use super::{changes, default_of};

pub(super) fn page(manual: &Manual) -> String {
    let mut text = String::from(
        "<!-- Made from redis.conf.example and the table of directives by a test of the broker. -->\n\n\
         # Configuration\n",
    );
    add(&mut text, &manual.introduction);
    text.push_str(
        "\nThe [page on compatibility](compatibility.md) lists the directives of Redis and Valkey that \
         are refused or\nignored.\n",
    );
    for section in &manual.sections {
        text.push_str(&format!("\n## {}\n", heading(&section.title)));
        section.entries.iter().for_each(|entry| add_entry(&mut text, entry));
    }
    text
}

/// Returns a title without capital letters, except the first one and those of an abbreviation.
fn heading(title: &str) -> String {
    if title == "TLS" {
        return title.to_owned();
    }
    let (first, rest) = title.split_at(1);
    format!("{first}{}", rest.to_lowercase())
}

fn add_entry(text: &mut String, entry: &Entry) {
    let names: Vec<String> = entry.names.iter().map(|name| format!("`{name}`")).collect();
    text.push_str(&format!("\n### {}\n", names.join(", ")));
    add(text, &entry.pieces);
    let mut rows = entry.directives().peekable();
    if rows.peek().is_some() {
        text.push_str("\n| directive | values | default | `CONFIG SET` |\n|---|---|---|---|\n");
    }
    for directive in rows {
        let default = default_of(directive);
        let default = if default.is_empty() { default } else { format!("`{default}`") };
        let (name, expects, change) = (directive.name, directive.expects, changes(directive));
        text.push_str(&format!("| `{name}` | {expects} | {default} | {change} |\n"));
    }
}

fn add(text: &mut String, pieces: &[Piece]) {
    for piece in pieces {
        text.push('\n');
        match piece {
            Piece::Prose { label, text: prose } => {
                if let Some(label) = label {
                    text.push_str(&format!("{label}: "));
                }
                spans(prose).iter().for_each(|span| add_span(text, span));
                text.push('\n');
            }
            Piece::Code(lines) => {
                text.push_str(&format!("```text\n{}\n```\n", lines.join("\n")));
            }
        }
    }
}

fn add_span(text: &mut String, span: &Span) {
    match span {
        Span::Code(code) => text.push_str(&format!("`{code}`")),
        Span::Text(words) => {
            for letter in words.chars() {
                if matches!(letter, '\\' | '*' | '_' | '<' | '[' | ']' | '#' | '|' | '`') {
                    text.push('\\');
                }
                text.push(letter);
            }
        }
    }
}
