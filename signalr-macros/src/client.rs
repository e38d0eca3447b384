//! `#[signalr::client]`: the methods that a hub can invoke at its clients.
//!
//! The trait becomes an empty type that names the interface. Two structs with the methods wrap the
//! recipients: one for any number of clients, one for a single client, which can return results.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{Attribute, Error, Ident, ItemTrait, LitStr, Result, ReturnType, spanned::Spanned};

use crate::{
    attributes::Settings,
    methods::{self, Parameter},
};

pub(crate) fn expand(arguments: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let mut has_typescript = false;
    let parser = syn::meta::parser(|meta| {
        has_typescript = meta.path.is_ident("typescript");
        if has_typescript { Ok(()) } else { Err(meta.error("expected `typescript`")) }
    });
    syn::parse::Parser::parse2(parser, arguments)?;
    let mut item: ItemTrait = syn::parse2(item)?;
    let methods: Vec<Method> =
        methods::of(&mut item)?.into_iter().map(Method::read).collect::<Result<_>>()?;

    let ItemTrait { attrs, vis, ident, .. } = &item;
    let many = format_ident!("{ident}Recipients");
    let one = format_ident!("{ident}Recipient");
    let many_docs =
        format!("The clients with the interface [`{ident}`] that receive one invocation.");
    let one_docs = format!("One client with the interface [`{ident}`].");
    let sends = methods.iter().filter(|method| method.result.is_none()).map(Method::send);
    let sends = quote!(#(#sends)*);
    let asks = methods.iter().filter_map(Method::ask);

    let description = has_typescript.then(|| description(ident, &methods));

    Ok(quote! {
        #(#attrs)*
        #[derive(Clone, Copy, Debug)]
        #vis enum #ident {}

        impl ::signalr::TypedClient for #ident {
            type Recipients = #many;
            type Recipient = #one;
        }

        #[doc = #many_docs]
        #[derive(Clone, Debug)]
        #[must_use = "nothing is sent before a method is invoked"]
        #vis struct #many(::signalr::Recipients);

        #[allow(dead_code, reason = "a hub need not invoke all methods")]
        impl #many {
            /// Excludes connections.
            #vis fn except<T: ::core::convert::Into<::std::string::String>>(
                self,
                ids: impl ::core::iter::IntoIterator<Item = T>,
            ) -> Self {
                Self(self.0.except(ids))
            }

            #sends
        }

        impl ::core::convert::From<::signalr::Recipients> for #many {
            fn from(recipients: ::signalr::Recipients) -> Self {
                Self(recipients)
            }
        }

        #[doc = #one_docs]
        #[derive(Clone, Debug)]
        #[must_use = "nothing is sent before a method is invoked"]
        #vis struct #one(::signalr::Recipient);

        #[allow(dead_code, reason = "a hub need not invoke all methods")]
        impl #one {
            #sends
            #(#asks)*
        }

        impl ::core::convert::From<::signalr::Recipient> for #one {
            fn from(recipient: ::signalr::Recipient) -> Self {
                Self(recipient)
            }
        }

        #description
    })
}

struct Method {
    attributes: Vec<Attribute>,
    ident: Ident,
    name: LitStr,
    parameters: Vec<Parameter>,
    /// Set for a method with a result.
    result: Option<TokenStream>,
}

impl Method {
    fn read(method: &mut syn::TraitItemFn) -> Result<Self> {
        let settings = Settings::take(&mut method.attrs)?;
        let signature = &method.sig;
        if !settings.roles.is_empty() || settings.hook.is_some() {
            return Err(Error::new(signature.ident.span(), "a method of clients has `name` only"));
        }
        if let Some(receiver) = signature.receiver() {
            return Err(Error::new(
                receiver.span(),
                "a method of clients has no `self`, since it does not run here",
            ));
        }
        if let Some(body) = &method.default {
            return Err(Error::new(
                body.span(),
                "a method of clients has no body, since it does not run here",
            ));
        }
        let result = match (&signature.asyncness, &signature.output) {
            (None, ReturnType::Default) => None,
            (Some(_), output) => Some(methods::result(output)),
            (None, ReturnType::Type(_, ty)) => {
                return Err(Error::new(
                    ty.span(),
                    "a method that returns a result of the client is an `async fn`",
                ));
            }
        };
        if signature.ident == "except" {
            return Err(Error::new(
                signature.ident.span(),
                "`except` excludes connections; rename the method and add \
                 `#[signalr(name = \"except\")]`",
            ));
        }
        let parameters = methods::parameters(&signature.inputs)?;
        if parameters.len() > PARAMETERS_MAX {
            let text = format!("a method has at most {PARAMETERS_MAX} parameters");
            return Err(Error::new(signature.ident.span(), text));
        }
        let name = settings.name.unwrap_or_else(|| {
            LitStr::new(&methods::camel_case(&signature.ident), signature.ident.span())
        });
        let attributes = method.attrs.clone();
        Ok(Self { attributes, ident: signature.ident.clone(), name, parameters, result })
    }

