//! The files of this repository, and the tokens and comments of its Rust files.
//!
//! Code for tests is left out: items under `#[cfg(test)]`, and the files of such modules.

mod comments;

use std::fs;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

pub(crate) use self::comments::Comment;
use crate::step::Failure;

/// One Rust file without its code for tests.
pub(crate) struct RustFile {
    /// The path below the root that was searched.
    pub(crate) path: PathBuf,
    pub(crate) tokens: TokenStream,
    pub(crate) comments: Vec<Comment>,
    /// Modules for tests that stand in files of their own.
    test_modules: Vec<String>,
}

/// Folders that hold code of others.
const FOREIGN: [&str; 5] = ["node_modules", ".git", ".venv", "venv", "__pycache__"];
/// Folders that programs write to. Below `src` these names belong to modules.
const OUTPUT: [&str; 2] = ["target", "results"];

impl RustFile {
    /// Reads tokens and comments from the text of a file.
    pub(crate) fn parse(path: PathBuf, text: &str) -> Result<Self, Failure> {
        let all: TokenStream = text.parse().map_err(|error| Failure::Unreadable {
            path: path.clone(),
            source: io::Error::new(io::ErrorKind::InvalidData, format!("{error}")),
        })?;
        let mut tests = Tests::default();
        let tokens = tests.removed_from(all.clone());
        let mut comments = comments::read(text, all);
        comments.retain(|comment| !tests.ranges.iter().any(|range| range.contains(&comment.at)));
        Ok(Self { path, tokens, comments, test_modules: tests.modules })
    }

    /// Returns whether `other` belongs to a test module of this file.
    fn has_test_file(&self, other: &Path) -> bool {
        let folder = match self.path.file_name().and_then(|name| name.to_str()) {
            Some("lib.rs" | "main.rs" | "mod.rs") => self.path.with_file_name(""),
            _ => self.path.with_extension(""),
        };
        self.test_modules.iter().any(|name| {
            let module = folder.join(name);
            other == module.with_extension("rs") || other.starts_with(module)
        })
    }
}

/// Returns the Rust files below `root`, with paths relative to it, without files for tests.
pub(crate) fn rust_files(root: &Path) -> Result<Vec<RustFile>, Failure> {
    let parse = |path: PathBuf| {
        let text = read(&root.join(&path))?;
        RustFile::parse(path, &text)
    };
    let files: Vec<RustFile> =
        files(root, "rs")?.into_iter().map(parse).collect::<Result<_, _>>()?;
    Ok(without_test_files(files))
}

fn without_test_files(files: Vec<RustFile>) -> Vec<RustFile> {
    let is_test = |file: &RustFile| files.iter().any(|other| other.has_test_file(&file.path));
    let keep: Vec<bool> = files.iter().map(|file| !is_test(file)).collect();
    files.into_iter().zip(keep).filter_map(|(file, keep)| keep.then_some(file)).collect()
}

