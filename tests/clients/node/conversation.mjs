// The order of the messages in a conversation of the chat's page, without a browser.
//
// usage: node conversation.mjs
// prints "ok"

import { readFileSync } from "node:fs";
import { equal } from "./expect.mjs";

const source = readFileSync(new URL("../../../chat-demo/page/conversation.js", import.meta.url), "utf8");
const { Conversation } = await import(`data:text/javascript,${encodeURIComponent(source)}`);

const room = new Conversation("room", "red");
room.entering();
room.receive("bob", "2", false);
room.entered(history("ann 1", "bob 2"), "ann");
check("a message in the history and of the new connection comes once", "ann 1 received", "bob 2 received");

const own = composed("3", "sending");
room.receive("bob", "4", false);
check("an own message waits", "ann 1 received", "bob 2 received", "bob 4 received", "ann 3 sending");
room.receive("ann", "3", true);
room.receive("bob", "5", false);
room.confirm(own);
const known = ["ann 1 received", "bob 2 received", "bob 4 received", "ann 3 sent", "bob 5 received"];
check("it has the place that the hub gave it", ...known);

composed("6", "waiting");
composed("7", "waiting");
room.entering();
room.receive("bob", "9", false);
room.entered(history("bob 4", "ann 3", "bob 5", "ann 6", "bob 8", "bob 9"), "ann");
const since = ["ann 6 sent", "bob 8 received", "bob 9 received"];
check("what arrived before the loss is sent, and the rest waits", ...known, ...since, "ann 7 waiting");

room.outgoing[0].isUnknown = true;
room.entering();
room.entered(history(...Array.from({ length: 50 }, (_, number) => `eve ${number}`)), "ann");
equal(room.messages.filter(({ isAfterGap }) => isAfterGap).map(({ text }) => text), ["0"]);
equal(room.outgoing.map(({ state }) => state), ["failed"]);
console.log("ok");

function history(...messages) {
  return messages.map((message) => {
    const [by, text] = message.split(" ");
    return { by, text, at: 0 };
  });
}

function composed(text, state) {
  const message = room.compose("ann", text);
  message.state = state;
  return message;
}

function check(claim, ...expected) {
  const found = room.shown.map(({ by, text, state }) => `${by} ${text} ${state}`);
  if (found.join() !== expected.join()) throw new Error(`${claim}: ${found.join()}`);
}
