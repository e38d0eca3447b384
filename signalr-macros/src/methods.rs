//! The methods of a trait: their names, parameters and results.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{
    Error, FnArg, Generics, Ident, ItemTrait, Pat, PatType, Result, ReturnType, TraitItem,
    TraitItemFn, Type, ext::IdentExt, spanned::Spanned,
};

/// One parameter except `self`.
pub(crate) struct Parameter {
    pub(crate) name: Ident,
    pub(crate) ty: Type,
}

/// Reads the parameters of a method.
pub(crate) fn parameters<'a>(
    inputs: impl IntoIterator<Item = &'a FnArg>,
) -> Result<Vec<Parameter>> {
    inputs
        .into_iter()
        .filter_map(|input| match input {
            FnArg::Receiver(_) => None,
            FnArg::Typed(PatType { pat, ty, .. }) => Some((pat, ty)),
        })
        .map(|(pattern, ty)| match &**pattern {
            Pat::Ident(name) => Ok(Parameter { name: name.ident.clone(), ty: (**ty).clone() }),
            other => Err(Error::new(other.span(), "expected the name of a parameter")),
        })
        .collect()
}

/// Returns the methods of a trait.
pub(crate) fn of(item: &mut ItemTrait) -> Result<Vec<&mut TraitItemFn>> {
    refuse_generics(&item.generics, "the trait")?;
    item.items
        .iter_mut()
        .map(|item| match item {
            TraitItem::Fn(method) => {
                refuse_generics(&method.sig.generics, "a method")?;
                Ok(method)
            }
            other => Err(Error::new(other.span(), "expected a method")),
        })
        .collect()
}

fn refuse_generics(generics: &Generics, of: &str) -> Result<()> {
    match generics.params.first() {
        None => Ok(()),
        Some(parameter) => {
            let text = format!("{of} cannot be generic, since clients call it by its name");
            Err(Error::new(parameter.span(), text))
        }
    }
}

/// Returns the type of a result.
pub(crate) fn result(output: &ReturnType) -> TokenStream {
    match output {
        ReturnType::Default => quote!(()),
        ReturnType::Type(_, ty) => quote!(#ty),
    }
}

/// Returns the last name of a type's path, such as `Result`.
pub(crate) fn last_name(ty: &Type) -> Option<String> {
    match ty {
        Type::Path(path) => Some(path.path.segments.last()?.ident.to_string()),
        _ => None,
    }
}

/// Returns a name such as `JoinRoom`, for methods of hubs.
pub(crate) fn pascal_case(name: &Ident) -> String {
    name.unraw().to_string().split('_').map(capitalized).collect()
}

/// Returns a name such as `roomMessage`, for methods of clients.
pub(crate) fn camel_case(name: &Ident) -> String {
    let name = name.unraw().to_string();
    let mut words = name.split('_').filter(|word| !word.is_empty());
    let first = words.next().unwrap_or_default().to_owned();
    first + &words.map(capitalized).collect::<String>()
}

fn capitalized(word: &str) -> String {
    let mut letters = word.chars();
    match letters.next() {
        Some(first) => first.to_uppercase().chain(letters).collect(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use quote::format_ident;

    use super::*;

    #[test]
    fn names_follow_the_conventions_of_each_side() {
        assert_eq!(pascal_case(&format_ident!("join_room")), "JoinRoom");
        assert_eq!(pascal_case(&format_ident!("send")), "Send");
        assert_eq!(pascal_case(&format_ident!("r#move")), "Move");
        assert_eq!(camel_case(&format_ident!("room_message")), "roomMessage");
        assert_eq!(camel_case(&format_ident!("said")), "said");
        assert_eq!(camel_case(&format_ident!("_said_2")), "said2");
    }
}
