// Goes through the behaviours of ASP.NET Core's JavaScript client in headless Chromium, and in a worker there.
//
// usage: node signalr_chromium.mjs URL
// Prints one line of JSON for each step, then "ok". Ends with exit code 1 if a step has failed.

import { script, withScripts } from "./scripts_page.mjs";
import { end, print } from "./signalr_steps.mjs";

const [url] = process.argv.slice(2);

/** Transport, encoding and the kind of HTTP client. */
const ROWS = [
  ["WebSockets", "json", "fetch"],
  ["WebSockets", "messagepack", "fetch"],
  ["ServerSentEvents", "json", "fetch"],
  ["LongPolling", "json", "fetch"],
  ["LongPolling", "messagepack", "fetch"],
  ["LongPolling", "messagepack", "XMLHttpRequest"],
];
const PACKAGES = [
  "@microsoft/signalr/dist/browser/signalr.js",
  "@microsoft/signalr-protocol-msgpack/dist/browser/signalr-protocol-msgpack.js",
];

let passed = true;
await withScripts(`${url}/generateJwtToken`, PACKAGES, async (page) => {
  await page.exposeFunction("report", (outcome) => { passed = print(outcome) && passed; });
  await page.evaluate(async () => {
    window.suite = await import("/scripts/signalr_behaviours.mjs");
    window.steps = await import("/scripts/signalr_steps.mjs");
  });
  await page.unrouteAll();
  for (const row of ROWS) await page.evaluate(goThroughRow, { url, row });
  await page.evaluate(goThroughWorker, { url, library: script("@microsoft/signalr/dist/webworker/signalr.js") });
});
end(passed);

/** Runs in the page. Without `fetch`, the client takes XMLHttpRequest. */
async function goThroughRow({ url, row: [transport, encoding, httpClient] }) {
  const { fetch } = window;
  const MessagePackHubProtocol = signalR.protocols.msgpack.MessagePackHubProtocol;
  const all = suite.behaviours({ signalR, MessagePackHubProtocol, url, transport, encoding, fetch });
  if (httpClient !== "fetch") delete window.fetch;
  await steps.eachOutcome(all, (outcome) => {
    report({ ...outcome, step: `${transport}, ${encoding}, ${httpClient}: ${outcome.step}` });
  });
  window.fetch = fetch;
}

/** Runs in the page. The worker gets a message from the hub over each transport. */
async function goThroughWorker({ url, library }) {
  async function main(url, transport) {
    const hub = new signalR.HubConnectionBuilder()
      .withUrl(`${url}/testhub`, { transport: signalR.HttpTransportType[transport] })
      .configureLogging(signalR.LogLevel.None)
      .build();
    hub.on("message", (message) => { postMessage(message); });
    await hub.start();
    await hub.invoke("InvokeWithString", await hub.invoke("GetActiveTransportName"));
  }
  function received(transport) {
    const source = `${library}\n(${main})(${JSON.stringify(url)}, ${JSON.stringify(transport)});`;
    const worker = new Worker(URL.createObjectURL(new Blob([source], { type: "text/javascript" })));
    return new Promise((resolve, reject) => {
      worker.onmessage = ({ data }) => { resolve(data); };
      worker.onerror = ({ message }) => { reject(new Error(message)); };
    }).finally(() => worker.terminate());
  }
  const all = ["WebSockets", "ServerSentEvents", "LongPolling"].map((transport) => [
    `a worker receives a message over ${transport}`,
    async () => { if (await received(transport) !== transport) throw new Error(`not over ${transport}`); },
  ]);
  await steps.eachOutcome(Object.fromEntries(all), report);
}
