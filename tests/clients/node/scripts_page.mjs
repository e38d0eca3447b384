// Pages of headless Chromium that load scripts of this folder and of installed packages.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { browse } from "./chat_page.mjs";

const require = createRequire(import.meta.url);

/**
 * Opens this page of a server, and adds scripts of packages, such as "jquery/dist/jquery.js". Until `use` removes the
 * route, the page can import the scripts of this folder from "/scripts/".
 */
export async function withScripts(address, packages, use) {
  await browse([address], async ([page]) => {
    await page.route("**/scripts/*", (route) => route.fulfill(file(route.request().url())));
    for (const script of packages) await page.addScriptTag({ path: require.resolve(script) });
    await use(page);
  });
}

/** Returns the text of a script of an installed package. */
export function script(name) {
  return readFileSync(require.resolve(name), "utf8");
}

function file(address) {
  const name = new URL(address).pathname.split("/").at(-1);
  return { contentType: "text/javascript", body: readFileSync(new URL(name, import.meta.url), "utf8") };
}
