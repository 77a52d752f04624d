// Every screen, light and dark, at 1440 and 390: it shows, nothing breaks, nothing
// sticks out, and axe finds nothing. SHOTS=dir keeps a picture of each.
import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import path from "node:path";
import { after, before, test } from "node:test";
import { axe, openPage, signIn, startBrowser } from "./browser.mjs";
import { startServer } from "./server.mjs";
import { furnish } from "./world.mjs";

let server, world, browser;
before(async () => {
  [server, browser] = await Promise.all([startServer(), startBrowser()]);
  world = await furnish(server);
  if (process.env.SHOTS) await mkdir(process.env.SHOTS, { recursive: true });
});
after(async () => {
  await browser?.close();
  await server?.stop();
  await world?.stop();
});

const screens = (w) => ({
  overview: ["/", "Overview"],
  messages: ["/messages", "Messages"],
  "messages-filtered": ["/messages?state=pending&type=invoice.*", "Messages"],
  "messages-none": ["/messages?type=nothing.like.this", "Messages"],
  message: [`/messages/${w.message}`, "veriff.decision.approved"],
  subjects: ["/subjects", "Subjects"],
  subject: ["/subjects/vendor_data/customer-4711", "customer-4711"],
  rejected: ["/rejected", "Rejected requests"],
  "rejected-one": [`/rejected/${w.rejected}`, "The signature does not match"],
  sources: ["/sources", "Sources"],
  "source-new": ["/sources/new", "New source"],
  "source-new-secret": ["/sources/new?provider=metamap", "New source"],
  "source-new-url": [`/sources/new?provider=veriff&source=${w.source}`, "New source"],
  source: [`/sources/${w.source}`, "veriff-prod"],
  "source-endpoints": [`/sources/${w.source}?tab=endpoints`, "veriff-prod"],
  "source-secrets": [`/sources/${w.source}?tab=secrets`, "veriff-prod"],
  "source-settings": [`/sources/${w.source}?tab=settings`, "veriff-prod"],
  "source-endpoint": [`/sources/${w.source}/endpoints/${w.endpoint}`, "Onboarding"],
  applications: ["/apps", "Applications"],
  "application-new": ["/apps?new=1", "Applications"],
  application: [`/apps/${w.app}`, "Acme Corporation"],
  "endpoint-new": [`/apps/${w.app}?new=endpoint`, "Acme Corporation"],
  endpoint: [`/apps/${w.app}/endpoints/${w.orders}`, "Orders in production"],
  "endpoint-settings": [`/apps/${w.app}/endpoints/${w.orders}?tab=settings`, "Orders in production"],
  "endpoint-security": [`/apps/${w.app}/endpoints/${w.orders}?tab=security`, "Orders in production"],
  "endpoint-recovery": [`/apps/${w.app}/endpoints/${w.orders}?tab=recovery&way=bulk-replay`, "Orders in production"],
  "endpoint-receiver": [`/apps/${w.app}/endpoints/${w.orders}?tab=receiver&in=node`, "Orders in production"],
  "event-types": ["/event-types", "Event types"],
  "event-type": ["/event-types/order.paid", "order.paid"],
  "event-type-new": ["/event-types?new=1", "Event types"],
  tasks: ["/tasks", "Tasks"],
  task: [`/tasks/${w.task}`, "Replay messages"],
  operational: ["/operational", "Operational webhooks"],
  "operational-one": [`/operational/${w.operational}`, "Pager"],
  keys: ["/keys", "API keys"],
  "key-new": ["/keys?new=1", "API keys"],
  people: ["/people", "People"],
  audit: ["/audit", "Audit log"],
  settings: ["/settings", "Settings"],
  account: ["/account", "Your account"],
  nowhere: ["/nowhere", undefined],
});

for (const width of [1440, 390]) {
  for (const scheme of ["light", "dark"]) {
    test(`screens at ${width} in ${scheme}`, async (t) => {
      const page = await openPage(browser, { width, height: width === 390 ? 844 : 900, scheme });
      await page.goto(server.url);
      await page.getByRole("heading", { name: "Sign in to Sigpost" }).waitFor();
      await look(page, "sign-in", `${width}-${scheme}`);
      await signIn(page, server);
      for (const [name, [where, title]] of Object.entries(screens(world))) {
        await t.test(name, async () => {
          page.errors.length = 0;
          await page.goto(`${server.url}/#${where}`);
          if (title) await page.locator("h1", { hasText: title }).waitFor();
          await settled(page);
          await look(page, name, `${width}-${scheme}`);
          // What may be scrolled in its own box may be wide; the page may not.
          const wide = await page.evaluate(() => document.querySelector("[data-scroller]").scrollWidth - document.querySelector("[data-scroller]").clientWidth);
          assert.equal(wide, 0, "the screen is wider than the window");
        if (width === 1440) {
          await page.evaluate(() => document.querySelectorAll("dialog details").forEach((d) => (d.open = true)));
          assert.deepEqual(await page.locator(".field > label").evaluateAll((all) => all.filter((l) => l.checkVisibility() && l.offsetHeight > 28).map((l) => l.innerText)), [], "labels of two lines");
        }
        });
      }
      await page.context().close();
    });
  }
}

async function look(page, name, kind) {
  if (process.env.SHOTS) await page.screenshot({ path: path.join(process.env.SHOTS, `${name}-${kind}.png`) });
  assert.deepEqual(await axe(page), []);
  assert.deepEqual(page.errors, []);
}

/** Waits until nothing is loading; what is live goes on. */
async function settled(page) {
  await page.waitForFunction(() => !document.querySelector(".wait[role=status]"));
  await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
}
