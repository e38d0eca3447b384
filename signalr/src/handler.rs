//! Async functions as hub methods.
//!
//! The last parameter of a function is the tuple of the client's arguments. All parameters before
//! it are read by [`FromCall`].

use std::{pin::Pin, sync::Arc};

use futures_util::{Stream, StreamExt};
use serde::Serialize;

use crate::{
    arguments::{Arguments, RawArguments},
    call::{CallContext, CallError, FromCall},
    caller::Caller,
    error::HubError,
    metrics::MethodMetrics,
    protocol::{Encoding, message::Payload},
};

/// An async function that a hub can run, with up to six parameters before the client's arguments.
///
/// `M` lists the types of the parameters. The compiler finds it.
///
/// # Examples
///
/// ```
/// # fn main() {
/// use signalr::{Caller, Cancelled, Handler, HubError};
///
/// async fn add(caller: Caller, cancelled: Cancelled, (a, b): (u32, u32)) -> Result<u32, HubError> {
///     Ok(a + b)
/// }
///
/// fn check<M>(handler: impl Handler<M, Output = u32>) {}
/// check(add);
/// # }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no hub method",
    note = "a hub method is an async function whose last parameter is a tuple of arguments, whose \
            other parameters implement `FromCall`, and which returns `Result<_, HubError>`"
)]
pub trait Handler<M>: Send + Sync + 'static {
    /// The type of the result.
    type Output;

    /// Number of streams that the method takes from the client.
    #[doc(hidden)]
    const STREAMS: usize;
    /// Whether a parameter reads the HTTP request that began the connection.
    #[doc(hidden)]
    const NEEDS_REQUEST: bool;

    /// Reads the parameters and starts the function.
    ///
    /// # Errors
    ///
    /// Returns an error if a parameter cannot be read.
    fn start(
        &self,
        call: &mut CallContext,
        arguments: RawArguments<'_>,
    ) -> Result<impl Future<Output = Result<Self::Output, HubError>> + Send + 'static, CallError>;
}

macro_rules! handlers {
    ($($name:ident),*) => {
        impl<F, Fut, R, $($name,)* A> Handler<($($name,)* A,)> for F
        where
            F: Fn($($name,)* A) -> Fut + Send + Sync + 'static,
            Fut: Future<Output = Result<R, HubError>> + Send + 'static,
            $($name: FromCall,)*
            A: Arguments + 'static,
        {
            type Output = R;

            const STREAMS: usize = 0 $(+ $name::STREAMS)*;
            const NEEDS_REQUEST: bool = false $(|| $name::NEEDS_REQUEST)*;

            #[allow(non_snake_case, reason = "each type parameter also names its value")]
            fn start(
                &self,
                call: &mut CallContext,
                arguments: RawArguments<'_>,
            ) -> Result<impl Future<Output = Result<R, HubError>> + Send + 'static, CallError> {
                // As in ASP.NET Core, the arguments come first.
                let bound = A::bind(arguments)?;
                let found = call.uploads.len();
                if found != Self::STREAMS {
                    return Err(CallError::Streams { found, expected: Self::STREAMS });
                }
                $(let $name = $name::from_call(call)?;)*
                Ok(self($($name,)* bound))
            }
        }
    };
}

handlers!();
handlers!(E1);
handlers!(E1, E2);
handlers!(E1, E2, E3);
handlers!(E1, E2, E3, E4);
handlers!(E1, E2, E3, E4, E5);
handlers!(E1, E2, E3, E4, E5, E6);

/// An async function that a hub can run when a connection begins or ends, with up to six parameters
/// that implement [`FromCall`].
///
/// `M` lists the types of the parameters. The compiler finds it.
///
/// # Examples
///
/// ```
/// # fn main() {
/// use signalr::{Caller, Hook, HubError, State};
///
/// async fn joined(caller: Caller, State(room): State<String>) -> Result<(), HubError> {
///     caller.groups().add(&room).await?;
///     Ok(())
/// }
///
/// fn check<M>(hook: impl Hook<M, Output = Result<(), HubError>>) {}
/// check(joined);
/// # }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no hook of a hub",
    note = "a hook is an async function whose parameters implement `FromCall`"
)]
pub trait Hook<M>: Send + Sync + 'static {
    /// The type of the result.
    type Output;

    /// Whether a parameter reads the HTTP request that began the connection.
    #[doc(hidden)]
    const NEEDS_REQUEST: bool;

    /// Reads the parameters and starts the function.
    ///
    /// # Errors
    ///
    /// Returns an error if a parameter cannot be read.
    fn start(
        &self,
        call: &mut CallContext,
    ) -> Result<impl Future<Output = Self::Output> + Send + 'static, CallError>;
}

