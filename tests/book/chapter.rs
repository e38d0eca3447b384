//! The blocks of a chapter.
//!
//! Blocks of the language `console` hold commands behind `$`, with their outputs. A comment in front of a
//! block changes its meaning:
//!
//! - `<!-- file: NAME -->`: the block is a file of this name.
//! - `<!-- exit: 1 -->`: the last command ends with this status.
//! - `<!-- repeat -->`: the commands run again until their outputs are as shown, since the server needs a
//!   moment.
//! - `<!-- not run: REASON -->`: no test machine can run the block.

use std::path::{Path, PathBuf};

/// The parts of a chapter that a test runs.
pub(crate) struct Chapter {
    pub(crate) steps: Vec<Step>,
    /// The number of blocks that do not run.
    pub(crate) skipped: usize,
}

pub(crate) enum Step {
    File { name: String, text: String },
    Command(Command),
}

pub(crate) struct Command {
    /// The place in the chapter, for messages.
    pub(crate) place: String,
    pub(crate) text: String,
    pub(crate) output: Vec<String>,
    pub(crate) exit: i32,
    pub(crate) repeats: bool,
}

/// A block of code, and the comment in front of it.
struct Block<'a> {
    language: &'a str,
    comment: &'a str,
    /// With the number of the first line.
    line: usize,
    lines: Vec<&'a str>,
}

impl Command {
    /// Returns whether a line belongs to the command, and not to its output.
    fn continues(&self, line: &str) -> bool {
        self.output.is_empty() && (self.text.ends_with('\\') || line.starts_with("> "))
    }
}

impl Chapter {
    /// Reads the chapter of a test.
    pub(crate) fn read(name: &str) -> Self {
        let file = format!("{}.md", name.replace('_', "-"));
        let text = std::fs::read_to_string(folder().join(&file)).expect("the chapter is there");
        let mut chapter = Self { steps: Vec::new(), skipped: 0 };
        blocks(&text).iter().for_each(|block| chapter.add(block, &file));
        chapter
    }

    fn add(&mut self, block: &Block<'_>, file: &str) {
        let Block { language, comment, line, lines } = block;
        if let Some(name) = comment.strip_prefix("file: ") {
            let text = lines.join("\n") + "\n";
            self.steps.push(Step::File { name: name.to_owned(), text });
        } else if comment.starts_with("not run: ") {
            self.skipped += 1;
        } else if *language == "console" {
            let mut commands = commands(lines, &format!("{file}:{line}"));
            if let (Some(code), Some(last)) = (comment.strip_prefix("exit: "), commands.last_mut())
            {
                last.exit = code.parse().expect("a number");
            }
            commands.iter_mut().for_each(|command| command.repeats = *comment == "repeat");
            self.steps.extend(commands.into_iter().map(Step::Command));
        } else {
            assert!(!matches!(*language, "" | "sh" | "bash" | "shell"), "{file}:{line}: language");
        }
    }
}

/// Returns the folder with the chapters.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/src")
}

fn blocks(text: &str) -> Vec<Block<'_>> {
    let mut blocks: Vec<Block<'_>> = Vec::new();
    let mut is_inside = false;
    let mut comment = "";
    for (at, line) in text.lines().enumerate() {
        match line.strip_prefix("```") {
            Some(language) if !is_inside => {
                let language = language.split(',').next().unwrap_or_default();
                let comment = std::mem::take(&mut comment);
                blocks.push(Block { language, comment, line: at + 2, lines: Vec::new() });
                is_inside = true;
            }
            Some(_) => is_inside = false,
            None if is_inside => blocks.last_mut().expect("it has begun").lines.push(line),
            None => {
                let found = line.strip_prefix("<!-- ").and_then(|rest| rest.strip_suffix(" -->"));
                comment = found.unwrap_or_default();
            }
        }
    }
    blocks
}

/// Reads commands and their outputs. A command goes on after a backslash
/// at the end of its line, and on lines that begin with `>`, as in a shell.
fn commands(lines: &[&str], place: &str) -> Vec<Command> {
    let mut commands: Vec<Command> = Vec::new();
    for line in lines {
        match (line.strip_prefix("$ "), commands.last_mut()) {
            (Some(text), _) => commands.push(Command {
                place: format!("{place}: {text}"),
                text: text.to_owned(),
                output: Vec::new(),
                exit: 0,
                repeats: false,
            }),
            (None, Some(last)) if last.continues(line) => {
                last.text.push('\n');
                last.text.push_str(line.strip_prefix("> ").unwrap_or(line));
            }
            (None, Some(last)) => last.output.push((*line).to_owned()),
            (None, None) => panic!("{place}: a block begins with a command"),
        }
    }
    commands
}
