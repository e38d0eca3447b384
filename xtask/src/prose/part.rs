//! Counts the words of one part of the repository.

use std::path::Path;

use super::markdown::{self, Block, CODE};

/// Words that stand for a missing noun, or make a program talk.
pub(super) struct Group {
    pub(super) name: &'static str,
    words: &'static [&'static str],
}

/// The groups of words whose rates are limited.
pub(super) const GROUPS: [Group; 3] = [
    Group { name: "what", words: &["what", "whatever"] },
    Group {
        name: "who",
        words: &["who", "whoever", "whom", "whose", "nobody", "somebody", "everybody", "everyone"],
    },
    Group {
        name: "say",
        words: &[
            "say", "says", "said", "saying", "tell", "tells", "told", "telling", "hear", "hears",
            "heard", "hearing", "know", "knows", "knew", "knowing",
        ],
    },
];

/// The most words of a group in 1,000 words.
pub(super) const RATE_MAX: f64 = 1.5;
/// The longest median of the sentences.
pub(super) const SENTENCE_WORDS_MAX: f64 = 18.0;
/// Sentences with more words are counted as long. They miss no target.
pub(super) const LONG_SENTENCE_WORDS: usize = 25;

/// A word of a group, with its place.
#[derive(Debug)]
pub(super) struct Hit {
    pub(super) place: String,
    pub(super) word: String,
    pub(super) line: String,
}

/// The figures of one part.
#[derive(Debug, Default)]
pub(super) struct Part {
    pub(super) words: usize,
    pub(super) hits: [Vec<Hit>; GROUPS.len()],
    /// The words of each sentence.
    lengths: Vec<usize>,
}

impl Part {
    /// Counts a text of a file. `first_line` is the number of the text's first line in it.
    pub(super) fn add(&mut self, path: &Path, first_line: usize, text: &str) {
        for block in markdown::blocks(text) {
            for (number, line) in &block.lines {
                self.add_line(&format!("{}:{}", path.display(), first_line + number), line);
            }
            if block.has_sentences {
                self.lengths.extend(sentences(&block));
            }
        }
    }

    fn add_line(&mut self, place: &str, line: &str) {
        for word in words(line) {
            self.words += 1;
            // `who's` counts as `who`.
            let stem = word.split(['\'', '’']).next().unwrap_or(word).to_ascii_lowercase();
            for (group, hits) in GROUPS.iter().zip(&mut self.hits) {
                if group.words.contains(&&*stem) {
                    let line = line.trim().replace(CODE, "`…`");
                    hits.push(Hit { place: place.to_owned(), word: word.to_owned(), line });
                }
            }
        }
    }

    /// Returns how many of 1,000 words belong to a group.
    pub(super) fn rate(&self, group: usize) -> f64 {
        1000.0 * self.hits[group].len() as f64 / self.words.max(1) as f64
    }

    pub(super) fn sentences(&self) -> usize {
        self.lengths.len()
    }

    /// Returns the median number of words in a sentence.
    pub(super) fn median(&self) -> f64 {
        let mut lengths = self.lengths.clone();
        lengths.sort_unstable();
        let middle = lengths.len() / 2;
        match lengths.len() {
            0 => 0.0,
            count if count % 2 == 1 => lengths[middle] as f64,
            _ => (lengths[middle - 1] + lengths[middle]) as f64 / 2.0,
        }
    }

    pub(super) fn long_percent(&self) -> f64 {
        let long = self.lengths.iter().filter(|&&length| length > LONG_SENTENCE_WORDS).count();
        100.0 * long as f64 / self.lengths.len().max(1) as f64
    }

    /// Returns a line for each target that is missed.
    pub(super) fn misses(&self) -> Vec<String> {
        let rates = GROUPS.iter().enumerate().map(|(at, group)| (group.name, self.rate(at)));
        let mut missed: Vec<String> = rates
            .filter(|(_, rate)| *rate > RATE_MAX)
            .map(|(name, rate)| format!("'{name}' at {rate:.1} per 1,000 words"))
            .collect();
        if self.median() > SENTENCE_WORDS_MAX {
            missed.push(format!("median sentence of {} words", self.median()));
        }
        missed
    }
}

/// Returns the words of a line. Pieces of code are none.
fn words(line: &str) -> impl Iterator<Item = &str> {
    let is_inner = |char: char| char.is_ascii_alphabetic() || char == '\'' || char == '’';
    line.split(move |char| !is_inner(char))
        .map(|word| word.trim_start_matches(['\'', '’']))
        .filter(|word| !word.is_empty())
}

/// Returns the number of words in each sentence of a block. A piece of code counts as a word.
fn sentences(block: &Block) -> Vec<usize> {
    let mut lengths = vec![0];
    let mut has_ended = false;
    for token in block.lines.iter().flat_map(|(_, line)| line.split_whitespace()) {
        let opened = token.trim_start_matches(['"', '\'', '“', '‘', '(']);
        if has_ended && opened.starts_with(|char: char| char.is_ascii_uppercase() || char == CODE) {
            lengths.push(0);
        }
        if let Some(length) = lengths.last_mut() {
            *length += words(token).count() + token.matches(CODE).count();
        }
        let closed = token.trim_end_matches([')', '"', '\'', '”', '’']);
        has_ended = closed.ends_with(['.', '!', '?']);
    }
    lengths.retain(|length| *length > 0);
    lengths
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(text: &str) -> Part {
        let mut part = Part::default();
        part.add(Path::new("a.rs"), 7, text);
        part
    }

    #[test]
    fn words_of_the_groups_are_found_with_their_lines() {
        let part = part("One line.\nWho's there? `what` it\nsays, whatever.\n");
        let found = part.hits.iter().flatten().map(|hit| format!("{} {}", hit.place, hit.word));
        let found: Vec<String> = found.collect();
        assert_eq!(found, ["a.rs:9 whatever", "a.rs:8 Who's", "a.rs:9 says"]);
        assert_eq!(part.words, 7);
    }

    #[test]
    fn sentences_end_before_a_capital_letter() {
        let check =
            |text: &str, expected: &[usize]| assert_eq!(part(text).lengths, expected, "{text}");
        check("One two. Three four\nfive! `six` seven?", &[2, 3, 2]);
        check("Parts of code, two. (Three four.) \"Five.\"", &[4, 2, 1]);
        check("- one two\n- three\n\nfour", &[2, 1, 1]);
        check("# No sentence\n\n| no | sentence |\n|---|---|\n| here | too |", &[]);
    }

    #[test]
    fn targets_are_missed_above_and_not_at_their_limits() {
        let check = |hits: usize, words: usize, expected: &[&str]| {
            let text = ["know "].repeat(hits).concat() + &["word "].repeat(words - hits).concat();
            let mut part = part(&text);
            part.lengths = vec![18, 18, 99];
            assert_eq!(part.misses(), expected);
        };
        check(3, 2000, &[]);
        check(4, 2000, &["'say' at 2.0 per 1,000 words"]);
        let long = Part { lengths: vec![18, 19], ..Part::default() };
        assert_eq!(long.misses(), ["median sentence of 18.5 words"]);
    }
}