    /// Returns the function that invokes the method without a result.
    fn send(&self) -> TokenStream {
        let Self { ident, name, .. } = self;
        let (docs, inputs, values) = self.parts();
        quote! {
            #docs
            pub async fn #ident(
                self,
                #inputs
            ) -> ::core::result::Result<(), ::signalr::InvokeError> {
                self.0.invoke(#name, #values).await
            }
        }
    }

    /// Returns the function that invokes the method and waits for its result.
    fn ask(&self) -> Option<TokenStream> {
        let Self { ident, name, result, .. } = self;
        let result = result.as_ref()?;
        let (docs, inputs, values) = self.parts();
        Some(quote! {
            #docs
            pub async fn #ident(
                self,
                #inputs
            ) -> ::core::result::Result<#result, ::signalr::InvokeError> {
                self.0.invoke_with_result(#name, #values).await
            }
        })
    }

    fn parts(&self) -> (TokenStream, TokenStream, TokenStream) {
        let attributes = &self.attributes;
        let names: Vec<_> = self.parameters.iter().map(|parameter| &parameter.name).collect();
        let types = self.parameters.iter().map(|parameter| &parameter.ty);
        let docs = match attributes.iter().any(|attribute| attribute.path().is_ident("doc")) {
            true => quote!(#(#attributes)*),
            false => {
                let text = format!("Invokes `{}`.", self.name.value());
                quote!(#[doc = #text] #(#attributes)*)
            }
        };
        (docs, quote!(#(#names: #types,)*), quote!((#(#names,)*)))
    }
}

/// Describes the methods for TypeScript.
fn description(ident: &Ident, methods: &[Method]) -> TokenStream {
    let name = ident.to_string();
    let methods = methods.iter().map(|Method { name, parameters, result, .. }| {
        let names = parameters.iter().map(|parameter| methods::camel_case(&parameter.name));
        let types = parameters.iter().map(|parameter| &parameter.ty);
        let add = match result {
            None => quote!(send),
            Some(result) => quote!(ask::<#result>),
        };
        quote!(interface.#add(#name, |parameters| {
            let _ = &parameters;
            #(parameters.add::<#types>(#names);)*
        });)
    });
    quote! {
        impl ::signalr::typescript::ClientTypes for #ident {
            fn client() -> ::signalr::typescript::Interface {
                let mut interface = ::signalr::typescript::Interface::new(#name);
                #(#methods)*
                interface
            }
        }
    }
}

/// As many as the elements of a tuple that serde can write.
const PARAMETERS_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_method_is_explained() {
        check(
            quote!(
                fn said(&self);
            ),
            "no `self`",
        );
        check(
            quote!(
                fn said() {}
            ),
            "no body",
        );
        check(
            quote!(
                fn confirm() -> bool;
            ),
            "`async fn`",
        );
        check(
            quote!(
                fn said<T>(value: T);
            ),
            "cannot be generic",
        );
        check(
            quote!(
                #[signalr(roles("admin"))]
                fn said();
            ),
            "`name` only",
        );
        check(
            quote!(
                #[signalr(nam = "x")]
                fn said();
            ),
            "expected `name",
        );
        check(
            quote!(
                fn except();
            ),
            "excludes connections",
        );
        check(
            quote!(
                fn said((a, b): (u8, u8));
            ),
            "the name of a parameter",
        );
        check(
            quote!(
                const A: u8;
            ),
            "expected a method",
        );
    }

    #[test]
    fn methods_have_names_of_javascript() {
        let expanded = expand(
            TokenStream::new(),
            quote!(
                trait Chat {
                    fn room_message();
                }
            ),
        );
        assert!(expanded.unwrap().to_string().contains("\"roomMessage\""));
    }

    fn check(method: TokenStream, expected: &str) {
        let error = expand(TokenStream::new(), quote!(trait Chat { #method })).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
}
