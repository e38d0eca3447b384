//! One method of the trait of a hub: its kind, and the sources of its parameters.

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote};
use syn::{
    Error, Ident, LitStr, ReceiverKind, Result, ReturnType, TraitItemFn, Type, spanned::Spanned,
};

use crate::{
    attributes::{HookKind, Settings},
    methods::{self, Parameter},
};

/// A method of the trait.
pub(crate) struct Method {
    pub(crate) ident: Ident,
    pub(crate) name: LitStr,
    roles: Vec<LitStr>,
    pub(crate) parameters: Vec<(Parameter, Source)>,
    pub(crate) kind: Kind,
    pub(crate) output: TokenStream,
}

#[derive(PartialEq, Eq)]
pub(crate) enum Kind {
    Call,
    Stream,
    Hook(HookKind),
}

/// The source of a parameter.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// The call, by reference.
    Borrowed,
    /// The call, by value.
    Upload,
    Argument,
}

impl Method {
    pub(crate) fn read(method: &mut TraitItemFn) -> Result<Self> {
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
    pub(crate) fn register(&self, of: &Ident) -> TokenStream {
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

/// As many as `signalr::Arguments` allows.
const ARGUMENTS_MAX: usize = 8;
/// As many as `signalr::Handler` allows.
const EXTRACTORS_MAX: usize = 6;
