//! The methods of a typed hub and of its clients, as a file for TypeScript.
//!
//! The types of arguments and results implement [`TS`] of the crate `ts-rs`: derive it for the
//! application's own types. A test that compares the text with a checked-in file keeps the file up
//! to date. This needs the feature `typescript`.
//!
//! Numbers of 64 bits become `number`, as in JSON. Values above 2^53 lose digits in JavaScript.
//!
//! # Examples
//!
//! ```
//! use signalr::{Caller, HubError, typescript};
//!
//! #[signalr::client(typescript)]
//! trait ChatClient {
//!     fn said(by: &str, text: &str);
//! }
//!
//! #[signalr::hub(client = ChatClient, typescript)]
//! trait ChatHub {
//!     async fn send(&self, caller: &Caller<ChatClient>, text: String) -> Result<u64, HubError>;
//! }
//!
//! let text = typescript::text::<ChatHubTypes>();
//! assert!(text.contains("send(text: string): Promise<number>;"));
//! assert!(text.contains("said(by: string, text: string): void;"));
//! ```

use std::{any::TypeId, collections::BTreeMap, fmt::Write as _};

use futures_util::Stream;
use ts_rs::{Config, TypeVisitor};

use crate::upload::Upload;

pub use ts_rs::TS;

/// Returns the file of a hub: the types, an interface for each side, and functions that connect
/// them to a `HubConnection` of `@microsoft/signalr`.
///
/// `T` is the type that `#[signalr::hub(typescript)]` adds to the trait `ChatHub`: `ChatHubTypes`.
///
/// # Examples
///
/// See the [module](self).
#[must_use]
pub fn text<T: HubTypes>() -> String {
    let hub = T::hub();
    let client = T::client();
    let mut types = hub.types.clone();
    types.extend(client.iter().flat_map(|client| client.types.clone()));
    let mut text = "// Written by the Rust crate `signalr`. Changes are lost.\n\n".to_owned();
    let imports = hub.imports();
    let _ = writeln!(text, "import type {{ {imports} }} from \"@microsoft/signalr\";\n");
    for declaration in types.values() {
        let _ = writeln!(text, "export {declaration}\n");
    }
    hub.write_interface("The methods of the hub.", &mut text);
    hub.write_calls(&mut text);
    if let Some(client) = client {
        text.push('\n');
        client.write_interface("The methods of a client.", &mut text);
        client.write_registration(&mut text);
    }
    text
}

/// The methods of a hub and of its clients. `#[signalr::hub(typescript)]` implements it.
///
/// # Examples
///
/// See the [module](self).
pub trait HubTypes {
    #[doc(hidden)]
    fn hub() -> Interface;
    #[doc(hidden)]
    fn client() -> Option<Interface>;
}

/// The methods of clients. `#[signalr::client(typescript)]` implements it.
///
/// # Examples
///
/// See the [module](self).
pub trait ClientTypes {
    #[doc(hidden)]
    fn client() -> Interface;
}

/// The methods of one side.
#[doc(hidden)]
#[derive(Debug)]
pub struct Interface {
    name: &'static str,
    methods: Vec<Method>,
    /// The declarations of the application's types, by name.
    types: BTreeMap<String, String>,
}

#[derive(Debug)]
struct Method {
    name: &'static str,
    /// Names and types.
    parameters: Vec<(&'static str, String)>,
    result: String,
    is_stream: bool,
}

impl Interface {
    #[must_use]
    pub fn new(name: &'static str) -> Self {
        Self { name, methods: Vec::new(), types: BTreeMap::new() }
    }

    /// Adds a method of a hub, which returns `R`.
    pub fn call<R>(&mut self, name: &'static str, parameters: impl FnOnce(&mut Parameters<'_>))
    where
        R: MethodResult,
    {
        let result = result(self.use_type::<R::Value>());
        self.add(name, parameters, format!("Promise<{result}>"), false);
    }

