//! The top-level modules of a package and their uses of each other.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::paths::{self, UsePath};
use crate::source::{self, RustFile};
use crate::step::Failure;

/// One package. A top-level module is `src/NAME.rs` with `src/NAME/`.
#[derive(Debug, Default)]
pub(super) struct Package {
    pub(super) modules: BTreeSet<String>,
    /// The places of each use, by the module that uses and the module that is used.
    pub(super) uses: BTreeMap<(String, String), Vec<String>>,
}

/// Returns the name of the file that declares the modules of a package.
pub(super) fn top_file(source: &Path) -> Option<&'static str> {
    ["lib.rs", "main.rs"].into_iter().find(|name| source.join(name).is_file())
}

impl Package {
    /// Reads the package in this folder below `root`.
    pub(super) fn read(root: &Path, name: &str) -> Result<Self, Failure> {
        let shown = Path::new(name).join("src");
        let source = root.join(&shown);
        let top = top_file(&source).unwrap_or("lib.rs");
        Ok(Self::new(&shown, top, &source::rust_files(&source)?))
    }

    /// Returns the package of these files, the top file first.
    #[cfg(test)]
    pub(super) fn from_texts(files: &[(&str, &str)]) -> Self {
        let parse = |&(path, text): &(&str, &str)| RustFile::parse(path.into(), text);
        let parsed: Result<Vec<RustFile>, Failure> = files.iter().map(parse).collect();
        Self::new(Path::new(""), files[0].0, &parsed.unwrap_or_else(|failure| panic!("{failure}")))
    }

    /// `shown` is the folder of the files, for the places of uses.
    fn new(shown: &Path, top: &str, files: &[RustFile]) -> Self {
        let Some(top) = files.iter().find(|file| file.path == Path::new(top)) else {
            return Self::default();
        };
        let modules: BTreeSet<String> = paths::declared(&top.tokens).into_iter().collect();
        // Names that the top file imports or exports are reached as `crate::NAME`.
        let imported: BTreeMap<String, String> = paths::imported(&top.tokens)
            .into_iter()
            .filter_map(|path| Some((path.binding()?, path.names.into_iter().next()?)))
            .filter(|(_, module)| modules.contains(module))
            .collect();
        let mut package = Self { modules, uses: BTreeMap::new() };
        for file in files {
            let module = module_path(&file.path);
            if module.first().is_some_and(|first| package.modules.contains(first)) {
                for path in paths::of(&file.tokens, &module) {
                    package.add(&module[0], path, &imported, &shown.join(&file.path));
                }
            }
        }
        package
    }

    fn add(&mut self, user: &str, path: UsePath, imported: &BTreeMap<String, String>, file: &Path) {
        let Some(first) = path.names.first() else { return };
        let used = match self.modules.contains(first) {
            true => first,
            false => imported.get(first).unwrap_or(first),
        };
        if used != user && self.modules.contains(used) {
            let places = self.uses.entry((user.to_owned(), used.clone())).or_default();
            let place = format!("{}:{}", file.display(), path.line);
            if !places.contains(&place) {
                places.push(place);
            }
        }
    }
}

/// Returns the names of the modules from the top to the one in this file.
fn module_path(file: &Path) -> Vec<String> {
    let file = file.with_extension("");
    let mut names: Vec<String> =
        file.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    if names.last().is_some_and(|last| last == "mod") {
        names.pop();
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(files: &[(&str, &str)], expected: &[&str]) {
        let uses = Package::from_texts(files).uses;
        let uses: Vec<String> = uses
            .into_iter()
            .map(|((user, used), places)| format!("{user} {used} {}", places.join(" ")))
            .collect();
        assert_eq!(uses, expected, "{files:?}");
    }

    #[test]
    fn imports_and_paths_in_code_are_uses() {
        let top = ("lib.rs", "mod a;\nmod b;\nmod c;");
        check(
            &[top, ("a.rs", "use crate::{b::B, c::{C, D as E}};")],
            &["a b a.rs:1", "a c a.rs:1"],
        );
        check(
            &[top, ("a/x.rs", "fn f() {\n    crate::b::g(super::super::c::h());\n}")],
            &["a b a/x.rs:2", "a c a/x.rs:2"],
        );
        check(
            &[top, ("a/mod.rs", "use self::x::Y; use super::b::B; use super::a::Z;")],
            &["a b a/mod.rs:1"],
        );
        check(&[top, ("a.rs", "// crate::b\nconst A: &str = \"crate::c\";")], &[]);
    }

    #[test]
    fn names_that_the_top_file_imports_count_for_their_module() {
        let top = ("main.rs", "mod a; mod b; mod c; pub use crate::c::{C as D}; use b::B;");
        check(&[top, ("a.rs", "use crate::{B, D, Unknown};")], &["a b a.rs:1", "a c a.rs:1"]);
    }

    #[test]
    fn code_for_tests_may_use_everything() {
        let top = ("lib.rs", "mod a; mod b; #[cfg(test)] mod checks;");
        check(&[top, ("a.rs", "#[cfg(test)] mod tests { use crate::b::B; }")], &[]);
        check(&[top, ("checks.rs", "use crate::b::B;")], &[]);
    }
}