macro_rules! hooks {
    ($($name:ident),*) => {
        impl<F, Fut, $($name),*> Hook<($($name,)*)> for F
        where
            F: Fn($($name),*) -> Fut + Send + Sync + 'static,
            Fut: Future + Send + 'static,
            $($name: FromCall,)*
        {
            type Output = Fut::Output;

            const NEEDS_REQUEST: bool = false $(|| $name::NEEDS_REQUEST)*;

            #[allow(non_snake_case, reason = "each type parameter also names its value")]
            #[allow(unused_variables, reason = "a hook may have no parameters")]
            fn start(
                &self,
                call: &mut CallContext,
            ) -> Result<impl Future<Output = Fut::Output> + Send + 'static, CallError> {
                $(let $name = $name::from_call(call)?;)*
                Ok(self($($name),*))
            }
        }
    };
}

hooks!();
hooks!(E1);
hooks!(E1, E2);
hooks!(E1, E2, E3);
hooks!(E1, E2, E3, E4);
hooks!(E1, E2, E3, E4, E5);
hooks!(E1, E2, E3, E4, E5, E6);

/// A hook of a hub.
pub(crate) type StartHook<T> =
    dyn Fn(&mut CallContext) -> Result<Running<T>, CallError> + Send + Sync;

pub(crate) fn hook<M, H>(hook: H) -> Arc<StartHook<H::Output>>
where
    H: Hook<M>,
    H::Output: 'static,
{
    Arc::new(move |call| Ok(Box::pin(hook.start(call)?)))
}

/// A method of a hub.
#[derive(Clone)]
pub(crate) struct Method {
    /// The name as registered.
    pub(crate) name: Arc<str>,
    /// The user must have one of these roles, if there are any.
    pub(crate) roles: Arc<[String]>,
    pub(crate) run: Run,
    pub(crate) metrics: Arc<MethodMetrics>,
}

/// How a method runs.
#[derive(Clone)]
pub(crate) enum Run {
    Call(Arc<Start<Payload>>),
    Stream(Arc<Start<Items>>),
}

/// Reads the parameters and returns the running method.
pub(crate) type Start<T> = dyn Fn(
        &mut CallContext,
        RawArguments<'_>,
        Encoding,
    ) -> Result<Running<Result<T, CallError>>, CallError>
    + Send
    + Sync;
pub(crate) type Running<T> = Pin<Box<dyn Future<Output = T> + Send>>;
/// The encoded items of a stream.
pub(crate) type Items = Pin<Box<dyn Stream<Item = Result<Payload, HubError>> + Send>>;

impl Method {
    /// Returns a method with one result.
    pub(crate) fn call<M, H>(name: &str, handler: H, metrics: Arc<MethodMetrics>) -> Self
    where
        H: Handler<M>,
        H::Output: Serialize + 'static,
    {
        let run: Arc<Start<Payload>> = Arc::new(move |call, arguments, encoding| {
            let running = handler.start(call, arguments)?;
            Ok(Box::pin(
                async move { Ok(encoding.payload(&running.await?).map_err(HubError::from)?) },
            ))
        });
        Self { name: name.into(), roles: Arc::default(), run: Run::Call(run), metrics }
    }

    /// Returns a method with a stream of results.
    pub(crate) fn stream<M, H, T>(name: &str, handler: H, metrics: Arc<MethodMetrics>) -> Self
    where
        H: Handler<M>,
        H::Output: Stream<Item = Result<T, HubError>> + Send + 'static,
        T: Serialize + 'static,
    {
        let run: Arc<Start<Items>> = Arc::new(move |call, arguments, encoding| {
            let running = handler.start(call, arguments)?;
            Ok(Box::pin(async move {
                let items = running.await?;
                let items = items.map(move |item| Ok(encoding.payload(&item?)?));
                Ok(Box::pin(items) as Items)
            }))
        });
        Self { name: name.into(), roles: Arc::default(), run: Run::Stream(run), metrics }
    }

    /// Returns whether clients read a stream of results.
    pub(crate) fn is_stream(&self) -> bool {
        matches!(self.run, Run::Stream(_))
    }

    /// Checks that the user of a connection may call the method.
    pub(crate) fn authorize(&self, caller: &Caller) -> Result<(), CallError> {
        let user = caller.peer().user();
        let has_role = |role| user.as_ref().is_some_and(|user| user.has_role(role));
        match self.roles.is_empty() || self.roles.iter().any(|role| has_role(role)) {
            true => Ok(()),
            false => Err(CallError::Unauthorized),
        }
    }
}
