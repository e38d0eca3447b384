//! Runs programs that reproduce faults against the release build.
//!
//! A reproduction is a Python file. It takes `--bin PATH`, prints one line and exits with 0 if the
//! fault is absent, 1 if it is present, and 77 if it does not apply.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::step::{Failure, Step, workspace_dir};

const STEP: &str = "reproductions of faults";
/// Exit status of a reproduction that does not apply.
const NOT_APPLICABLE: i32 = 77;

/// Runs all reproductions of a folder: files whose names begin with a letter and a digit.
///
/// # Errors
///
/// When the folder has none, or a fault is present.
pub(crate) fn run(dir: &Path) -> Result<(), Failure> {
    let dir = workspace_dir().join(dir);
    let all = reproductions(&dir).map_err(|source| Failure::Unreadable { path: dir, source })?;
    Step::cargo("release builds")
        .args(["build", "--locked", "--release", "-p", "broker", "-p", "chat-demo"])
        .run()?;
    let broker = workspace_dir().join("target/release/broker");
    let mut present = Vec::new();
    for path in &all {
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        println!("\n==> {name}");
        let run = Command::new("python3").arg(path).arg("--bin").arg(&broker).status();
        let status = run.map_err(|source| Failure::NotStarted { step: STEP, source })?;
        if !matches!(status.code(), Some(0 | NOT_APPLICABLE)) {
            present.push(name.into_owned());
        }
    }
    match &present[..] {
        [] => {
            println!("\n==> all {} faults are absent", all.len());
            Ok(())
        }
        some => {
            let reason = format!("{} of {} are present: {}", some.len(), all.len(), some.join(" "));
            Err(Failure::Unexpected { step: STEP, reason })
        }
    }
}

fn reproductions(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let paths = fs::read_dir(dir)?.map(|entry| Ok(entry?.path()));
    let mut all: Vec<PathBuf> = paths.collect::<io::Result<_>>()?;
    all.retain(|path| is_reproduction(path));
    all.sort();
    match all.is_empty() {
        true => Err(io::Error::other("expected Python files such as a1_name.py, found none")),
        false => Ok(all),
    }
}

fn is_reproduction(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let is_named = matches!(name.as_bytes(), [b'a'..=b'z', b'0'..=b'9', ..]);
    is_named && path.extension().is_some_and(|extension| extension == "py")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reproductions_have_a_letter_and_a_number() {
        for (name, expected) in [
            ("a1_hang.py", true),
            ("f24_clients.py", true),
            ("faultlib.py", false),
            ("a1.md", false),
        ] {
            assert_eq!(is_reproduction(Path::new(name)), expected, "{name}");
        }
    }
}
