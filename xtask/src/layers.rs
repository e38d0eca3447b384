//! Checks the order of the modules in each package.
//!
//! `PACKAGE/layers.txt` lists the top-level modules of a package from top to bottom. A module may use
//! modules of lower lines only, and no module may use itself through others. Code for tests is free.

mod cycles;
mod order;
mod package;
mod paths;

use std::path::Path;

use self::order::Order;
use self::package::Package;
use crate::source;
use crate::step::{Failure, workspace_dir};

/// Packages that must have the file.
const ORDERED: [&str; 3] = ["backplane", "broker", "signalr"];
const FILE: &str = "layers.txt";
const STEP: &str = "layers";

/// Checks all packages of the repository.
///
/// # Errors
///
/// When a use points upward, modules form a cycle, or a `layers.txt` does not match the code.
pub(crate) fn check() -> Result<(), Failure> {
    println!("\n==> {STEP}");
    let faults = faults_below(&workspace_dir())?;
    if faults.is_empty() {
        return Ok(());
    }
    let reason = format!("the order of modules is broken\n\n    {}\n", faults.join("\n    "));
    Err(Failure::Unexpected { step: STEP, reason })
}

/// Returns a line for each fault of the packages in a folder, and prints one for each package.
fn faults_below(root: &Path) -> Result<Vec<String>, Failure> {
    let mut faults = Vec::new();
    for name in package_names(root)? {
        let package = Package::read(root, &name)?;
        let file = root.join(&name).join(FILE);
        let order = if file.exists() { Some(Order::parse(&source::read(&file)?)) } else { None };
        let found = match &order {
            Some(order) => faults_of(&package, order),
            None if ORDERED.contains(&&*name) => vec![format!("{FILE} is missing")],
            None => Vec::new(),
        };
        let state = if order.is_some() { "ordered" } else { "without order" };
        let (modules, uses) = (package.modules.len(), package.uses.len());
        println!("    {name:<12} {modules:>3} modules {uses:>4} uses  {state}");
        let cycles = cycles::find(package.uses.keys());
        let cycles = cycles.iter().map(|cycle| format!("cycle of {}", cycle.join(", ")));
        faults.extend(found.into_iter().chain(cycles).map(|fault| format!("{name}: {fault}")));
    }
    Ok(faults)
}

/// Returns the folders of packages with a `src/lib.rs` or a `src/main.rs`, sorted.
fn package_names(root: &Path) -> Result<Vec<String>, Failure> {
    let unreadable = |source| Failure::Unreadable { path: root.to_path_buf(), source };
    let mut names = Vec::new();
    for entry in std::fs::read_dir(root).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        if package::top_file(&entry.path().join("src")).is_some() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// Returns the ways in which a package breaks its order.
fn faults_of(package: &Package, order: &Order) -> Vec<String> {
    let mut faults = Vec::new();
    for module in &package.modules {
        if order.rank(module).is_none() {
            faults.push(format!("`{module}` is missing from {FILE}"));
        }
    }
    for name in order.names() {
        if !package.modules.contains(name) {
            faults.push(format!("{FILE} names `{name}`, which is no module"));
        }
    }
    for ((user, used), places) in &package.uses {
        if order.is_upward(user, used) && !order.allows(user, used) {
            let place = places.first().map_or("", String::as_str);
            let more = match places.len() {
                0 | 1 => String::new(),
                count => format!(" and {} more", count - 1),
            };
            faults.push(format!("`{user}` uses `{used}`, which is not below it: {place}{more}"));
        }
    }
    for (user, used) in order.allowed() {
        let is_used = package.uses.contains_key(&(user.clone(), used.clone()));
        if !is_used || !order.is_upward(user, used) {
            faults.push(format!("{FILE} allows {user} -> {used}, which no code needs"));
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks a package in which `top` uses `bottom`, and `bottom` uses `middle`.
    fn faults(order: &str) -> Vec<String> {
        let files = [
            ("lib.rs", "mod top; mod middle; mod bottom;"),
            ("top.rs", "use crate::bottom::A;"),
            ("middle.rs", ""),
            ("bottom.rs", "use crate::middle::B;\nuse crate::middle::C;"),
        ];
        faults_of(&Package::from_texts(&files), &Order::parse(order))
    }

    #[test]
    fn a_use_points_to_a_lower_line() {
        let upward = "`bottom` uses `middle`, which is not below it: bottom.rs:1 and 1 more";
        assert_eq!(faults("top\nbottom # low\nmiddle"), [""; 0]);
        assert_eq!(faults("top\nmiddle\nbottom"), [upward]);
        assert_eq!(faults("top\nmiddle, bottom"), [upward]);
    }

    #[test]
    fn an_upward_use_can_be_allowed_until_it_is_gone() {
        assert_eq!(faults("top\nmiddle\nbottom\nallow bottom -> middle"), [""; 0]);
        let stale = "layers.txt allows bottom -> middle, which no code needs";
        assert_eq!(faults("top\nbottom\nmiddle\nallow bottom -> middle"), [stale]);
    }

    #[test]
    fn the_list_names_all_modules_and_no_others() {
        assert_eq!(faults("top\nbottom"), ["`middle` is missing from layers.txt"]);
        let stale = "layers.txt names `gone`, which is no module";
        assert_eq!(faults("top\nbottom\nmiddle\ngone"), [stale]);
    }
}
