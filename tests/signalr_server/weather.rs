//! The hub and the page that the tests in pysignalr's source package use.

use axum::{Json, Router, http::StatusCode, routing};
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::Deserialize;
use serde_json::{Value, json};
use signalr::{Caller, Hub, HubError, Upload};

use crate::authorization;

/// Adds the methods of the hub.
pub(crate) fn weather_hub(hub: Hub) -> Hub {
    streams(groups(hub))
        .method("SendMessage", |caller: Caller, (user, message): (String, String)| async move {
            Ok(caller.clients().all().invoke(MESSAGE, (user, message)).await?)
        })
        .method("Echo", |_: Caller, (payload,): (String,)| async move { Ok(payload) })
        .method("Fail", |_: Caller, (reason,): (String,)| async move {
            Err::<(), _>(HubError::new(reason))
        })
        .method("TriggerResultRequired", |caller: Caller, message: (String, String)| async move {
            let client = || caller.clients().caller();
            let reply: String =
                client().invoke_with_result("ResultRequired", ("Reply this message",)).await?;
            if reply == "Reply message" {
                client().invoke("SuccessReceivedMessage", message).await?;
            }
            Ok(())
        })
}

fn groups(hub: Hub) -> Hub {
    hub.method("AddToGroup", |caller: Caller, (group,): (String,)| async move {
        caller.groups().add(&group).await?;
        let text = format!("{} has joined the group {group}.", caller.connection_id());
        Ok(caller.clients().group(group).invoke(MESSAGE, ("System", text)).await?)
    })
    .method(
        "SendMessageToGroup",
        |caller: Caller, (group, user, message): (String, String, String)| async move {
            Ok(caller.clients().group(group).invoke(MESSAGE, (user, message)).await?)
        },
    )
}

fn streams(hub: Hub) -> Hub {
    hub.stream("Countdown", |(count,): (u32,)| async move {
        Ok(stream::iter((1..=count).rev()).map(Ok::<_, HubError>))
    })
    .method("UploadStream", |caller: Caller, items: Upload<i64>, (): ()| async move {
        let sum = items.try_fold(0, |sum, item| async move { Ok(sum + item) }).await?;
        Ok(caller.clients().caller().invoke("UploadComplete", (sum,)).await?)
    })
}

/// The method of clients that receives messages.
const MESSAGE: &str = "ReceiveMessage";

/// Returns the page that gives a token to the user with the right password.
pub(crate) fn login() -> Router {
    Router::new().route("/api/auth/login", routing::post(log_in))
}

#[derive(Debug, Deserialize)]
struct Login {
    username: String,
    password: String,
}

async fn log_in(Json(login): Json<Login>) -> Result<Json<Value>, StatusCode> {
    match (&*login.username, &*login.password) {
        ("test", "password") => Ok(Json(json!({ "token": authorization::token().await }))),
        _ => Err(StatusCode::UNAUTHORIZED),
    }
}
