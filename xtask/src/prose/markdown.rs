//! Cuts Markdown into blocks of prose, without code and addresses.
//!
//! Comments are Markdown as well: rustdoc reads them so.

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

/// Stands for a piece of code in a sentence.
pub(super) const CODE: char = '\0';

/// A paragraph, a list item, a heading or a cell of a table.
#[derive(Debug, Default)]
pub(super) struct Block {
    /// Its lines, with their distances from the first line of the text.
    pub(super) lines: Vec<(usize, String)>,
    pub(super) has_sentences: bool,
}

/// The first heading of tables whose words are those of Redis' documentation.
const COMMANDS: &str = "command";

/// Returns the blocks of a text.
pub(super) fn blocks(text: &str) -> Vec<Block> {
    let mut found: Vec<Block> = Vec::new();
    let mut skips_code = false;
    let mut table = Table::Outside;
    for (event, range) in Parser::new_ext(text, Options::ENABLE_TABLES).into_offset_iter() {
        let line = text[..range.start].matches('\n').count();
        match event {
            Event::Start(Tag::Table(_)) => table = Table::First,
            Event::End(TagEnd::Table) => table = Table::Outside,
            Event::Start(Tag::CodeBlock(_)) => skips_code = true,
            Event::End(TagEnd::CodeBlock) => skips_code = false,
            Event::Start(Tag::Heading { .. } | Tag::TableCell) => found.push(Block::default()),
            Event::Start(Tag::Paragraph | Tag::Item) | Event::End(TagEnd::List(_)) => {
                found.push(Block { has_sentences: true, ..Block::default() });
            }
            Event::End(TagEnd::TableCell) => {
                if table == Table::First {
                    let is = found.last().is_some_and(|cell| cell.is(COMMANDS));
                    table = if is { Table::Skipped } else { Table::Read };
                }
                if table == Table::Skipped {
                    found.pop();
                }
            }
            _ if skips_code => {}
            Event::Text(words) => push(&mut found, line, &words),
            Event::Code(_) => push(&mut found, line, &CODE.to_string()),
            Event::SoftBreak | Event::HardBreak => push(&mut found, line, " "),
            _ => {}
        }
    }
    for (_, line) in found.iter_mut().flat_map(|block| &mut block.lines) {
        *line = without_code(line);
    }
    found.retain(|block| !block.lines.is_empty());
    found
}

/// How a table is read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Table {
    Outside,
    /// Its first cell decides.
    First,
    Read,
    Skipped,
}

impl Block {
    fn is(&self, word: &str) -> bool {
        matches!(self.lines.as_slice(), [(_, line)] if line.eq_ignore_ascii_case(word))
    }
}

fn push(blocks: &mut [Block], number: usize, words: &str) {
    let Some(block) = blocks.last_mut() else { return };
    match block.lines.last_mut() {
        Some((last, line)) if *last == number => line.push_str(words),
        _ => block.lines.push((number, words.to_owned())),
    }
}

/// Replaces words that look like code, paths or addresses. Punctuation behind them stays.
fn without_code(line: &str) -> String {
    let tokens = line.split_inclusive(char::is_whitespace).map(|token| {
        let word = token.trim_end();
        let word = word.trim_end_matches(['.', ',', ';', ':', '!', '?', ')']);
        match is_code(word) {
            true => format!("{CODE}{}", &token[word.len()..]),
            false => token.to_owned(),
        }
    });
    tokens.collect()
}

fn is_code(word: &str) -> bool {
    let is_inner = |char: char| char.is_alphanumeric() || char == '_';
    let has_dot = || {
        word.char_indices().any(|(at, char)| {
            let before = word[..at].chars().next_back();
            let mut after = word[at + char.len_utf8()..].chars();
            char == '.'
                && before.is_some_and(is_inner)
                && after.by_ref().take(2).filter(|char| is_inner(*char)).count() == 2
        })
    };
    let is_path = || {
        let rest = word.trim_start_matches(['.', '/', '~']);
        rest.len() < word.len() && rest.starts_with(is_inner)
    };
    let has_flag = || word.split("--").skip(1).any(|rest| rest.starts_with(is_inner));
    word.contains(|char: char| char.is_ascii_digit() || char == '_' || char == '=')
        || word.contains("::")
        || word.contains("://")
        || has_flag()
        || has_dot()
        || is_path()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[&str]) {
        let found: Vec<String> = blocks(text)
            .into_iter()
            .flat_map(|block| block.lines)
            .map(|(number, line)| format!("{number} {}", line.trim().replace(CODE, "`")))
            .collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn code_and_addresses_are_one_mark_each() {
        check("Run `a b` in x.rs, now.", &["0 Run ` in `, now."]);
        check(
            "See [the page](https://a.example/b) or <https://c.example>.",
            &["0 See the page or `."],
        );
        check(
            "Use --full or a::B, /etc/x, 12, x=1. And so on.",
            &["0 Use ` or `, `, `, `. And so on."],
        );
    }

    #[test]
    fn code_blocks_are_left_out() {
        check("One\n\n```\ntwo\n```\n\nthree", &["0 One", "6 three"]);
    }

    #[test]
    fn lists_quotes_and_headings_are_blocks() {
        check(
            "# One\n- two\n  three\n- four\n\n> five",
            &["0 One", "1 two", "2 three", "3 four", "5 five"],
        );
    }

    #[test]
    fn tables_of_commands_are_left_out() {
        check("| Command | about |\n|---|---|\n| a | b |\n\nEnd", &["4 End"]);
        check("| part | about |\n|---|---|\n| a | b |", &["0 part", "0 about", "2 a", "2 b"]);
    }
}
