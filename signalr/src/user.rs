//! Users and how they are found.
//!
//! An authenticator reads each HTTP request of a client. Its user's id addresses all connections of
//! the user, and methods read the rest.

use std::{any::Any, fmt, future::Future, ops::Deref, pin::Pin, sync::Arc, time::SystemTime};

use axum::http::{header, request::Parts};

use crate::{
    query::query,
    transport_kind::{accepts_events, is_websocket},
};

/// A user, as an authenticator found it, with the application's own data `T`.
///
/// As a parameter of a method, it refuses calls of connections without a user, and
/// `Option<User<T>>` does not.
///
/// # Examples
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hub/server.rs"));
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use signalr::{AuthError, Hub, User};
///
/// #[derive(Debug)]
/// struct Badge {
///     color: String,
/// }
///
/// # let backplane = backplane();
/// let hub = Hub::new("ChatHub", backplane.clone())
///     .authenticate(|parts| async move {
///         let key = parts.headers.get("x-key").ok_or(AuthError::Missing)?;
///         if key != "secret" {
///             return Err(AuthError::Denied);
///         }
///         Ok(Some(User::new("ann", Badge { color: "red".to_owned() })))
///     })
///     .method("Color", |user: User<Badge>, (): ()| async move {
///         Ok(format!("{} is {}", user.id(), user.color))
///     });
/// # let server = TestServer::serve(hub, backplane);
/// # assert_eq!(server.open("", &[]).await.err().unwrap().status(), StatusCode::UNAUTHORIZED);
/// # let denied = server.open("", &[("x-key", "x")]).await.err().unwrap();
/// # assert_eq!(denied.status(), StatusCode::FORBIDDEN);
/// # let mut client = server.connect_with(&[("x-key", "secret")]).await;
/// # assert_eq!(client.call("Color", json!([])).await["result"], "ann is red");
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct User<T> {
    identity: Arc<Identity>,
    data: Arc<T>,
}

/// What the hub itself knows of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Identity {
    id: Arc<str>,
    roles: Vec<String>,
    expires: Option<SystemTime>,
}

impl Identity {
    fn has_role(&self, role: &str) -> bool {
        self.roles.iter().any(|own| own == role)
    }
}

impl<T> User<T> {
    /// Returns a user without roles.
    pub fn new(id: impl Into<String>, data: T) -> Self {
        let identity = Identity { id: id.into().into(), roles: Vec::new(), expires: None };
        Self { identity: Arc::new(identity), data: Arc::new(data) }
    }

    /// Adds a role.
    #[must_use]
    pub fn with_role(mut self, role: impl Into<String>) -> Self {
        Arc::make_mut(&mut self.identity).roles.push(role.into());
        self
    }

    /// Sets the time at which the user must authenticate again.
    ///
    /// With [`Options::close_on_expiry`](crate::Options::close_on_expiry), the connection ends then.
    #[must_use]
    pub fn with_expiry(mut self, expires: SystemTime) -> Self {
        Arc::make_mut(&mut self.identity).expires = Some(expires);
        self
    }

    /// Returns the id, which addresses all connections of the user.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.identity.id
    }

    /// Returns whether the user has a role.
    #[must_use]
    pub fn has_role(&self, role: &str) -> bool {
        self.identity.has_role(role)
    }

    /// Returns the time at which the user must authenticate again.
    #[must_use]
    pub fn expires(&self) -> Option<SystemTime> {
        self.identity.expires
    }
}

impl<T> Clone for User<T> {
    fn clone(&self) -> Self {
        Self { identity: Arc::clone(&self.identity), data: Arc::clone(&self.data) }
    }
}

impl<T> Deref for User<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.data
    }
}

