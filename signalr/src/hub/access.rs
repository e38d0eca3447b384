//! The users of a hub, their renewal, and other servers for them.

use std::sync::Arc;

use axum::http::request::Parts;

use super::Hub;
use crate::{
    connection_info::FirstRequest,
    handler::{self, Hook},
    peer::Visitor,
    redirect::Redirect,
    user::{self, AuthError, Authenticated, User},
};

impl Hub {
    /// Sets the function that finds the user of a connection in the request that opens its
    /// transport.
    ///
    /// Without it, connections have no user. A later request of the same connection, such as a POST
    /// or a long poll, must have the same user, or is refused with status 403.
    ///
    /// # Examples
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hub/server.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use axum::http::{Extensions, request::Parts};
    /// use signalr::{Caller, Hub};
    ///
    /// fn user_of(request: &Parts) -> Option<String> {
    ///     // Set by a proxy that has checked the password.
    ///     Some(request.headers.get("x-user")?.to_str().ok()?.to_owned())
    /// }
    ///
    /// # let backplane = backplane();
    /// let hub = Hub::new("ChatHub", backplane.clone())
    ///     .user_id(user_of)
    ///     .method("Me", |caller: Caller, ()| async move { Ok(caller.user().map(str::to_owned)) });
    /// # let server = TestServer::serve(hub, backplane);
    /// # let mut client = server.connect_with(&[("x-user", "ann")]).await;
    /// # assert_eq!(client.call("Me", json!([])).await, json!({"result": "ann"}));
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn user_id(
        mut self,
        user_id: impl Fn(&Parts) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        self.user_id = Some(Arc::new(user_id));
        self
    }

    /// Sets how the user of a request is found. It replaces [`user_id`](Self::user_id).
    ///
    /// The function runs for each HTTP request of a client. If it returns an error, the request is
    /// refused with status 401 or 403. A later request of a connection with another user is
    /// refused with status 403.
    ///
    /// # Examples
    ///
    /// See [`User`](crate::User).
    #[must_use]
    pub fn authenticate<F, Fut, T>(mut self, find: F) -> Self
    where
        F: Fn(Parts) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Option<User<T>>, AuthError>> + Send + 'static,
        T: Send + Sync + 'static,
    {
        self.authenticator = Some(user::authenticator(find));
        self
    }

    /// Sets the hook that runs after a client has renewed its user, see
    /// [`Options::auth_refresh`](crate::Options::auth_refresh).
    ///
    /// Like a method, it waits for the end of running calls. Calls that follow have the new user.
    ///
    /// # Examples
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hub/server.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use signalr::{Caller, Hub, Options, User};
    ///
    /// let mut options = Options::default();
    /// options.auth_refresh = true;
    /// # let backplane = backplane();
    /// let hub = Hub::new("ChatHub", backplane.clone())
    ///     .with_options(options)
    ///     .authenticate(|parts| async move {
    ///         let color = parts.headers["x-color"].to_str().unwrap_or_default().to_owned();
    ///         Ok(Some(User::new("ann", color)))
    ///     })
    ///     .on_refreshed(|caller: Caller, user: User<String>| async move {
    ///         let _ = caller.clients().caller().invoke("color", (&**user,)).await;
    ///     });
    /// # let server = TestServer::serve(hub, backplane);
    /// # let negotiate = Request::post("/hub/negotiate?negotiateVersion=1").header("x-color", "red");
    /// # let (_, _, body) = server.request(negotiate).await;
    /// # let body: Value = serde_json::from_str(&body)?;
    /// # let token = body["connectionToken"].as_str().unwrap();
    /// # let mut client = server.open(&format!("?id={token}"), &[("x-color", "red")]).await.unwrap();
    /// # client.handshake().await;
    /// # let refresh = Request::post(format!("/hub/refresh?id={token}")).header("x-color", "blue");
    /// # assert_eq!(server.request(refresh).await.0, StatusCode::OK);
    /// # assert_eq!(client.receive().await["arguments"], json!(["blue"]));
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn on_refreshed<M, H>(mut self, hook: H) -> Self
    where
        H: Hook<M, Output = ()>,
    {
        self.keeps_requests |= H::NEEDS_REQUEST;
        self.on_refreshed = Some(handler::hook(hook));
        self
    }

    /// Sets the function that sends negotiating clients to another server.
    ///
    /// The client negotiates again at the address of the [`Redirect`]. If the function returns
    /// `None`, this server keeps the client. The authenticator runs before it.
    ///
    /// # Examples
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hub/server.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use signalr::{Hub, Redirect};
    ///
    /// # let backplane = backplane();
    /// let hub = Hub::new("ChatHub", backplane.clone()).redirect(|_| {
    ///     Some(Redirect::new("https://chat2.example.com/chatHub").with_access_token("a ticket"))
    /// });
    /// # let server = TestServer::serve(hub, backplane);
    /// # let to = json!({"url": "https://chat2.example.com/chatHub", "accessToken": "a ticket"});
    /// # assert_eq!(server.negotiate().await, to);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn redirect(
        mut self,
        redirect: impl Fn(&Parts) -> Option<Redirect> + Send + Sync + 'static,
    ) -> Self {
        self.redirect = Some(Arc::new(redirect));
        self
    }

    /// Returns the server that a negotiation is sent to, if it is another one.
    pub(crate) fn redirected(&self, parts: &Parts) -> Option<Redirect> {
        self.redirect.as_ref()?(parts)
    }

    /// Returns the visitor that sent a request, after the authenticator has approved it.
    pub(crate) fn visitor(&self, parts: &Parts) -> Visitor {
        let user = parts.extensions.get::<Authenticated>().cloned();
        let user_id = match &user {
            Some(user) => Some(Arc::clone(user.id())),
            None => self.user_id.as_ref().and_then(|user_id| user_id(parts)).map(Into::into),
        };
        let request = self.keeps_requests.then(|| Arc::new(FirstRequest::new(parts)));
        Visitor { user_id, user, request, resumption: None }
    }
}
