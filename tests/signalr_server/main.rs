//! A server with the hubs that the tests of SignalR clients call.
//!
//! It has the hubs and pages that the functional tests of ASP.NET Core's JavaScript client expect,
//! so that these tests can run against it. Errors have the names of .NET's, since those tests
//! compare them.
//!
//! It prints `ready URL` when it accepts connections.

mod authorization;
mod classic;
mod hubs;
mod pages;
mod weather;

use std::time::Duration;

use axum::{Router, middleware};
use backplane::Backplane;
use broker::Broker;
use signalr::{Classic, Hub, Options, TransportKind};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let port = std::env::args().nth(1).unwrap_or_else(|| "0".into());
    let listener = TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    println!("ready http://{}", listener.local_addr()?);
    axum::serve(listener, app()).await
}

fn app() -> Router {
    let backplane = Backplane::embedded(&Broker::new(), "ClientTests");
    let hub = |name| Hub::new(name, backplane.clone()).with_options(options());
    let mut without_web_sockets = options();
    without_web_sockets.transports.retain(|kind| *kind != TransportKind::WebSockets);
    let other = hub("OtherTestHub").with_options(without_web_sockets);
    let test_hub = classic::test_hub(hubs::test_hub(hub("TestHub")));
    let greeting_hub = classic::greeting_hub(hub("GreetingHub"));
    let app = pages::router(test_hub.clone())
        .merge(hubs::test_hub(other).router("/testhub-nowebsockets"))
        .merge(Classic::new().hub(&test_hub).hub(&greeting_hub).router("/signalr"))
        .merge(weather::weather_hub(hub("WeatherHub")).router("/weatherHub"))
        .merge(weather::login())
        .merge(hubs::uncreatable(hub("UncreatableHub")).router("/uncreatable"))
        .merge(hubs::authorized(hub("HubWithAuthorization")).router("/authorizedhub"));
    // Redirected clients write the path in another case.
    test_hub.mount(app, "/testhub").layer(middleware::from_fn(pages::set_cookies))
}

fn options() -> Options {
    let mut options = Options::default();
    options.detailed_errors = true;
    // At its end, signalrcore waits for the next message.
    options.keep_alive = Duration::from_secs(1);
    options
}
