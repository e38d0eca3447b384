// Goes through the behaviours of ASP.NET Core's JavaScript client in Node.js.
//
// usage: node signalr_suite.mjs URL TRANSPORT ENCODING
// Prints one line of JSON for each step, then "ok". Ends with exit code 1 if a step has failed.

import * as signalR from "@microsoft/signalr";
import { MessagePackHubProtocol } from "@microsoft/signalr-protocol-msgpack";
import { behaviours } from "./signalr_behaviours.mjs";
import { goThrough } from "./signalr_steps.mjs";

const [url, transport, encoding] = process.argv.slice(2);

await goThrough(behaviours({ signalR, MessagePackHubProtocol, url, transport, encoding }));
