//! `#[signalr::hub]`: the methods of a hub as a trait, and an implementation of it.
//!
//! The trait keeps its methods. A hidden one registers all of them at a hub. Parameters by
//! reference and uploads are read from the call, all others are arguments of the client.

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote};
use syn::{
    Error, Ident, Item, ItemImpl, ItemTrait, LitStr, Path, ReceiverKind, Result, ReturnType,
    TraitItemFn, Type, parse_quote, spanned::Spanned,
};

use crate::{
    attributes::{HookKind, Settings},
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
}

impl Arguments {
    fn read(arguments: TokenStream) -> Result<Self> {
        let mut read = Self::default();
        let parser = syn::meta::parser(|meta| {
            if meta.path.is_ident("client") {
                read.client = Some(meta.value()?.parse()?);
            } else if meta.path.is_ident("typescript") {
                read.has_typescript = true;
            } else {
                return Err(meta.error("expected `client = ..` or `typescript`"));
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
    let check = arguments.client.as_ref().map(|client| {
        quote! {
            const _: () = {
                const fn is_interface_of_clients<C: ::signalr::TypedClient>() {}
                is_interface_of_clients::<#client>();
            };
        }
    });
    Ok(quote!(#item #check #description))
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

struct Method {
    ident: Ident,
    name: LitStr,
    roles: Vec<LitStr>,
    parameters: Vec<(Parameter, Source)>,
    kind: Kind,
    output: TokenStream,
}

#[derive(PartialEq, Eq)]
enum Kind {
    Call,
    Stream,
    Hook(HookKind),
}

/// The source of a parameter.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    /// The call, by reference.
    Borrowed,
    /// The call, by value.
    Upload,
    Argument,
}

impl Method {
    fn read(method: &mut TraitItemFn) -> Result<Self> {
        let settings = Settings::take(&mut method.attrs)?;
        let signature = &method.sig;
        let ident = signature.ident.clone();
        let takes_self = signature.receiver().is_some_and(|receiver| {
            matches!(receiver.kind, ReceiverKind::Reference(_, None, None))
        });
        if !takes_self {
            return Err(Error::new(ident.span(), "a hub method takes `&self`"));
        }
        let is_async = signature.asyncness.is_some();
        let kind = match (settings.hook, is_async, &signature.output) {
            (Some(hook), true, _) => Kind::Hook(hook),
            (Some(_), false, _) => return Err(Error::new(ident.span(), "a hook is an `async fn`")),
            (None, true, ReturnType::Type(..)) => Kind::Call,
            (None, true, ReturnType::Default) => {
                return Err(Error::new(
                    ident.span(),
                    "a hub method returns `Result<T, HubError>`, such as `Result<(), HubError>`",
                ));
            }
            (None, false, ReturnType::Type(_, ty))
                if methods::last_name(ty).as_deref() == Some("HubStream") =>
            {
                Kind::Stream
            }
            (None, false, _) => {
                return Err(Error::new(
                    ident.span(),
                    "a hub method is an `async fn`, or returns `HubStream<T>`",
                ));
            }
        };
        let parameters = methods::parameters(&signature.inputs)?
            .into_iter()
            .map(Parameter::sourced)
            .collect::<Result<Vec<_>>>()?;
        let arguments = parameters.iter().filter(|(_, source)| *source == Source::Argument).count();
        if arguments > ARGUMENTS_MAX {
            let text = format!("a hub method has at most {ARGUMENTS_MAX} arguments");
            return Err(Error::new(ident.span(), text));
        }
        if parameters.len() - arguments > EXTRACTORS_MAX {
            let text = format!("at most {EXTRACTORS_MAX} parameters are read from the call");
            return Err(Error::new(ident.span(), text));
        }
        if let (Kind::Hook(_), Some((argument, _))) =
            (&kind, parameters.iter().find(|(_, source)| *source != Source::Borrowed))
        {
            return Err(Error::new(
                argument.name.span(),
                "a hook has no arguments; parameters by reference are read from the connection",
            ));
        }
        let name = settings
            .name
            .unwrap_or_else(|| LitStr::new(&methods::pascal_case(&ident), ident.span()));
        let output = methods::result(&signature.output);
        Ok(Self { ident, name, roles: settings.roles, parameters, kind, output })
    }

    /// Returns the statement that registers the method.
    fn register(&self, of: &Ident) -> TokenStream {
        let Self { ident, name, roles, .. } = self;
        let hub = format_ident!("hub");
        let this = Ident::new("this", Span::mixed_site());
        let names: Vec<Ident> = (0..self.parameters.len())
            .map(|index| Ident::new(&format!("parameter{index}"), Span::mixed_site()))
            .collect();
        let is_argument = |source: Source| source == Source::Argument;
        let extracted =
            names.iter().zip(&self.parameters).filter_map(|(name, (parameter, source))| {
                let ty = referenced(&parameter.ty);
                (!is_argument(*source)).then(|| quote!(#name: #ty))
            });
        let all = || names.iter().zip(&self.parameters);
        let arguments = all().filter(|(_, (_, source))| is_argument(*source));
        let (argument_names, argument_types): (Vec<_>, Vec<_>) =
            arguments.map(|(name, (parameter, _))| (name, &parameter.ty)).unzip();
        let values = all().map(|(name, (_, source))| match source {
            Source::Borrowed => quote!(&#name),
            Source::Upload | Source::Argument => quote!(#name),
        });
        let call = quote!(<Self as #of>::#ident(&*#this, #(#values),*));
        let closure = |arguments: TokenStream, body: TokenStream| {
            quote! {{
                let #this = ::std::sync::Arc::clone(&self);
                move |#(#extracted,)* #arguments| {
                    let #this = ::std::sync::Arc::clone(&#this);
                    async move { #body }
                }
            }}
        };
        let arguments = quote!((#(#argument_names,)*): (#(#argument_types,)*));
        let registered = match self.kind {
            Kind::Call => {
                let closure = closure(arguments, quote!(#call.await));
                quote!(#hub.method(#name, #closure))
            }
            Kind::Stream => {
                let closure = closure(arguments, quote!(::core::result::Result::Ok(#call)));
                quote!(#hub.stream(#name, #closure))
            }
            Kind::Hook(hook) => {
                let closure = closure(TokenStream::new(), quote!(#call.await));
                match hook {
                    HookKind::Connected => quote!(#hub.on_connected(#closure)),
                    HookKind::Disconnected => quote!(#hub.on_disconnected(#closure)),
                }
            }
        };
        let authorized = (!roles.is_empty()).then(|| quote!(.authorize(#name, [#(#roles),*])));
        quote!(let #hub = #registered #authorized;)
    }
}

impl Parameter {
    fn sourced(self) -> Result<(Self, Source)> {
        let source = match &self.ty {
            Type::Reference(reference) if reference.mutability.is_some() => {
                return Err(Error::new(
                    reference.span(),
                    "a parameter cannot be changed; parameters by reference are read from the call",
                ));
            }
            Type::Reference(_) => Source::Borrowed,
            ty if methods::last_name(ty).as_deref() == Some("Upload") => Source::Upload,
            _ => Source::Argument,
        };
        if let Type::Reference(reference) = &self.ty
            && methods::last_name(&reference.elem).as_deref() == Some("str")
        {
            return Err(Error::new(
                reference.span(),
                "an argument of the client is owned: use `String`",
            ));
        }
        Ok((self, source))
    }
}

fn referenced(ty: &Type) -> &Type {
    match ty {
        Type::Reference(reference) => &reference.elem,
        other => other,
    }
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

/// As many as `signalr::Arguments` allows.
const ARGUMENTS_MAX: usize = 8;
/// As many as `signalr::Handler` allows.
const EXTRACTORS_MAX: usize = 6;

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
