// A browser: Debian's chromium, driven through playwright-core.
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const places = [process.env.CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
const executablePath = places.find((p) => p && existsSync(p));

export async function startBrowser() {
  if (!executablePath) throw new Error("there is no chromium; install it (apt-get install chromium) or name one in CHROMIUM");
  return chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking"] });
}

/** A page whose errors a test can ask for: of scripts, of the console, of the policy. */
export async function openPage(browser, { width = 1440, height = 900, scheme = "light", ...more } = {}) {
  const context = await browser.newContext({ viewport: { width, height }, colorScheme: scheme, reducedMotion: "reduce", locale: "en-GB", timezoneId: "UTC", ...more });
  const page = await context.newPage();
  page.errors = [];
  page.on("pageerror", (e) => page.errors.push(String(e)));
  page.on("console", (m) => {
    // A refused request is the page's business; what it shows of it is tested.
    if (m.type() === "error" && !/status of 4\d\d|ERR_/.test(m.text())) page.errors.push(m.text());
  });
  return page;
}

/** Signs in with an API key. */
export async function signIn(page, server, path = "/") {
  await page.goto(`${server.url}/#${path}`);
  const field = page.getByLabel("API key");
  await page.getByRole("button", { name: "Use an API key instead" }).click();
  await field.fill(server.token);
  await page.getByRole("button", { name: "Sign in", exact: true }).click();
  await page.locator("#content").waitFor();
}

const axeSource = readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** What axe finds: WCAG A and AA, each with where. */
export async function axe(page) {
  await page.evaluate(await axeSource);
  const found = await page.evaluate(() => window.axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] }));
  return found.violations.flatMap((v) => v.nodes.map((n) => `${v.id}: ${n.target.join(" ")} – ${n.failureSummary?.split("\n").slice(1, 3).join(" ")}`));
}
