//! `#[signalr::hub]`: the methods of a hub as a trait, and an implementation of it.
//!
//! The trait keeps its methods. A hidden one registers all of them at a hub. Parameters by
//! reference and uploads are read from the call, all others are arguments of the client.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{
    Error, Item, ItemImpl, ItemTrait, Path, Result, TraitItemFn, parse_quote, spanned::Spanned,
};

use crate::{
    caller,
    hub_method::{Kind, Method, Source},
    methods::{self, Parameter},
};

pub(crate) fn expand(arguments: TokenStream, item: TokenStream) -> Result<TokenStream> {
    match syn::parse2(item)? {
        Item::Trait(item) => of_trait(&Arguments::read(arguments)?, item),
        Item::Impl(item) if arguments.is_empty() => of_impl(&item),
        Item::Impl(_) => {
            Err(Error::new(arguments.span(), "`client` belongs to the trait, not to its `impl`"))
        }
        other => Err(Error::new(other.span(), "expected a trait, or the `impl` of one")),
    }
}

/// The arguments of the attribute.
#[derive(Default)]
struct Arguments {
    client: Option<Path>,
    has_typescript: bool,
    has_caller: bool,
}

impl Arguments {
    fn read(arguments: TokenStream) -> Result<Self> {
        let mut read = Self::default();
        let parser = syn::meta::parser(|meta| {
            if meta.path.is_ident("client") {
                read.client = Some(meta.value()?.parse()?);
            } else if meta.path.is_ident("typescript") {
                read.has_typescript = true;
            } else if meta.path.is_ident("caller") {
                read.has_caller = true;
            } else {
                return Err(meta.error("expected `client = ..`, `typescript` or `caller`"));
            }
            Ok(())
        });
        syn::parse::Parser::parse2(parser, arguments)?;
        Ok(read)
    }
}

