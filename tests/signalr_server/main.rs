//! A server with the hubs that the tests of SignalR clients call.
//!
//! It has the hubs and pages that the functional tests of ASP.NET Core's JavaScript client expect,
//! so that these tests can run against it. Errors have the names of .NET's, since those tests
//! compare them.
//!
//! usage: `signalr-server [PORT [CERTIFICATE]]`
//!        signalr-server --broker URL
//!
//! With a second argument it serves https, and writes its certificate to that file. It prints
//! `ready URL` when it accepts connections.
//!
//! With a broker it is one of several servers of an app; `/servers` has their number. It closes each connection after its response,
//! so a load balancer may send each request of a client to another server.

mod authorization;
mod classic;
mod hubs;
mod pages;
mod sequences;
mod tls;
mod weather;

use std::{env, error::Error, future, io, path::Path, time::Duration};

use axum::{
    Router,
    http::{HeaderValue, header::CONNECTION},
    middleware,
    response::Response,
    routing,
};
use backplane::Backplane;
use broker::Broker;
use signalr::{Classic, Hub, Options, TransportKind};
use tokio::net::TcpListener;

use crate::tls::TlsListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["--broker", url] => {
            let builder = Backplane::builder(APP).server_channel(true);
            let backplane = builder.connect(url).await?;
            let app = app(&backplane);
            let servers = async move || backplane.servers().len().to_string();
            let app = app
                .route("/servers", routing::get(servers))
                .layer(middleware::map_response(close_connection));
            serve(listen("0").await?, app).await?;
        }
        [port, certificate] => {
            let listener = listen(port).await?;
            let address = listener.local_addr()?;
            let listener = TlsListener::new(listener, Path::new(certificate))?;
            println!("ready https://{address}");
            signalr::serve(listener, app(&alone()), future::pending()).await;
        }
        _ => {
            let port = arguments.first().copied().unwrap_or("0");
            serve(listen(port).await?, app(&alone())).await?;
        }
    }
    Ok(())
}

/// Returns a backplane with a broker of its own.
fn alone() -> Backplane {
    Backplane::embedded(&Broker::new(), APP)
}

async fn listen(port: &str) -> io::Result<TcpListener> {
    TcpListener::bind(format!("127.0.0.1:{port}")).await
}

async fn serve(listener: TcpListener, app: Router) -> io::Result<()> {
    println!("ready http://{}", listener.local_addr()?);
    signalr::serve(listener, app, future::pending()).await;
    Ok(())
}

/// Lets a client use its connection for one request. A WebSocket needs its own header.
async fn close_connection(mut response: Response) -> Response {
    let close = HeaderValue::from_static("close");
    response.headers_mut().entry(CONNECTION).or_insert(close);
    response
}

fn app(backplane: &Backplane) -> Router {
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
        .merge(sequences::sequences(hub("SequenceHub")).router("/sequences"))
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

/// The name of the app on its broker.
const APP: &str = "ClientTests";