    /// Adds a method of a hub that returns the stream `S`.
    pub fn stream<S>(&mut self, name: &'static str, parameters: impl FnOnce(&mut Parameters<'_>))
    where
        S: Stream,
        S::Item: MethodResult,
    {
        let item = self.use_type::<<S::Item as MethodResult>::Value>();
        self.add(name, parameters, format!("IStreamResult<{item}>"), true);
    }

    /// Adds a method of clients without a result.
    pub fn send(&mut self, name: &'static str, parameters: impl FnOnce(&mut Parameters<'_>)) {
        self.add(name, parameters, "void".to_owned(), false);
    }

    /// Adds a method of clients with the result `R`.
    pub fn ask<R>(&mut self, name: &'static str, parameters: impl FnOnce(&mut Parameters<'_>))
    where
        R: TS + 'static,
    {
        let result = result(self.use_type::<R>());
        self.add(name, parameters, format!("{result} | Promise<{result}>"), false);
    }

    fn add(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&mut Parameters<'_>),
        result: String,
        is_stream: bool,
    ) {
        let mut parameters = Parameters { interface: self, all: Vec::new() };
        read(&mut parameters);
        let parameters = parameters.all;
        self.methods.push(Method { name, parameters, result, is_stream });
    }

    /// Returns the name of a type, and declares it and all types within it.
    fn use_type<T: TS + 'static + ?Sized>(&mut self) -> String {
        let mut declarations = Declarations { types: &mut self.types, seen: Vec::new() };
        declarations.visit::<T>();
        T::name(&config())
    }

    fn imports(&self) -> String {
        let uses = |part: &str| {
            self.methods.iter().any(|method| {
                method.result.contains(part)
                    || method.parameters.iter().any(|(_, ty)| ty.contains(part))
            })
        };
        let mut imports = vec!["HubConnection"];
        imports.extend(["IStreamResult", "Subject"].into_iter().filter(|part| uses(part)));
        imports.join(", ")
    }

    fn write_interface(&self, docs: &str, text: &mut String) {
        let _ = writeln!(text, "/** {docs} */\nexport interface {} {{", self.name);
        for Method { name, parameters, result, .. } in &self.methods {
            let parameters: Vec<_> =
                parameters.iter().map(|(name, ty)| format!("{name}: {ty}")).collect();
            let _ = writeln!(text, "  {}({}): {result};", member(name), parameters.join(", "));
        }
        text.push_str("}\n\n");
    }

    /// Writes the function that calls the methods of a hub.
    fn write_calls(&self, text: &mut String) {
        let Self { name, methods, .. } = self;
        let _ = writeln!(
            text,
            "/** Calls the methods of the hub over a connection. */\n\
             export function {}(connection: HubConnection): {name} {{\n  return {{",
            member(name)
        );
        for method in methods {
            let call = if method.is_stream { "stream" } else { "invoke" };
            let Method { name, .. } = method;
            let names = method.names();
            let separator = if names.is_empty() { "" } else { ", " };
            let _ = writeln!(
                text,
                "    {}: ({names}) => connection.{call}(\"{name}\"{separator}{names}),",
                member(name)
            );
        }
        text.push_str("  };\n}\n");
    }

    /// Writes the function that registers the methods of a client.
    fn write_registration(&self, text: &mut String) {
        let Self { name, methods, .. } = self;
        let _ = writeln!(
            text,
            "/** Registers the methods of a client at a connection. */\n\
             export function register{name}(connection: HubConnection, client: {name}): void {{"
        );
        for method in methods {
            let Method { name, parameters, .. } = method;
            let typed: Vec<_> =
                parameters.iter().map(|(name, ty)| format!("{name}: {ty}")).collect();
            let _ = writeln!(
                text,
                "  connection.on(\"{name}\", ({}) => client.{}({}));",
                typed.join(", "),
                member(name),
                method.names()
            );
        }
        text.push_str("}\n");
    }
}

impl Method {
    fn names(&self) -> String {
        let names: Vec<_> = self.parameters.iter().map(|(name, _)| *name).collect();
        names.join(", ")
    }
}

/// The parameters of one method.
#[doc(hidden)]
#[derive(Debug)]
pub struct Parameters<'a> {
    interface: &'a mut Interface,
    all: Vec<(&'static str, String)>,
}

impl Parameters<'_> {
    pub fn add<T: TS + 'static>(&mut self, name: &'static str) {
        let ty = self.interface.use_type::<T>();
        self.all.push((name, ty));
    }

    pub fn upload<U: Uploaded>(&mut self, name: &'static str) {
        let item = self.interface.use_type::<U::Item>();
        self.all.push((name, format!("Subject<{item}>")));
    }
}

/// The value of a method's `Result`.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no result of a hub method for TypeScript",
    note = "a hub method returns `Result<T, HubError>`, and `T` implements `ts_rs::TS`"
)]
pub trait MethodResult {
    type Value: TS + 'static;
}

impl<T: TS + 'static, E> MethodResult for Result<T, E> {
    type Value = T;
}

/// The items of an [`Upload`].
#[doc(hidden)]
pub trait Uploaded {
    type Item: TS + 'static;
}

impl<T: TS + 'static> Uploaded for Upload<T> {
    type Item = T;
}

/// Collects the declarations of a type and of all types within it.
struct Declarations<'a> {
    types: &'a mut BTreeMap<String, String>,
    seen: Vec<TypeId>,
}

impl TypeVisitor for Declarations<'_> {
    fn visit<T: TS + 'static + ?Sized>(&mut self) {
        if self.seen.contains(&TypeId::of::<T>()) {
            return;
        }
        self.seen.push(TypeId::of::<T>());
        // Types of the language have no file of their own, and no declaration.
        if T::output_path().is_some() {
            self.types.insert(T::ident(&config()), T::decl(&config()));
        }
        T::visit_dependencies(self);
        T::visit_generics(self);
    }
}

fn config() -> Config {
    Config::new().with_large_int("number")
}

/// Returns the type of a result. Nothing is `null` as a value.
fn result(name: String) -> String {
    if name == "null" { "void".to_owned() } else { name }
}

/// Returns a name with a small first letter, as members have in JavaScript.
fn member(name: &str) -> String {
    let mut letters = name.chars();
    let first = letters.next().map(|first| first.to_lowercase().collect::<String>());
    first.unwrap_or_default() + letters.as_str()
}