fn of_trait(arguments: &Arguments, mut item: ItemTrait) -> Result<TokenStream> {
    let mut registered = Vec::new();
    for method in methods::of(&mut item)? {
        let read = Method::read(method)?;
        make_sendable(method);
        registered.push(read);
    }
    let ident = &item.ident;
    let register = registered.iter().map(|method| method.register(ident));
    item.supertraits.push(parse_quote!(::core::marker::Send));
    item.supertraits.push(parse_quote!(::core::marker::Sync));
    item.supertraits.push(parse_quote!('static));
    item.items.push(parse_quote! {
        #[doc(hidden)]
        fn __register(self: ::std::sync::Arc<Self>, hub: ::signalr::Hub) -> ::signalr::Hub
        where
            Self: ::core::marker::Sized,
        {
            #(#register)*
            hub
        }
    });
    let description = arguments
        .has_typescript
        .then(|| description(&item, arguments.client.as_ref(), &registered));
    let caller = match arguments.has_caller {
        true => Some(caller::of(&item, &registered)?),
        false => None,
    };
    let check = arguments.client.as_ref().map(|client| {
        quote! {
            const _: () = {
                const fn is_interface_of_clients<C: ::signalr::TypedClient>() {}
                is_interface_of_clients::<#client>();
            };
        }
    });
    Ok(quote!(#item #check #description #caller))
}

/// Replaces an async function by one whose future is `Send`, which an `async fn` implements.
fn make_sendable(method: &mut TraitItemFn) {
    if method.sig.asyncness.take().is_none() {
        return;
    }
    let output = methods::result(&method.sig.output);
    method.sig.output =
        parse_quote!(-> impl ::core::future::Future<Output = #output> + ::core::marker::Send);
    if let Some(body) = method.default.take() {
        method.default = Some(parse_quote!({ async move #body }));
    }
}

fn of_impl(item: &ItemImpl) -> Result<TokenStream> {
    let Some((path, _)) = &item.trait_ else {
        return Err(Error::new(
            item.self_ty.span(),
            "expected the `impl` of a trait with `#[signalr::hub]`",
        ));
    };
    let (generics, _, conditions) = item.generics.split_for_impl();
    let ty = &item.self_ty;
    Ok(quote! {
        #item

        impl #generics ::signalr::TypedHub for #ty #conditions {
            fn register(self: ::std::sync::Arc<Self>, hub: ::signalr::Hub) -> ::signalr::Hub {
                <Self as #path>::__register(self, hub)
            }
        }
    })
}

/// Describes the methods for TypeScript.
fn description(item: &ItemTrait, client: Option<&Path>, methods: &[Method]) -> TokenStream {
    let ItemTrait { vis, ident, .. } = item;
    let types = format_ident!("{ident}Types");
    let docs = format!("The methods of [`{ident}`] for TypeScript.");
    let name = ident.to_string();
    let methods = methods.iter().filter_map(|method| {
        let Method { name, parameters, output, .. } = method;
        let add = match method.kind {
            Kind::Call => quote!(call::<#output>),
            Kind::Stream => quote!(stream::<#output>),
            Kind::Hook(_) => return None,
        };
        let parameters = parameters.iter().filter_map(|(Parameter { name, ty }, source)| {
            let name = methods::camel_case(name);
            match source {
                Source::Borrowed => None,
                Source::Upload => Some(quote!(parameters.upload::<#ty>(#name);)),
                Source::Argument => Some(quote!(parameters.add::<#ty>(#name);)),
            }
        });
        Some(quote!(interface.#add(#name, |parameters| { let _ = &parameters; #(#parameters)* });))
    });
    let client = client.map_or_else(
        || quote!(::core::option::Option::None),
        |client| {
            quote! {
                ::core::option::Option::Some(
                    <#client as ::signalr::typescript::ClientTypes>::client()
                )
            }
        },
    );
    quote! {
        #[doc = #docs]
        #[derive(Clone, Copy, Debug)]
        #[allow(dead_code, reason = "only a test uses it")]
        #vis enum #types {}

        impl ::signalr::typescript::HubTypes for #types {
            fn hub() -> ::signalr::typescript::Interface {
                let mut interface = ::signalr::typescript::Interface::new(#name);
                #(#methods)*
                interface
            }

            fn client() -> ::core::option::Option<::signalr::typescript::Interface> {
                #client
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_method_is_explained() {
        check(
            quote!(
                async fn send(text: String) -> Result<(), HubError>;
            ),
            "takes `&self`",
        );
        check(
            quote!(
                async fn send(&mut self) -> Result<(), HubError>;
            ),
            "takes `&self`",
        );
        check(
            quote!(
                async fn send(&self);
            ),
            "returns `Result<T, HubError>`",
        );
        check(
            quote!(
                fn send(&self) -> u32;
            ),
            "or returns `HubStream<T>`",
        );
        check(
            quote!(
                async fn send(&self, text: &str) -> R;
            ),
            "use `String`",
        );
        check(
            quote!(
                async fn send(&self, text: &mut Caller) -> R;
            ),
            "cannot be changed",
        );
        check(
            quote!(
                async fn send<T>(&self, value: T) -> R;
            ),
            "cannot be generic",
        );
        check(
            quote!(
                #[signalr(role("admin"))]
                async fn send(&self) -> R;
            ),
            "expected `name",
        );
        check(
            quote!(
                #[signalr(roles())]
                async fn send(&self) -> R;
            ),
            "at least one role",
        );
        check(
            quote!(
                #[signalr(name = "")]
                async fn send(&self) -> R;
            ),
            "at least one character",
        );
        check(
            quote!(
                #[signalr(connected)]
                async fn on(&self, text: String) -> R;
            ),
            "no arguments",
        );
        check(
            quote!(
                async fn f(&self, a: A, b: A, c: A, d: A, e: A, f: A, g: A, h: A, i: A) -> R;
            ),
            "at most 8 arguments",
        );
    }

    #[test]
    fn a_wrong_item_is_explained() {
        let error = expand(
            TokenStream::new(),
            quote!(
                struct Chat;
            ),
        )
        .unwrap_err();
        assert!(error.to_string().contains("expected a trait"), "{error}");
        let error = expand(TokenStream::new(), quote!(impl Chat {})).unwrap_err();
        assert!(error.to_string().contains("`impl` of a trait"), "{error}");
        let error = expand(
            quote!(clients = X),
            quote!(
                trait Chat {}
            ),
        )
        .unwrap_err();
        assert!(error.to_string().contains("expected `client"), "{error}");
        let error = expand(quote!(client = X), quote!(impl Chat for Room {})).unwrap_err();
        assert!(error.to_string().contains("belongs to the trait"), "{error}");
    }

    fn check(method: TokenStream, expected: &str) {
        let error = expand(TokenStream::new(), quote!(trait Chat { #method })).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
}
