//! Users by JSON Web Tokens, with the feature `jwt`.

use std::{
    collections::HashSet,
    future::{Ready, ready},
    marker::PhantomData,
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use axum::http::request::Parts;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value};
use tracing::debug;

use crate::user::{AuthError, User, bearer_token};

pub use jsonwebtoken::{Algorithm, DecodingKey, Validation};

/// Returns an authenticator that accepts signed access tokens.
///
/// It takes the token that [`bearer_token`] finds, and checks its signature and its claims as
/// `validation` demands. The user's id is the claim `sub`, its roles are those of `roles` or `role`, and
/// it expires at `exp`. `T` is the application's own choice of claims, read by serde.
///
/// A request without a valid token gets status 401. A valid token with claims that are no `T` belongs to
/// a user that may not use the hub, so the request gets status 403.
///
/// # Examples
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hub/server.rs"));
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use signalr::{
///     Hub, User,
///     jwt::{Algorithm, DecodingKey, Validation, bearer},
/// };
///
/// #[derive(serde::Deserialize)]
/// struct Claims {
///     name: String,
/// }
///
/// let key = DecodingKey::from_secret(b"at least 32 bytes, from your settings")?;
/// let mut validation = Validation::new(Algorithm::HS256);
/// validation.set_issuer(&["https://login.example.com"]);
/// validation.set_audience(&["chat"]);
/// # let backplane = backplane();
/// let hub = Hub::new("ChatHub", backplane.clone())
///     .authenticate(bearer::<Claims>(key, validation))
///     .method("Greet", |user: User<Claims>, ()| async move { Ok(format!("hello {}", user.name)) });
/// # let server = TestServer::serve(hub, backplane);
/// # assert_eq!(server.open("", &[]).await.err().unwrap().status(), StatusCode::UNAUTHORIZED);
/// # let claims = json!({"sub": "1", "name": "Ann", "iss": "https://login.example.com", "aud": "chat", "exp": u32::MAX});
/// # let key = jsonwebtoken::EncodingKey::from_secret(b"at least 32 bytes, from your settings")?;
/// # let token = jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key)?;
/// # let mut client = server.connect_with(&[("authorization", &format!("Bearer {token}"))]).await;
/// # assert_eq!(client.call("Greet", json!([])).await["result"], "hello Ann");
/// # Ok(()) }
/// ```
pub fn bearer<T>(
    key: DecodingKey,
    validation: Validation,
) -> impl Fn(Parts) -> Ready<Result<Option<User<T>>, AuthError>> + Send + Sync + 'static
where
    T: DeserializeOwned + Send + Sync + 'static,
{
    let verifier = Arc::new(Verifier { key, validation, claims: PhantomData });
    move |parts| ready(verifier.user(&parts).map(Some))
}

struct Verifier<T> {
    key: DecodingKey,
    validation: Validation,
    claims: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> Verifier<T> {
    fn user(&self, parts: &Parts) -> Result<User<T>, AuthError> {
        let token = bearer_token(parts).ok_or(AuthError::Missing)?;
        let claims =
            jsonwebtoken::decode::<Map<String, Value>>(&token, &self.key, &self.validation)
                .map_err(|error| {
                    debug!(%error, "refused an access token");
                    AuthError::Missing
                })?
                .claims;
        let registered = Registered::deserialize(Value::Object(claims.clone()));
        let registered = registered.map_err(|_| AuthError::Missing)?;
        let own = T::deserialize(Value::Object(claims)).map_err(|error| {
            debug!(%error, "an access token lacks claims");
            AuthError::Denied
        })?;
        let user = User::new(registered.sub, own);
        let roles = registered.roles.into_iter().chain(registered.role);
        let user = roles.flat_map(OneOrMore::into_set).fold(user, User::with_role);
        Ok(match registered.exp {
            Some(seconds) => user.with_expiry(UNIX_EPOCH + Duration::from_secs(seconds)),
            None => user,
        })
    }
}

/// The claims that every hub reads.
#[derive(Deserialize)]
struct Registered {
    sub: String,
    exp: Option<u64>,
    roles: Option<OneOrMore>,
    role: Option<OneOrMore>,
}

/// Some issuers write a single role as text.
#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(HashSet<String>),
}

impl OneOrMore {
    fn into_set(self) -> HashSet<String> {
        match self {
            Self::One(role) => HashSet::from([role]),
            Self::More(roles) => roles,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use axum::http::Request;
    use jsonwebtoken::{EncodingKey, Header, encode};
    use serde_json::json;

    use super::*;

    #[derive(Debug, Deserialize)]
    struct Claims {
        name: String,
    }

    #[tokio::test]
    async fn the_claims_of_a_token_make_a_user() {
        let claims =
            json!({"sub": "ann", "name": "Ann", "exp": LATE, "roles": ["a", "b"], "role": "c"});
        let user = ask(&signed(&claims, KEY)).await.unwrap();
        assert_eq!((user.id(), &*user.name), ("ann", "Ann"));
        assert!(["a", "b", "c"].iter().all(|role| user.has_role(role)) && !user.has_role("d"));
        assert_eq!(user.expires(), Some(UNIX_EPOCH + Duration::from_secs(LATE)));
    }

    #[tokio::test]
    async fn a_token_that_is_not_valid_is_missing() {
        let ann = json!({"sub": "ann", "name": "Ann", "exp": LATE});
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let expired = json!({"sub": "ann", "name": "Ann", "exp": now - 3600});
        let without_expiry = json!({"sub": "ann", "name": "Ann"});
        let without_subject = json!({"name": "Ann", "exp": LATE});
        let mut forged = signed(&ann, KEY);
        forged.insert(0, 'e');
        // {"alg":"none"}
        let unsigned = format!("eyJhbGciOiJub25lIn0.{}.", forged.split('.').nth(1).unwrap());
        for token in [
            String::new(),
            "x".to_owned(),
            forged,
            unsigned,
            signed(&ann, b"another key that has at least 32 bytes"),
            signed(&expired, KEY),
            signed(&without_expiry, KEY),
            signed(&without_subject, KEY),
        ] {
            assert_eq!(ask(&token).await.err(), Some(AuthError::Missing), "{token}");
        }
    }

    #[tokio::test]
    async fn a_token_without_the_claims_of_the_application_is_denied() {
        let claims = json!({"sub": "ann", "exp": LATE});
        assert_eq!(ask(&signed(&claims, KEY)).await.err(), Some(AuthError::Denied));
    }

    async fn ask(token: &str) -> Result<User<Claims>, AuthError> {
        let request = Request::get("/").header("authorization", format!("Bearer {token}"));
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let key = DecodingKey::from_secret(KEY).unwrap();
        let find = bearer::<Claims>(key, Validation::new(Algorithm::HS256));
        find(parts).await.map(Option::unwrap)
    }

    fn signed(claims: &Value, key: &[u8]) -> String {
        encode(&Header::default(), claims, &EncodingKey::from_secret(key).unwrap()).unwrap()
    }

    const KEY: &[u8] = b"a key of the issuer, of 32 bytes or more";
    const LATE: u64 = 4_102_444_800;
}
