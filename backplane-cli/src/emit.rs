//! The subcommand `emit`.

use backplane::{Backplane, ConnectError, Invocation, InvocationError, SendError};
use serde_json::value::RawValue;
use thiserror::Error;

use crate::options::{Dialect, Emit};

/// The reason why the message was not sent, or may not have been.
#[derive(Debug, Error)]
pub(crate) enum Error {
    #[error("the arguments expect a JSON array such as '[\"hi\", 1]', found {found}: {source}")]
    Arguments { found: String, source: serde_json::Error },
    #[error(transparent)]
    Invocation(#[from] InvocationError),
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    Send(#[from] SendError),
}

/// Sends the message.
///
/// # Errors
///
/// If the arguments are no JSON array, if the broker cannot be used, or if it does not accept the
/// message.
pub(crate) async fn run(options: Emit) -> Result<(), Error> {
    let invocation = invocation(&options)?;
    let builder = Backplane::builder(&options.app).hub(&options.hub);
    let builder = match options.dialect {
        Dialect::Signalr2 => builder,
        Dialect::Aspnetcore => {
            let channel_prefix = options.channel_prefix.clone();
            builder.dialect(backplane::Dialect::AspNetCore { channel_prefix })
        }
    };
    let emitter = builder.emitter(&*options.url).await?;
    let sent = emitter.send(options.target(), invocation).await;
    emitter.shutdown().await;
    Ok(sent?)
}

fn invocation(options: &Emit) -> Result<Invocation, Error> {
    let found = &options.arguments;
    // Raw values: numbers keep their digits.
    let arguments: Vec<Box<RawValue>> = serde_json::from_str(found)
        .map_err(|source| Error::Arguments { found: found.clone(), source })?;
    Ok(Invocation::new(&options.method, arguments)?)
}
