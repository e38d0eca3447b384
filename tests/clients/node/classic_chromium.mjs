// Goes through the behaviours of SignalR 2's JavaScript client in headless Chromium, with jQuery 3.
//
// usage: node classic_chromium.mjs URL
// Prints one line of JSON for each step, then "ok". Ends with exit code 1 if a step has failed.

import { withScripts } from "./scripts_page.mjs";
import { end, print } from "./signalr_steps.mjs";

const [url] = process.argv.slice(2);
const TRANSPORTS = ["webSockets", "serverSentEvents", "longPolling"];
const PACKAGES = ["jquery/dist/jquery.js", "signalr/jquery.signalR.js"];

let passed = true;
await withScripts(`${url}/generateJwtToken`, PACKAGES, async (page) => {
  await page.exposeFunction("report", (outcome) => { passed = print(outcome) && passed; });
  await page.addScriptTag({ url: "/signalr/hubs" });
  await page.evaluate(async () => {
    window.suite = await import("/scripts/classic_behaviours.mjs");
    window.steps = await import("/scripts/signalr_steps.mjs");
  });
  await page.unrouteAll();
  // Most of the time, these clients wait before they reconnect.
  await Promise.all(TRANSPORTS.map((transport) => page.evaluate(goThroughTransport, transport)));
  await page.evaluate(goThroughFallback);
});
end(passed);

/** Runs in the page. */
async function goThroughTransport(transport) {
  await steps.eachOutcome(suite.behaviours(transport), (outcome) => {
    report({ ...outcome, step: `${transport}: ${outcome.step}` });
  });
}

/** Runs in the page. */
async function goThroughFallback() {
  await steps.eachOutcome({ "a client without WebSockets takes events, and greets once": suite.fallback }, report);
}
