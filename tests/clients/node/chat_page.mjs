// The chat's page as a user operates it, by the ids of its elements.

import { chromium } from "playwright-core";
import { until } from "./lib.mjs";

const FLAGS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/**
 * Opens each address in its own page, and always closes the browser at the end.
 * An error in the script of a page is a failure.
 */
export async function browse(addresses, use) {
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: FLAGS,
    timeout: 60_000,
  });
  let fail;
  const failed = new Promise((_, reject) => (fail = reject));
  // Awaited below. Without a handler until then, a rejection would end the process.
  failed.catch(() => {});
  try {
    const pages = [];
    for (const address of addresses) {
      // Pages of one context share storage, but two users do not.
      const context = await browser.newContext();
      const page = await context.newPage();
      page.setDefaultTimeout(60_000);
      page.on("pageerror", (error) => fail(new Error(`${error} in the script of ${address}`)));
      await page.goto(address);
      pages.push(page);
    }
    await Promise.race([use(pages), failed]);
  } finally {
    await browser.close();
  }
}

/** Waits until the page shows that it is connected. */
export async function connected(page) {
  await until(`connected on ${page.url()}`, async () =>
    /^\W*connected/i.test((await page.textContent("#state")) ?? ""),
  );
}

/** Joins the chat under a name, and enters a room if one is given. */
export async function join(page, name, room = "") {
  await page.fill("#name", name);
  await page.fill("#room", room);
  await page.click("#start");
  await connected(page);
}

/** Sends a message under a name. The page for SignalR 2 has both fields, the other one asks for the name first. */
export async function send(page, name, message) {
  if (await page.isVisible("#start")) await join(page, name);
  if (await page.isVisible("#name")) await page.fill("#name", name);
  await page.fill("#message", message);
  await page.click("#send");
}

/** Returns the name and the text of each message in the list. */
export function messages(page) {
  return page.locator("#messages > *").evaluateAll((items) =>
    items.map((item) => `${item.querySelector(".name").textContent}: ${item.querySelector(".text").textContent}`),
  );
}

/** Returns the server that the page shows. */
export function server(page) {
  return page.textContent("#server");
}