/// Returns the access token of a request: that of the header `Authorization`, else, for a WebSocket
/// or Server-Sent Events, the parameter `access_token` of the query.
///
/// Browsers cannot set headers of these two, so SignalR clients send the token in the query. Any
/// other request with a token in its query has none: servers and proxies write queries to their logs.
///
/// # Examples
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use axum::http::Request;
/// use signalr::bearer_token;
///
/// let (parts, ()) =
///     Request::get("/chatHub").header("authorization", "Bearer secret").body(())?.into_parts();
/// assert_eq!(bearer_token(&parts).as_deref(), Some("secret"));
/// let request = Request::get("/chatHub?access_token=secret").header("upgrade", "websocket");
/// let (parts, ()) = request.body(())?.into_parts();
/// assert_eq!(bearer_token(&parts).as_deref(), Some("secret"));
/// let (parts, ()) = Request::post("/chatHub?access_token=secret").body(())?.into_parts();
/// assert_eq!(bearer_token(&parts), None);
/// # Ok(()) }
/// ```
#[must_use]
pub fn bearer_token(parts: &Parts) -> Option<String> {
    let header = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let from_header = header
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim().to_owned());
    let may_be_in_query = is_websocket(parts) || accepts_events(parts);
    let token = from_header.or_else(|| query(parts, "access_token").filter(|_| may_be_in_query));
    token.filter(|token| !token.is_empty())
}

/// The reason why an authenticator refuses a request.
///
/// # Examples
///
/// See [`User`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthError {
    /// The request has no valid credentials. The client receives status 401.
    Missing,
    /// The user may not connect. The client receives status 403.
    Denied,
}

/// A user whose data has any type.
#[derive(Clone)]
pub(crate) struct Authenticated {
    identity: Arc<Identity>,
    data: Arc<dyn Any + Send + Sync>,
}

impl Authenticated {
    pub(crate) fn id(&self) -> &Arc<str> {
        &self.identity.id
    }

    pub(crate) fn expires(&self) -> Option<SystemTime> {
        self.identity.expires
    }

    /// Returns the seconds until the user expires, as clients expect them.
    pub(crate) fn lifetime(&self) -> Option<i32> {
        let left = self.expires()?.duration_since(SystemTime::now()).unwrap_or_default();
        Some(i32::try_from(left.as_secs()).unwrap_or(i32::MAX))
    }

    /// Returns whether the id, the roles or the expiry differ. The application's own data cannot be
    /// compared.
    pub(crate) fn differs_from(&self, other: &Self) -> bool {
        self.identity != other.identity
    }

    pub(crate) fn has_role(&self, role: &str) -> bool {
        self.identity.has_role(role)
    }

    pub(crate) fn downcast<T: Send + Sync + 'static>(self) -> Option<User<T>> {
        Some(User { identity: self.identity, data: self.data.downcast().ok()? })
    }
}

impl<T: Send + Sync + 'static> From<User<T>> for Authenticated {
    fn from(User { identity, data }: User<T>) -> Self {
        Self { identity, data }
    }
}

impl fmt::Debug for Authenticated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authenticated").field("identity", &self.identity).finish_non_exhaustive()
    }
}

/// An application's function that finds the user of a request.
pub(crate) type Authenticator = dyn Fn(Parts) -> Authenticating + Send + Sync;
pub(crate) type Authenticating =
    Pin<Box<dyn Future<Output = Result<Option<Authenticated>, AuthError>> + Send>>;

/// Erases the type of the users' data.
pub(crate) fn authenticator<F, Fut, T>(find: F) -> Arc<Authenticator>
where
    F: Fn(Parts) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Option<User<T>>, AuthError>> + Send + 'static,
    T: Send + Sync + 'static,
{
    Arc::new(move |parts| {
        let user = find(parts);
        Box::pin(async move { Ok(user.await?.map(Authenticated::from)) })
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_lifetime_has_whole_seconds_within_31_bits() {
        let now = SystemTime::now();
        assert_eq!(lifetime(None), None);
        assert_eq!(lifetime(Some(now - Duration::from_secs(5))), Some(0));
        let hour = lifetime(Some(now + Duration::from_secs(3600))).unwrap();
        assert!((3540..=3600).contains(&hour), "{hour}");
        assert_eq!(lifetime(Some(now + Duration::from_secs(1 << 33))), Some(i32::MAX));
    }

    fn lifetime(expires: Option<SystemTime>) -> Option<i32> {
        let User { mut identity, data } = User::new("ann", ());
        Arc::make_mut(&mut identity).expires = expires;
        Authenticated { identity, data }.lifetime()
    }
}
