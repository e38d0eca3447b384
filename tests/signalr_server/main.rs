//! A server with the hubs that the tests of SignalR clients call.
//!
//! It has the hubs and pages that the functional tests of ASP.NET Core's JavaScript client expect,
//! so that these tests can run against it. Errors have the names of .NET's, since those tests
//! compare them.
//!
//! usage: signalr-server [PORT [CERTIFICATE]]
//!
//! With a second argument it serves https, and writes its certificate to that file. It prints
//! `ready URL` when it accepts connections.

mod authorization;
mod classic;
mod hubs;
mod pages;
mod tls;
mod weather;

use std::{env, error::Error, future, path::Path, time::Duration};

use axum::{Router, middleware};
use backplane::Backplane;
use broker::Broker;
use signalr::{Classic, Hub, Options, TransportKind};
use tokio::net::TcpListener;

use crate::tls::TlsListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (port, certificate) = (env::args().nth(1), env::args().nth(2));
    let port = port.as_deref().unwrap_or("0");
    let listener = TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    let address = listener.local_addr()?;
    match certificate {
        Some(certificate) => {
            let listener = TlsListener::new(listener, Path::new(&certificate))?;
            println!("ready https://{address}");
            signalr::serve(listener, app(), future::pending()).await;
        }
        None => {
            println!("ready http://{address}");
            signalr::serve(listener, app(), future::pending()).await;
        }
    }
    Ok(())
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
        .merge(test_hub.raw_router("/echo", hubs::echo))
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
