//! Attribute macros for typed hubs. Use them through the crate `signalr`, which documents them.
//!
//! Each macro reads one item and writes it with its registration. Errors point at the part of the
//! item that is wrong.

mod attributes;
mod caller;
mod client;
mod hub;
mod hub_method;
mod methods;

use proc_macro::TokenStream;

/// Makes a trait the methods of a hub, or implements such a trait.
#[proc_macro_attribute]
pub fn hub(arguments: TokenStream, item: TokenStream) -> TokenStream {
    hub::expand(arguments.into(), item.into())
        .unwrap_or_else(|error| error.to_compile_error())
        .into()
}

/// Makes a trait the methods that a hub can invoke at its clients.
#[proc_macro_attribute]
pub fn client(arguments: TokenStream, item: TokenStream) -> TokenStream {
    client::expand(arguments.into(), item.into())
        .unwrap_or_else(|error| error.to_compile_error())
        .into()
}
