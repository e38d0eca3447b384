//! Finds comments: the text between tokens.
//!
//! The lexer hands out documentation comments as attributes. Their tokens point at the comment, so
//! they are recognized by its first bytes and not counted as tokens.

use std::ops::Range;

use proc_macro2::{TokenStream, TokenTree};

/// A comment, or lines of comments of one kind that follow each other.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Comment {
    /// The offset of its first byte in the file.
    pub(crate) at: usize,
    /// The number of its first line, counted from 1.
    pub(crate) line: usize,
    /// Its lines without the marks of the comment.
    pub(crate) text: String,
}

/// Returns the comments of a file.
pub(super) fn read(text: &str, tokens: TokenStream) -> Vec<Comment> {
    let mut ends = Vec::new();
    token_ranges(tokens, text, &mut ends);
    ends.push(text.len()..text.len());
    let mut found = Vec::new();
    let mut last: Option<Last<'_>> = None;
    let mut from = 0;
    for token in ends {
        while let Some(range) = next_comment(text, from..token.start) {
            from = range.end;
            last = Some(add(&mut found, text, range, last));
        }
        from = token.end;
    }
    found
}

/// The comment before the current one.
struct Last<'a> {
    mark: &'a str,
    line: usize,
    /// Whether no code stands before it in its line.
    is_alone: bool,
}

fn add<'a>(
    found: &mut Vec<Comment>,
    source: &'a str,
    range: Range<usize>,
    last: Option<Last<'a>>,
) -> Last<'a> {
    let (at, comment) = (range.start, &source[range]);
    let line = line_of(source, at);
    let is_alone = source[..at].rsplit('\n').next().is_none_or(|before| before.trim().is_empty());
    let mark = mark(comment);
    let text = unmarked(comment, mark);
    let follows = last.is_some_and(|last| {
        let is_next = mark.starts_with("//") && last.mark == mark && last.line + 1 == line;
        is_next && last.is_alone && is_alone
    });
    match found.last_mut() {
        Some(before) if follows => {
            before.text.push('\n');
            before.text.push_str(&text);
        }
        _ => found.push(Comment { at, line, text }),
    }
    Last { mark, line, is_alone }
}

/// Returns the bytes of all tokens except those of documentation comments.
fn token_ranges(tokens: TokenStream, text: &str, ranges: &mut Vec<Range<usize>>) {
    for tree in tokens {
        let range = tree.span().byte_range();
        if is_comment(&text[range.start..]) {
            continue;
        }
        if let TokenTree::Group(group) = tree {
            ranges.push(group.span_open().byte_range());
            token_ranges(group.stream(), text, ranges);
            ranges.push(group.span_close().byte_range());
        } else {
            ranges.push(range);
        }
    }
}

fn is_comment(text: &str) -> bool {
    text.starts_with("//") || text.starts_with("/*")
}

/// Finds the first comment in a range that holds no tokens.
fn next_comment(text: &str, within: Range<usize>) -> Option<Range<usize>> {
    let gap = text.get(within.clone())?;
    let start = gap.find('/')?;
    let comment = &gap[start..];
    let length = if comment.starts_with("//") {
        comment.find('\n').unwrap_or(comment.len())
    } else {
        block_length(comment)
    };
    let at = within.start + start;
    Some(at..at + length)
}

/// Returns the length of a block comment, which may hold others.
fn block_length(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        let step = match text.as_bytes().get(at..at + 2) {
            Some(b"/*") => 1,
            Some(b"*/") => -1,
            _ => 0,
        };
        depth += step;
        at += if step == 0 { 1 } else { 2 };
        if depth == 0 {
            break;
        }
    }
    at.min(text.len())
}

fn mark(comment: &str) -> &str {
    let longer = ["///", "//!", "/**", "/*!"].iter().any(|mark| comment.starts_with(mark));
    &comment[..if longer { 3 } else { 2 }]
}

/// Returns the lines of a comment without its marks.
fn unmarked(comment: &str, mark: &str) -> String {
    let inner = comment.strip_prefix(mark).unwrap_or(comment);
    if mark.starts_with("//") {
        return inner.strip_prefix(' ').unwrap_or(inner).to_owned();
    }
    let inner = inner.strip_suffix("*/").unwrap_or(inner);
    let lines = inner.lines().map(|line| {
        let line = line.trim_start();
        let line = line.strip_prefix('*').unwrap_or(line);
        line.strip_prefix(' ').unwrap_or(line)
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Returns the number of the line that holds a byte, counted from 1.
fn line_of(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[(usize, &str)]) {
        let tokens = text.parse().expect("it is Rust");
        let found: Vec<(usize, String)> =
            read(text, tokens).into_iter().map(|comment| (comment.line, comment.text)).collect();
        let expected: Vec<(usize, String)> =
            expected.iter().map(|&(line, text)| (line, text.to_owned())).collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn lines_of_one_kind_make_one_comment() {
        check("//! A.\n//! B.\n\n//! C.", &[(1, "A.\nB."), (4, "C.")]);
        check("/// A.\n// B.\nfn c() {}", &[(1, "A."), (2, "B.")]);
        check("a(); // A.\n// B.\nb();", &[(1, "A."), (2, "B.")]);
    }

    #[test]
    fn a_text_in_the_code_is_no_comment() {
        check("a(\"// no\", r#\"/* \"no\" */\"#, '/', b / c); // yes", &[(1, "yes")]);
        check("fn f<'a>() { /* one /* two */ */ }", &[(1, "one /* two */ ")]);
    }

    #[test]
    fn documentation_comments_within_items_are_found() {
        check("struct A {\n    /// B.\n    b: C,\n    // D.\n}", &[(2, "B."), (4, "D.")]);
        check("/** A\n * B */\nstruct C;", &[(1, "A\nB ")]);
    }
}
