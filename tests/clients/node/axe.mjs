// Looks for faults of a page that exclude users: with axe-core, and pages that are wider than the screen.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/**
 * Returns a line for each fault of a page on its screen. The directory of the environment variable SCREENSHOTS gets a
 * screenshot with this name.
 */
export async function faults(page, name) {
  // A part that fades in has little contrast for a moment. Some animations have no end.
  await page.evaluate(() => {
    const passing = document.getAnimations().filter(({ effect }) => Number.isFinite(effect.getComputedTiming().endTime));
    return Promise.all(passing.map(({ finished }) => finished.catch(() => {})));
  });
  if (process.env.SCREENSHOTS) await page.screenshot({ path: `${process.env.SCREENSHOTS}/${name}.png` });
  // A script element would need the permission of the page's policy.
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => axe.run());
  const found = violations.map(({ id, impact, nodes }) => {
    return `${name}: ${impact} ${id} at ${nodes.map(({ target }) => target).join(" ")}`;
  });
  const { width } = page.viewportSize();
  const used = await page.evaluate(() => document.documentElement.scrollWidth);
  return used > width ? [...found, `${name}: ${used} pixels wide`] : found;
}
