//! Finds paths in the tokens of a file: those of `use` items and those in code.
//!
//! A path counts when it starts with `crate`, `self` or `super`. All others name a child module, an
//! imported name or another crate.

use proc_macro2::{Delimiter, Ident, TokenStream, TokenTree};

/// One path from the top of the crate.
#[derive(Debug)]
pub(super) struct UsePath {
    pub(super) names: Vec<String>,
    /// The name behind `as`.
    alias: Option<String>,
    /// The number of its line, counted from 1.
    pub(super) line: usize,
}

impl UsePath {
    /// Returns the name under which an import makes this available.
    pub(super) fn binding(&self) -> Option<String> {
        let last = self.names.iter().rev().find(|name| *name != "self");
        self.alias.as_ref().or(last).cloned()
    }
}

/// Returns the modules that a file declares in files of their own.
pub(super) fn declared(tokens: &TokenStream) -> Vec<String> {
    let trees: Vec<TokenTree> = tokens.clone().into_iter().collect();
    let name = |window: &[TokenTree]| match window {
        [TokenTree::Ident(word), TokenTree::Ident(name), end] if word == "mod" => {
            is_punct(end, ';').then(|| text(name))
        }
        _ => None,
    };
    trees.windows(3).filter_map(name).collect()
}

/// Returns the imports of a crate's top file.
pub(super) fn imported(tokens: &TokenStream) -> Vec<UsePath> {
    let trees: Vec<TokenTree> = tokens.clone().into_iter().collect();
    let mut found = Vec::new();
    for (at, tree) in trees.iter().enumerate() {
        if matches!(tree, TokenTree::Ident(word) if word == "use") {
            let rest = &trees[at + 1..];
            let is_marked =
                matches!(rest, [TokenTree::Ident(word), ..] if word == "crate" || word == "self");
            read_tree(if is_marked { &rest[3..] } else { rest }, &[], &mut found);
        }
    }
    found
}

/// Returns the paths in the file of a module. `module` holds the names that lead to it.
pub(super) fn of(tokens: &TokenStream, module: &[String]) -> Vec<UsePath> {
    let mut found = Vec::new();
    scan(tokens.clone(), module, &mut found);
    found
}

fn scan(tokens: TokenStream, module: &[String], found: &mut Vec<UsePath>) {
    let trees: Vec<TokenTree> = tokens.into_iter().collect();
    let mut at = 0;
    while at < trees.len() {
        match &trees[at..] {
            [TokenTree::Ident(word), TokenTree::Ident(name), TokenTree::Group(body), ..]
                if word == "mod" =>
            {
                scan(body.stream(), &[module, &[text(name)]].concat(), found);
                at += 3;
            }
            [TokenTree::Group(group), ..] => {
                scan(group.stream(), module, found);
                at += 1;
            }
            rest => match start(rest, &trees[..at], module) {
                Some((base, length)) => {
                    at += length;
                    at += read_tree(&trees[at..], &base, found);
                }
                None => at += 1,
            },
        }
    }
}

/// Returns the module that `crate::`, `self::` or `super::` stands for, and the number of its tokens.
fn start(
    tokens: &[TokenTree],
    before: &[TokenTree],
    module: &[String],
) -> Option<(Vec<String>, usize)> {
    // `$crate::` is another crate's business, `pub(in crate::a)` no use, `a::self` no start.
    let is_within = match before.last() {
        Some(TokenTree::Punct(mark)) => {
            mark.as_char() == '$' || mark.as_char() == ':' && is_colons(before)
        }
        Some(TokenTree::Ident(word)) => word == "in" && before.len() == 1,
        _ => false,
    };
    if is_within {
        return None;
    }
    let mut base = module;
    let mut length = 0;
    while let [TokenTree::Ident(word), rest @ ..] = &tokens[length..] {
        if !is_start_of_colons(rest) {
            break;
        }
        match &*word.to_string() {
            "crate" if length == 0 => base = &[],
            "self" if length == 0 => {}
            "super" => base = base.split_last().map_or(base, |(_, above)| above),
            _ => break,
        }
        length += 3;
    }
    (length > 0).then(|| (base.to_vec(), length))
}

