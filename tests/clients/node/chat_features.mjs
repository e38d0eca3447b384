// Every feature of the chat in headless Chromium, over a load balancer without sticky sessions.
//
// usage: node chat_features.mjs PAGE
// prints {"servers": [text, text], "shown": {step: text or list}, "faults": [line, …]}

import { faults } from "./axe.mjs";
import { browse, join, messages, send, server } from "./chat_page.mjs";
import { report, run, until } from "./lib.mjs";

const SCREENS = { desktop: { width: 1280, height: 800 }, phone: { width: 360, height: 740 } };
const MARKUP = "<img src=x onerror=\"window.hacked = true\"><b>bold</b>";

await run("chat_features.mjs PAGE", async (page) => {
  await browse([page, page, page, page], async ([ann, bob, tab, carol]) => {
    const found = await inspect(ann, "welcome");
    await join(ann, "ann", "red");
    await onAnotherServer(bob, "bob", "red", ann);
    const servers = [await server(ann), await server(bob)];
    const shown = {};

    // People on both servers; several tabs of one person once.
    await until("both people", async () => (await people(ann)).length === 2);
    await join(tab, "ann", "red");
    await until("the other tab", async () => (await people(tab)).length === 2);
    await until("both people at bob", async () => (await people(bob)).length === 2);
    shown.people = [await people(ann), await people(bob)];

    await bob.locator("#message").pressSequentially("hel");
    await until("that bob types", async () => (await ann.textContent("#typing")).includes("bob is typing"));

    await bob.fill("#message", "hello from bob");
    await bob.press("#message", "Enter");
    for (const page of [ann, bob, tab]) await seen(page, "bob: hello from bob");
    await until("the confirmation", async () => (await statuses(bob)).at(-1) === "sent ✓");
    await until("that bob no longer types", async () => (await ann.textContent("#typing")) === "");
    await send(ann, "ann", MARKUP);
    await seen(bob, `ann: ${MARKUP}`);
    shown.hacked = await bob.evaluate(() => window.hacked ?? false);

    // The history reaches those who come later.
    await join(carol, "carol", "red");
    await seen(carol, `ann: ${MARKUP}`);
    shown.history = await messages(carol);
    await until("three people", async () => (await people(ann)).length === 3);

    // A private message reaches all tabs of one person.
    await bob.click("#people button[data-name=ann]");
    await send(bob, "bob", "for ann only");
    for (const page of [ann, tab]) {
      await until("an unread message", async () => (await unread(page, "bob")) === "1");
      await page.click("#conversations button.open[data-name=bob]");
      await seen(page, "bob: for ann only");
    }
    await send(ann, "ann", "answer");
    await seen(bob, "ann: answer");
    await seen(tab, "ann: answer");
    shown.private = await messages(tab);
    shown.conversations = await conversations(carol);

    // A second room, and the messages for everyone.
    await ann.fill("#new-room", "blue");
    await ann.press("#new-room", "Enter");
    await until("the new room", async () => (await ann.textContent("#title")) === "blue");
    await send(ann, "ann", "alone here");
    await seen(ann, "ann: alone here");
    await ann.click("#conversations button.open[data-name=Everyone]");
    await send(ann, "ann", "to everyone");
    await until("the message to everyone", async () => (await unread(carol, "Everyone")) === "1");
    await ann.click("button[aria-label='Leave blue']");
    shown.left = await conversations(ann);

    // The limit of messages, and another try.
    await carol.evaluate(sendQuickly, 20);
    await until("the limit", async () => (await statuses(carol)).includes("not sent"));
    found.push(...(await faults(carol, "refused")));
    shown.refused = await carol.locator(".message[data-state=failed] .reason").first().textContent();
    await until("another try", async () => {
      await carol.locator("[data-state=failed] button.again").first().click({ timeout: 1_000 }).catch(() => {});
      return (await statuses(carol)).every((status) => !["not sent", "sending"].includes(status));
    });
    for (const page of [ann, bob]) await page.click("#conversations button.open[data-name=red]");
    for (const page of [ann, bob, carol]) await seen(page, "carol: quick 19");
    shown.last = [await messages(ann), await messages(bob), await messages(carol)];

    // The keyboard alone.
    await carol.focus("#leave");
    await carol.keyboard.press("Enter");
    await until("the form to join", () => carol.isVisible("#start"));
    await until("that carol has left", async () => (await people(ann)).length === 2);
    await carol.keyboard.type("dora");
    await carol.keyboard.press("Enter");
    await until("the new name", async () => (await carol.textContent("#me")) === "dora");

    found.push(...(await inspect(bob, "chat")));
    report({ servers, shown, faults: found });
  });
});

/** Joins until the balancer has chosen another server than that of a page. */
async function onAnotherServer(page, name, room, other) {
  await until("the server", async () => (await server(other)).includes(":"));
  for (let attempt = 0; attempt < 20; attempt++) {
    await join(page, name, room);
    await until("the server", async () => (await server(page)).includes(":"));
    if ((await server(page)) !== (await server(other))) return;
    await page.click("#leave");
  }
  throw new Error("the balancer chose the same server each time");
}

/** Returns the faults of a page on all screens. */
async function inspect(page, name) {
  const found = [];
  for (const [screen, size] of Object.entries(SCREENS)) {
    for (const colorScheme of ["light", "dark"]) {
      await page.setViewportSize(size);
      await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
      for (const panel of screen === "phone" && name === "chat" ? ["closed", "open"] : [""]) {
        if (panel === "open") await page.click("#more");
        const view = [name, screen, colorScheme, panel].filter(Boolean).join("-");
        found.push(...(await faults(page, view)));
        if (panel === "open") await page.click("#more");
      }
    }
  }
  await page.setViewportSize(SCREENS.desktop);
  return found;
}

/** Runs in the page: sends messages faster than a driver can. */
function sendQuickly(count) {
  for (let number = 0; number < count; number++) {
    document.getElementById("message").value = `quick ${number}`;
    document.getElementById("compose").requestSubmit();
  }
}

function seen(page, message) {
  return until(`"${message}" at ${page.url()}`, async () => (await messages(page)).includes(message));
}

function people(page) {
  return page.locator("#people button").evaluateAll((buttons) => buttons.map(({ dataset }) => dataset.name));
}

function statuses(page) {
  return page.locator("#messages .status").allTextContents();
}

function conversations(page) {
  return page.locator("#conversations button.open").evaluateAll((buttons) => buttons.map(({ dataset }) => dataset.name));
}

async function unread(page, name) {
  const badge = page.locator(`#conversations button.open[data-name=${name}] .unread`);
  return (await badge.count()) ? badge.textContent() : "";
}
