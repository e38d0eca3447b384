//! The typed caller of a hub: a struct with one method for each method of the trait.
//!
//! It wraps any connection of a client, and knows the names and types of the methods only.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{Error, ItemTrait, Result};

use crate::{
    hub_method::{Kind, Method, Source},
    methods::Parameter,
};

/// Returns the caller of a trait.
pub(crate) fn of(item: &ItemTrait, methods: &[Method]) -> Result<TokenStream> {
    let ItemTrait { vis, ident, .. } = item;
    let caller = format_ident!("{ident}Caller");
    let docs = format!("Calls the methods of [`{ident}`] as a client.");
    let methods = methods.iter().filter_map(|method| call(method).transpose());
    let methods = methods.collect::<Result<Vec<_>>>()?;
    Ok(quote! {
        #[doc = #docs]
        #[derive(Clone, Debug)]
        #vis struct #caller<C> {
            /// The connection of the client.
            pub connection: C,
        }

        impl<C: ::signalr::CallHub> ::core::convert::From<C> for #caller<C> {
            fn from(connection: C) -> Self {
                Self { connection }
            }
        }

        #[allow(dead_code, reason = "a test need not call all methods")]
        impl<C: ::signalr::CallHub> #caller<C> {
            #(#methods)*
        }
    })
}

/// Returns the function that calls a method. A client does not call hooks.
fn call(method: &Method) -> Result<Option<TokenStream>> {
    let Method { ident, name, parameters, kind, output, .. } = method;
    let of = |wanted| parameters.iter().filter(move |(_, source)| *source == wanted);
    let arguments = of(Source::Argument).map(|(parameter, _)| parameter);
    let (names, types): (Vec<_>, Vec<_>) =
        arguments.map(|Parameter { name, ty }| (name, ty)).unzip();
    let uploads: Vec<_> = of(Source::Upload).map(|(parameter, _)| parameter).collect();
    let value = quote!(<#output as ::signalr::MethodOutput>::Value);
    let (upload, call, result) = match (kind, &uploads[..]) {
        (Kind::Hook(_), _) => return Ok(None),
        (Kind::Call, []) => {
            (None, quote!(invoke(&mut self.connection, #name, (#(#names,)*))), value)
        }
        (Kind::Stream, []) => {
            let items = quote!(::std::vec::Vec<#value>);
            (None, quote!(stream(&mut self.connection, #name, (#(#names,)*))), items)
        }
        (Kind::Call, [Parameter { name: items, ty }]) => {
            let item = quote!(<#ty as ::signalr::MethodInput>::Item);
            let upload = quote!(#items: impl ::core::iter::IntoIterator<Item = #item>,);
            (
                Some(upload),
                quote!(upload(&mut self.connection, #name, (#(#names,)*), #items)),
                value,
            )
        }
        (Kind::Stream, [upload, ..]) | (Kind::Call, [_, upload, ..]) => {
            return Err(Error::new(
                upload.name.span(),
                "a caller sends at most one stream, and gets none then; omit `caller`",
            ));
        }
    };
    let docs = format!("Calls `{}`, and waits for its end.", name.value());
    Ok(Some(quote! {
        #[doc = #docs]
        pub async fn #ident(
            &mut self,
            #upload
            #(#names: #types,)*
        ) -> ::core::result::Result<#result, C::Error> {
            ::signalr::CallHub::#call.await
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_that_a_caller_cannot_send_is_explained() {
        check(quote!(
            async fn join(&self, first: Upload<u8>, second: Upload<u8>) -> R;
        ));
        check(quote!(
            fn echo(&self, items: Upload<u8>) -> HubStream<u8>;
        ));
    }

    fn check(method: TokenStream) {
        let item = quote!(trait Chat { #method });
        assert!(crate::hub::expand(TokenStream::new(), item.clone()).is_ok());
        let error = crate::hub::expand(quote!(caller), item).unwrap_err();
        assert!(error.to_string().contains("at most one stream"), "{error}");
    }
}
