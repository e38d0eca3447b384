//! Words of a sentence that are code: quoted ones, and names of directives.

use crate::config::directive;

/// A run of text, or of code.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Span {
    Text(String),
    Code(String),
}

/// Names of directives that are words of English as well.
const ENGLISH: [&str; 6] = ["bind", "port", "timeout", "user", "dir", "databases"];

/// Cuts a text into spans.
pub(super) fn spans(text: &str) -> Vec<Span> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((before, code, after)) = quoted(rest) {
        words(&mut found, before);
        // Then the quotes are its subject.
        let code = if code.contains('\\') { format!("'{code}'") } else { code.to_owned() };
        found.push(Span::Code(code));
        rest = after;
    }
    words(&mut found, rest);
    found
}

/// Finds the first quoted span: the text before it, the span, and the text behind it.
fn quoted(text: &str) -> Option<(&str, &str, &str)> {
    let is_word = |letter: Option<char>| letter.is_some_and(char::is_alphanumeric);
    let opens =
        |at: usize| !is_word(text[..at].chars().next_back()) && !text[at + 1..].starts_with(' ');
    let closes = |at: usize| !is_word(text[at + 1..].chars().next());
    let start = text.match_indices('\'').map(|(at, _)| at).find(|at| opens(*at))?;
    let quotes = text.match_indices('\'').map(|(at, _)| at).filter(|at| *at > start + 1);
    let end = quotes.into_iter().find(|at| closes(*at))?;
    Some((&text[..start], &text[start + 1..end], &text[end + 1..]))
}

/// Adds words, those of code as spans of their own.
fn words(spans: &mut Vec<Span>, text: &str) {
    for piece in text.split_inclusive(' ') {
        let word = piece.trim_matches([' ', ',', '.', ';', ':', '(', ')']);
        if !is_code(word) {
            push(spans, piece);
            continue;
        }
        let start = piece.find(word).unwrap_or_default();
        push(spans, &piece[..start]);
        spans.push(Span::Code(word.to_owned()));
        push(spans, &piece[start + word.len()..]);
    }
}

fn is_code(word: &str) -> bool {
    let is_name = || directive::all().any(|each| each.name == word);
    word.contains(['_', '<', '@', '\\']) || (!ENGLISH.contains(&word) && is_name())
}

fn push(spans: &mut Vec<Span>, text: &str) {
    match spans.last_mut() {
        _ if text.is_empty() => {}
        Some(Span::Text(last)) => last.push_str(text),
        _ => spans.push(Span::Text(text.to_owned())),
    }
}

#[test]
fn quotes_and_names_are_code() {
    let check = |text: &str, expected: &[&str]| {
        let code = spans(text).into_iter().filter_map(|span| match span {
            Span::Code(code) => Some(code),
            Span::Text(_) => None,
        });
        assert_eq!(code.collect::<Vec<_>>(), expected, "{text}");
    };
    check("Set 'port 0' to refuse, see maxclients.", &["port 0", "maxclients"]);
    check("the client's own, and clients' others", &[]);
    check("'*' is every address, '::*' every one", &["*", "::*"]);
    check("The user has a port; <bytes>, once", &["<bytes>"]);
    check(r"needs quotes: 'it\'s literal'", &[r"'it\'s literal'"]);
}
