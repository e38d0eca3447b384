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

/** Sends a message under a name. */
export async function send(page, name, message) {
  await page.fill("#name", name);
  await page.fill("#message", message);
  await page.click("#send");
}

/** Returns the text of each message in the list. */
export function messages(page) {
  return page.locator("#messages > *").allTextContents();
}
