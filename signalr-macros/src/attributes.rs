//! The attribute `#[signalr(..)]` of one method.

use syn::{Attribute, Error, LitStr, Result, punctuated::Punctuated, token};

/// The settings of one method.
#[derive(Default)]
pub(crate) struct Settings {
    pub(crate) name: Option<LitStr>,
    pub(crate) roles: Vec<LitStr>,
    pub(crate) hook: Option<HookKind>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HookKind {
    Connected,
    Disconnected,
}

impl Settings {
    /// Takes the settings out of the attributes of a method.
    pub(crate) fn take(attributes: &mut Vec<Attribute>) -> Result<Self> {
        let mut settings = Self::default();
        let (own, others) =
            attributes.drain(..).partition(|attribute| attribute.path().is_ident("signalr"));
        *attributes = others;
        let own: Vec<Attribute> = own;
        for attribute in own {
            settings.read(&attribute)?;
        }
        Ok(settings)
    }

    fn read(&mut self, attribute: &Attribute) -> Result<()> {
        attribute.parse_nested_meta(|meta| {
            if meta.path.is_ident("name") {
                let name: LitStr = meta.value()?.parse()?;
                if name.value().is_empty() {
                    return Err(Error::new(name.span(), "a name has at least one character"));
                }
                self.name = Some(name);
            } else if meta.path.is_ident("roles") {
                let content;
                syn::parenthesized!(content in meta.input);
                let roles = Punctuated::<LitStr, token::Comma>::parse_terminated(&content)?;
                if roles.is_empty() {
                    return Err(
                        meta.error("expected at least one role, such as `roles(\"admin\")`")
                    );
                }
                self.roles = roles.into_iter().collect();
            } else if meta.path.is_ident("connected") {
                self.hook = Some(HookKind::Connected);
            } else if meta.path.is_ident("disconnected") {
                self.hook = Some(HookKind::Disconnected);
            } else {
                return Err(meta.error(
                    "expected `name = \"..\"`, `roles(\"..\")`, `connected` or `disconnected`",
                ));
            }
            Ok(())
        })
    }
}