/// Reads a path or a tree of paths, and returns the number of its tokens.
fn read_tree(tokens: &[TokenTree], base: &[String], found: &mut Vec<UsePath>) -> usize {
    let mut names = base.to_vec();
    let mut at = 0;
    let mut line = tokens.first().map_or(0, |first| first.span().start().line);
    while let Some(tree) = tokens.get(at) {
        match tree {
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => {
                let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                for part in inner.split(|tree| is_punct(tree, ',')) {
                    if !part.is_empty() {
                        read_tree(part, &names, found);
                    }
                }
                return at + 1;
            }
            TokenTree::Ident(name) => {
                names.push(text(name));
                line = name.span().start().line;
            }
            TokenTree::Punct(mark) if mark.as_char() == '*' => names.push("*".to_owned()),
            _ => break,
        }
        at += 1;
        if !is_start_of_colons(&tokens[at..]) {
            break;
        }
        at += 2;
    }
    let alias = match &tokens[at.min(tokens.len())..] {
        [TokenTree::Ident(word), TokenTree::Ident(alias), ..] if word == "as" => Some(text(alias)),
        _ => None,
    };
    at += if alias.is_some() { 2 } else { 0 };
    found.push(UsePath { names, alias, line });
    at
}

fn text(name: &Ident) -> String {
    name.to_string().trim_start_matches("r#").to_owned()
}

fn is_punct(tree: &TokenTree, mark: char) -> bool {
    matches!(tree, TokenTree::Punct(punct) if punct.as_char() == mark)
}

fn is_start_of_colons(tokens: &[TokenTree]) -> bool {
    matches!(tokens, [first, second, ..] if is_punct(first, ':') && is_punct(second, ':'))
}

fn is_colons(tokens: &[TokenTree]) -> bool {
    matches!(tokens, [.., first, second] if is_punct(first, ':') && is_punct(second, ':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[&str]) {
        let tokens = text.parse().expect("it is Rust");
        let module = ["a", "b"].map(str::to_owned);
        let found: Vec<String> =
            of(&tokens, &module).into_iter().map(|path| path.names.join(" ")).collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn paths_start_at_the_crate_or_at_the_module() {
        check("use crate::c::D;", &["c D"]);
        check("use self::c::D;", &["a b c D"]);
        check("use super::c::D;", &["a c D"]);
        check("use super::super::c::*;", &["c *"]);
        check("use std::io; use c::D;", &[]);
        check("mod inner { use super::super::super::c::D; }", &["c D"]);
    }

    #[test]
    fn a_tree_holds_several_paths() {
        check("use crate::{c::{self, D}, r#type::E as F};", &["c self", "c D", "type E"]);
    }

    #[test]
    fn paths_in_types_patterns_and_macros_count() {
        check("fn f(a: Vec<crate::c::D::<crate::e::F>>) {}", &["c D", "e F"]);
        check("println!(\"{}\", crate::c::D);", &["c D"]);
        check("#[derive(crate::c::D)] struct E;", &["c D"]);
    }

    #[test]
    fn visibility_and_macro_definitions_do_not_count() {
        check("pub(crate) fn f() {} pub(in crate::a) fn g() {}", &[]);
        check("macro_rules! m { () => { $crate::c::D } }", &[]);
    }

    #[test]
    fn a_top_file_imports_under_its_own_names() {
        let tokens =
            "pub use crate::a::{B, C as D}; use e::F; use std::io;".parse().expect("it is Rust");
        let names: Vec<(String, Option<String>)> = imported(&tokens)
            .into_iter()
            .map(|path| (path.names[0].clone(), path.binding()))
            .collect();
        let expected = [("a", "B"), ("a", "D"), ("e", "F"), ("std", "io")];
        assert_eq!(
            names,
            expected.map(|(module, name)| (module.to_owned(), Some(name.to_owned())))
        );
    }
}
