//! Counts the instructions of the parts of a publish, and of a broadcast of a hub, with valgrind and
//! compares them with stored figures. Other load on the machine does not change the counts.
//!
//! The figures are valid for one architecture. On others the comparison is skipped.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use crate::step::{Failure, Step, workspace_dir};

/// The programs with the parts.
const PROGRAMS: [Program; 2] = [
    Program {
        package: "broker",
        example: "instructions",
        features: &["--features", "bench-internals"],
        // As `benches/instructions.rs` names them.
        parts: &["decode", "publish-1", "publish-100", "publish-pattern", "script", "encode"],
    },
    Program {
        package: "signalr",
        example: "hub_instructions",
        features: &[],
        // As `benches/hub_instructions.rs` names them.
        parts: &["hub-1", "hub-100"],
    },
];

/// An example of a package.
struct Program {
    package: &'static str,
    example: &'static str,
    features: &'static [&'static str],
    parts: &'static [&'static str],
}

/// The highest accepted growth of a figure, in percent.
const GROWTH_MAX: u64 = 5;
const ARCHITECTURE: &str = "x86_64";
const STEP: &str = "instructions";

/// A part and its number of instructions.
type Figure = (String, u64);

/// Compares the current figures with the stored ones.
///
/// # Errors
///
/// When a figure has grown by more than 5 %, is not stored, or cannot be counted.
pub(crate) fn check() -> Result<(), Failure> {
    if std::env::consts::ARCH != ARCHITECTURE {
        println!("\n==> {STEP}: skipped; the stored figures are those of {ARCHITECTURE}");
        return Ok(());
    }
    let counted = count()?;
    let accepted = parse(&fs::read_to_string(file()).unwrap_or_default());
    let (text, has_grown) = compare(&accepted, &counted);
    print!("{text}");
    if has_grown {
        let reason = format!(
            "more than {GROWTH_MAX} % above {}; to accept the new figures, run\n\n    \
             cargo xtask instructions --accept\n",
            file().strip_prefix(workspace_dir()).unwrap_or(&file()).display()
        );
        return Err(Failure::Unexpected { step: STEP, reason });
    }
    Ok(())
}

/// Stores the current figures.
///
/// # Errors
///
/// When a part cannot be counted or the file cannot be written.
pub(crate) fn accept() -> Result<(), Failure> {
    let counted = count()?;
    let mut text =
        "# Instructions of parts of a publish and of a broadcast of a hub, by `cargo xtask \
         instructions --accept`.\n"
            .to_owned();
    for (part, instructions) in counted {
        let _ = writeln!(text, "{part} {instructions}");
    }
    fs::write(file(), &text).map_err(|source| Failure::NotStarted { step: STEP, source })?;
    print!("{text}");
    Ok(())
}

fn file() -> PathBuf {
    workspace_dir().join("benches/instructions.txt")
}

fn count() -> Result<Vec<Figure>, Failure> {
    let mut figures = Vec::new();
    for program in PROGRAMS {
        program.build()?;
        for part in program.parts {
            figures.push(program.count(part)?);
        }
    }
    Ok(figures)
}

impl Program {
    /// Returns the words of cargo that select the program.
    fn words(&self) -> impl Iterator<Item = &'static str> {
        // The release build, since that is the code that users run.
        let words = ["--locked", "--release", "-p", self.package, "--example", self.example];
        words.into_iter().chain(self.features.iter().copied())
    }

    fn build(&self) -> Result<(), Failure> {
        Step::cargo(STEP).args(["build"]).args(self.words()).run()
    }

    fn count(&self, part: &str) -> Result<Figure, Failure> {
        let runner = "target.'cfg(all())'.runner=['valgrind', '--tool=callgrind', \
                      '--callgrind-out-file=/dev/null', '--collect-atstart=no', \
                      '--toggle-collect=*measured_part*']";
        let run = Step::cargo(STEP).args(["run", "--config", runner]).args(self.words());
        let messages = run.args(["--", part]).messages()?;
        match collected(&messages) {
            Some(instructions) if instructions > 0 => Ok((part.to_owned(), instructions)),
            _ => {
                let reason =
                    format!("valgrind has counted no instruction of '{part}':\n{messages}");
                Err(Failure::Unexpected { step: STEP, reason })
            }
        }
    }
}

/// Finds the figure in the messages of valgrind: `==123== Collected : 4567`.
fn collected(messages: &str) -> Option<u64> {
    let line = messages.lines().find(|line| line.contains("Collected :"))?;
    line.rsplit(' ').next()?.parse().ok()
}

fn parse(text: &str) -> Vec<Figure> {
    let figure = |line: &str| {
        let (part, instructions) = line.split_once(' ')?;
        Some((part.to_owned(), instructions.parse().ok()?))
    };
    text.lines().filter_map(figure).collect()
}

/// Returns a line for each part, and whether a part is not stored or has grown too much.
fn compare(accepted: &[Figure], counted: &[Figure]) -> (String, bool) {
    let mut text = String::new();
    let mut has_grown = false;
    for (part, now) in counted {
        let Some((_, before)) = accepted.iter().find(|(name, _)| name == part) else {
            let _ = writeln!(text, "    {part:<16} {now:>10}  not stored");
            has_grown = true;
            continue;
        };
        let change = (*now as f64 / *before as f64 - 1.0) * 100.0;
        let hint = if now * 100 > before * (100 + GROWTH_MAX) {
            has_grown = true;
            "  too much"
        } else if now * 100 < before * (100 - GROWTH_MAX) {
            "  `cargo xtask instructions --accept` stores the lower figure"
        } else {
            ""
        };
        let _ = writeln!(text, "    {part:<16} {now:>10}  {change:>+6.1} %{hint}");
    }
    (text, has_grown)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(instructions: u64) -> Vec<Figure> {
        vec![("decode".to_owned(), instructions)]
    }

    #[test]
    fn only_growth_beyond_five_percent_is_too_much() {
        let check = |now, expected, words: &str| {
            let (text, has_grown) = compare(&figure(1000), &figure(now));
            assert_eq!(has_grown, expected, "{text}");
            assert!(text.contains(words), "{text}");
        };
        check(1000, false, "+0.0 %");
        check(1050, false, "+5.0 %");
        check(1051, true, "too much");
        check(900, false, "--accept");
    }

    #[test]
    fn a_part_without_a_figure_is_not_let_through() {
        assert!(compare(&[], &figure(1)).1);
    }

    #[test]
    fn figures_are_read_from_the_file_and_from_valgrind() {
        assert_eq!(parse("# comment\ndecode 12\n"), figure(12));
        assert_eq!(collected("==7== Events    : Ir\n==7== Collected : 4567\n"), Some(4567));
        assert_eq!(collected("nothing"), None);
    }
}