/// Returns the paths, relative to `root` and sorted, of its files with this extension.
pub(crate) fn files(root: &Path, extension: &str) -> Result<Vec<PathBuf>, Failure> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let unreadable = |source| Failure::Unreadable { path: folder.clone(), source };
        let below = folder.strip_prefix(root).unwrap_or(&folder);
        let is_in_source = root.ends_with("src") || below.iter().any(|part| part == "src");
        for entry in fs::read_dir(&folder).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            let (path, name) = (entry.path(), entry.file_name());
            if entry.file_type().map_err(unreadable)?.is_dir() {
                let is = |names: &[&str]| names.iter().any(|each| name == *each);
                if !is(&FOREIGN) && (is_in_source || !is(&OUTPUT)) {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|found| found == extension) {
                found.push(path.strip_prefix(root).unwrap_or(&path).to_path_buf());
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Reads a text file.
pub(crate) fn read(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path)
        .map_err(|source| Failure::Unreadable { path: path.to_path_buf(), source })
}

/// The items of a file that only tests use.
#[derive(Default)]
struct Tests {
    ranges: Vec<Range<usize>>,
    modules: Vec<String>,
}

impl Tests {
    /// Returns the tokens without items for tests, and notes these.
    fn removed_from(&mut self, tokens: TokenStream) -> TokenStream {
        let trees: Vec<TokenTree> = tokens.into_iter().collect();
        let mut kept = Vec::new();
        let mut at = 0;
        while at < trees.len() {
            if is_test_attribute(&trees[at..]) {
                let end = at + item_length(&trees[at..]);
                self.note(&trees[at..end]);
                at = end;
                continue;
            }
            kept.push(match &trees[at] {
                TokenTree::Group(group) => {
                    let mut inner =
                        Group::new(group.delimiter(), self.removed_from(group.stream()));
                    inner.set_span(group.span());
                    inner.into()
                }
                other => other.clone(),
            });
            at += 1;
        }
        kept.into_iter().collect()
    }

    fn note(&mut self, item: &[TokenTree]) {
        if let ([first, ..], [.., last]) = (item, item) {
            self.ranges.push(first.span().byte_range().start..last.span().byte_range().end);
        }
        if let [.., TokenTree::Ident(word), TokenTree::Ident(name), TokenTree::Punct(end)] = item
            && word == "mod"
            && end.as_char() == ';'
        {
            self.modules.push(name.to_string());
        }
    }
}

/// Returns whether the tokens begin with `#[cfg(test)]`, or a `cfg` that holds `test` in `all` or
/// `any`.
fn is_test_attribute(tokens: &[TokenTree]) -> bool {
    let [TokenTree::Punct(mark), TokenTree::Group(attribute), ..] = tokens else { return false };
    let inner: Vec<TokenTree> = attribute.stream().into_iter().collect();
    match inner.as_slice() {
        [TokenTree::Ident(name), TokenTree::Group(condition)] => {
            mark.as_char() == '#' && name == "cfg" && names_test(condition)
        }
        _ => false,
    }
}

fn names_test(condition: &Group) -> bool {
    let inner: Vec<TokenTree> = condition.stream().into_iter().collect();
    inner.iter().enumerate().any(|(at, tree)| match tree {
        TokenTree::Ident(word) if word == "test" => true,
        TokenTree::Ident(word) if word == "all" || word == "any" => {
            matches!(inner.get(at + 1), Some(TokenTree::Group(group)) if names_test(group))
        }
        _ => false,
    })
}

/// Returns the number of tokens up to the end of an item: its `;` or its braces.
fn item_length(tokens: &[TokenTree]) -> usize {
    let is_end = |tree: &TokenTree| match tree {
        TokenTree::Punct(mark) => mark.as_char() == ';',
        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
        _ => false,
    };
    tokens.iter().position(is_end).map_or(tokens.len(), |end| end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(path: &str, text: &str) -> RustFile {
        RustFile::parse(path.into(), text).unwrap_or_else(|failure| panic!("{failure}"))
    }

    #[test]
    fn items_for_tests_are_left_out() {
        let check = |text: &str, expected: &str| {
            assert_eq!(parse("a.rs", text).tokens.to_string(), expected, "{text}");
        };
        check("#[cfg(test)] mod tests { fn a() {} } struct B;", "struct B ;");
        check("#[cfg(all(test, unix))] #[path = \"x\"] mod tests; struct B;", "struct B ;");
        check("mod a { #[cfg(test)] use b::c; struct B; }", "mod a { struct B ; }");
        check("#[cfg(not(test))] struct B;", "# [cfg (not (test))] struct B ;");
    }

    #[test]
    fn comments_for_tests_are_left_out() {
        let file = parse("a.rs", "// one\n#[cfg(test)]\nmod tests {\n    // two\n}\n// three\n");
        let texts: Vec<&str> = file.comments.iter().map(|comment| &*comment.text).collect();
        assert_eq!(texts, ["one", "three"]);
    }

    #[test]
    fn files_of_test_modules_are_left_out() {
        let files = vec![
            parse("src/lib.rs", "#[cfg(test)] mod checks; mod a;"),
            parse("src/a.rs", "#[cfg(test)] mod tests;"),
            parse("src/a/tests.rs", ""),
            parse("src/checks/deep.rs", ""),
            parse("src/a/other.rs", ""),
        ];
        let kept: Vec<PathBuf> =
            without_test_files(files).into_iter().map(|file| file.path).collect();
        assert_eq!(kept, ["src/lib.rs", "src/a.rs", "src/a/other.rs"].map(PathBuf::from));
    }
}
