//! Serves `hubs` and `js`: the script that gives a page one proxy for each hub.
//!
//! A page loads it after `jquery.signalR`. It then finds a hub as `$.connection.chatHub`, with its
//! callbacks in `client` and the hub's methods in `server`.

use axum::{body::Body, response::Response};
use serde_json::json;

use super::{calls, reply, request::ClassicRequest, service::Service};

/// Serves the script.
pub(super) fn script(service: &Service, request: &ClassicRequest) -> Response {
    let path = request.path();
    let url = path.trim_end_matches('/').rsplit_once('/').map_or("", |(url, _)| url);
    let mut hubs: Vec<(&str, Vec<&str>)> = service
        .hubs()
        .iter()
        .map(|hub| {
            let mut methods: Vec<_> = calls::method_names(hub).iter().map(String::as_str).collect();
            methods.sort_unstable_by_key(|name| name.to_lowercase());
            (hub.name(), methods)
        })
        .collect();
    hubs.sort_unstable_by_key(|(name, _)| name.to_lowercase());
    reply::body(reply::SCRIPT, Body::from(write(url, &hubs)))
}

/// Writes the script for hubs and their methods.
fn write(url: &str, hubs: &[(&str, Vec<&str>)]) -> String {
    let mut proxies = String::new();
    for (hub, methods) in hubs {
        let methods: Vec<_> = methods
            .iter()
            .map(|method| format!("{}: {}", literal(&camel_case(method)), literal(method)))
            .collect();
        let (name, methods) = (literal(&camel_case(hub)), methods.join(", "));
        proxies.push_str(&format!("    addProxy(this, proxies, {name}, {{ {methods} }});\n"));
    }
    TEMPLATE.replace("URL", &literal(url)).replace("    PROXIES\n", &proxies)
}

/// Lowers the first letter, as clients in JavaScript expect it.
fn camel_case(name: &str) -> String {
    let mut characters = name.chars();
    let first = characters.next().map(char::to_lowercase);
    first.into_iter().flatten().chain(characters).collect()
}

/// Writes a text for JavaScript, also for a script within a page.
fn literal(text: &str) -> String {
    let json = json!(text).to_string();
    json.replace('<', "\\u003c").replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029")
}

const TEMPLATE: &str = r#"// The hubs of this server, for jquery.signalR.
(function ($) {
  "use strict";

  if (!$ || typeof $.hubConnection !== "function") {
    throw new Error("load jquery.signalR before this script");
  }

  // Passes every function in the `client` objects to `act`: "on" or "off".
  function eachCallback(proxies, act) {
    Object.keys(proxies).forEach(function (hub) {
      var proxy = proxies[hub];
      Object.keys(proxy.client).forEach(function (name) {
        var callback = proxy.client[name];
        if (typeof callback === "function") {
          proxy[act](name, function () { callback.apply(proxy, arguments); }, callback);
        }
      });
    });
  }

  function addProxy(connection, proxies, name, methods) {
    var proxy = connection.createHubProxy(name);
    proxy.client = {};
    proxy.server = {};
    Object.keys(methods).forEach(function (method) {
      proxy.server[method] = function () {
        return proxy.invoke.apply(proxy, [methods[method]].concat(Array.prototype.slice.call(arguments)));
      };
    });
    proxies[name] = proxy;
  }

  $.hubConnection.prototype.createHubProxies = function () {
    var proxies = {};
    this.starting(function () {
      // A hub without callbacks is called, but not subscribed to.
      eachCallback(proxies, "on");
      this._registerSubscribedHubs();
    }).disconnected(function () {
      eachCallback(proxies, "off");
    });
    PROXIES
    return proxies;
  };

  $.signalR.hub = $.hubConnection(URL, { useDefaultPath: false });
  $.extend($.signalR, $.signalR.hub.createHubProxies());
}(window.jQuery));
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_camel_cased_and_calls_keep_them() {
        let script = write("/signalr", &[("ChatHub", vec!["JoinRoom", "send"]), ("stock", vec![])]);
        let chat =
            r#"addProxy(this, proxies, "chatHub", { "joinRoom": "JoinRoom", "send": "send" });"#;
        assert!(script.contains(chat), "{script}");
        assert!(script.contains(r#"addProxy(this, proxies, "stock", {  });"#), "{script}");
        assert!(script.contains(r#"$.hubConnection("/signalr", { useDefaultPath: false });"#));
    }

    #[test]
    fn a_text_ends_neither_its_literal_nor_the_script() {
        assert_eq!(literal("a\"</script>\u{2028}"), "\"a\\\"\\u003c/script>\\u2028\"");
        assert_eq!(camel_case("Éa"), "éa");
        assert_eq!(camel_case(""), "");
    }
}
