// The customer's page: his application and nothing else, from a key that lives
// in memory alone.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import path from "node:path";
import { after, before, test } from "node:test";
import { axe, openPage, startBrowser } from "./browser.mjs";
import { startServer, until } from "./server.mjs";
import { furnish } from "./world.mjs";

let server, world, browser;
before(async () => {
  [server, browser] = await Promise.all([startServer(), startBrowser()]);
  world = await furnish(server);
});
after(async () => {
  await browser?.close();
  await server?.stop();
  await world?.stop();
});

const access = (app, more = {}) => server.api("POST", `/api/v1/auth/app-portal-access/${app}`, more);

/** Opens the portal as the link does. */
async function open(link, options) {
  const page = await openPage(browser, options);
  await page.goto(link.url);
  await page.locator("h1", { hasText: "Endpoints" }).waitFor();
  return page;
}

for (const width of [1440, 390]) {
  for (const scheme of ["light", "dark"]) {
    test(`screens of the portal at ${width} in ${scheme}`, async () => {
      const page = await open(await access(world.app), { width, height: width === 390 ? 844 : 900, scheme });
      for (const [name, where, title] of [
        ["endpoints", "/", "Endpoints"], ["endpoint", `/endpoints/${world.orders}`, "Orders in production"], ["endpoint-security", `/endpoints/${world.orders}?tab=security`, "Orders in production"],
        ["endpoint-receiver", `/endpoints/${world.orders}?tab=receiver`, "Orders in production"], ["messages", "/messages", "Messages"], ["message", `/messages/${world.sent}`, "invoice.paid"], ["event-types", "/event-types", "Event types"],
      ]) {
        await page.evaluate((to) => (location.hash = `#${to}`), where);
        await page.locator("h1", { hasText: title }).waitFor();
        await page.waitForFunction(() => !document.querySelector(".wait[role=status]"));
        if (process.env.SHOTS) await page.screenshot({ path: path.join(process.env.SHOTS, `portal-${name}-${width}-${scheme}.png`) });
        assert.deepEqual(await axe(page), [], name);
      }
      assert.deepEqual(page.errors, []);
      await page.context().close();
    });
  }
}

test("the key leaves the address, is stored nowhere, and ends with the page", async () => {
  const link = await access(world.app);
  const page = await open(link);
  assert.equal(await page.evaluate(() => location.hash), "#/");
  assert.equal(await page.evaluate(() => sessionStorage.length + localStorage.length + document.cookie.length), 0);
  assert.ok(!(await page.content()).includes(link.token));
  await page.reload();
  await page.getByRole("heading", { name: "This page was closed by reloading" }).waitFor();
  const late = await openPage(browser);
  await late.goto(link.url.replace(/key=.*/, "key=nothing"));
  await late.getByRole("heading", { name: "This link has expired" }).waitFor();
});

test("a customer sees his messages and no other's", async () => {
  const page = await open(await access(world.other));
  await page.evaluate(() => (location.hash = "#/messages"));
  await page.getByRole("listitem").first().waitFor();
  assert.equal(await page.getByRole("listitem").count(), 1);
  await page.evaluate((id) => (location.hash = `#/messages/${id}`), world.sent);
  await page.getByRole("alert").waitFor();
  await page.evaluate((id) => (location.hash = `#/endpoints/${id}`), world.orders);
  await page.getByRole("alert").waitFor();
  // Screens of the dashboard are not there.
  for (const at of ["/sources", "/keys", "/audit", "/settings"]) {
    await page.evaluate((to) => (location.hash = `#${to}`), at);
    await page.getByText("There is nothing at this address").waitFor();
  }
});

test("the list says which endpoint fails", async () => {
  const page = await open(await access(world.app, { readOnly: true }));
  await page.getByRole("row", { name: "Billing" }).locator(".state", { hasText: "Failing" }).waitFor();
  assert.equal(await page.getByRole("row", { name: "Orders in production" }).locator(".state").innerText(), "Enabled");
});

test("the list of messages says what became of each, and follows it, a page with each request", async () => {
  // So low that one can be further down.
  const page = await open(await access(world.app), { height: 400 });
  const asked = [];
  page.on("request", (r) => asked.push(new URL(r.url())));
  await page.evaluate(() => (location.hash = "#/messages"));
  const state = (at) => page.locator(`[data-at='${at}'] .state .state`);
  await state(0).waitFor();
  assert.deepEqual(await page.locator("[data-at] .state .state").allInnerTexts(), ["Pending", "Delivered", "Delivered", "Pending", "Delivered", "Delivered", "Pending", "Delivered", "Delivered"]);
  await page.locator(".live.on").waitFor();

  const list = (await server.api("GET", `/api/v1/app/${world.app}/msg`)).data;
  const billing = (await server.api("GET", `/api/v1/app/${world.app}/endpoint`)).data.find((e) => e.description === "Billing").id;
  const resend = (at) => server.api("POST", `/api/v1/app/${world.app}/msg/${list[at].id}/endpoint/${billing}/resend`);
  await page.evaluate(() => document.querySelector("[data-scroller]").scrollTo(0, 1e6));
  world.bad.status = 204;
  await resend(6);
  await state(6).filter({ hasText: "Delivered" }).waitFor();
  await page.evaluate(() => document.querySelector("[data-scroller]").scrollTo(0, 0));
  await resend(0);
  await state(0).filter({ hasText: "Delivered" }).waitFor();
  world.bad.status = 500;
  const lists = asked.filter((u) => u.pathname.includes("/msg"));
  assert.ok(lists.length >= 3 && lists.every((u) => u.pathname === `/api/v1/app/${world.app}/msg` && u.searchParams.get("with_state") === "true"), String(lists));
  assert.ok(lists.some((u) => u.searchParams.has("iterator")), "further down rows are read where they stand");
  assert.deepEqual(page.errors, []);
});

test("who may only read sees no way to change", async () => {
  const page = await open(await access(world.app, { readOnly: true }));
  await page.getByRole("link", { name: "Orders in production" }).click();
  await page.locator("h1", { hasText: "Orders in production" }).waitFor();
  for (const name of ["Pause", "Add an endpoint", "More"]) assert.equal(await page.getByRole("button", { name, exact: true }).count(), 0, name);
  await page.evaluate((id) => (location.hash = `#/messages/${id}`), world.sent);
  await page.locator("h1", { hasText: "invoice.paid" }).waitFor();
  assert.equal(await page.getByRole("button", { name: "Resend" }).count(), 0);
});

test("a customer helps himself: an endpoint, its secret, a resend", async () => {
  const page = await open(await access(world.app));
  await page.getByRole("button", { name: "Add an endpoint" }).click();
  await page.getByLabel("URL").fill("https://acme.example/hooks");
  await page.getByLabel("Name").fill("From the portal");
  await page.getByRole("dialog").getByRole("button", { name: "Add the endpoint" }).click();
  await page.locator("h1", { hasText: "From the portal" }).waitFor();
  await page.getByRole("link", { name: "Secret and headers" }).click();
  await page.getByRole("button", { name: "Show signing secret" }).click();
  await page.getByText(/^whsec_/).waitFor();
  const had = world.bad.got.length;
  await page.evaluate((id) => (location.hash = `#/messages/${id}`), world.sent);
  await page.getByRole("button", { name: "Resend", exact: true }).click();
  await page.getByRole("button", { name: /^Resend to/ }).click();
  await page.getByText(/Sending again/).waitFor();
  await until("the receiver got it again", () => world.bad.got.length > had);
});

test("a customer sends his endpoint again what it had", async () => {
  const had = world.good.got.length;
  const page = await open(await access(world.app, { capabilities: ["ViewBase", "CreateAttempts"] }));
  await page.evaluate((id) => (location.hash = `#/endpoints/${id}?tab=recovery&way=bulk-replay`), world.orders);
  await page.getByLabel(/Pace/).fill("1");
  await page.getByRole("button", { name: "Count first" }).click();
  await page.getByRole("button", { name: "Send 6 messages" }).click();
  const task = page.getByLabel("Task under way");
  await task.getByRole("button", { name: "Pause" }).click();
  await task.getByRole("button", { name: "Resume" }).click();
  await task.getByText(/[1-6] messages? sent/).waitFor();
  await task.getByRole("button", { name: "Cancel" }).click();
  await page.getByRole("button", { name: "Cancel the task" }).click();
  await task.getByText("Canceled").waitFor();
  await until("some came again", () => world.good.got.length > had);
});

test("a site that is not allowed cannot frame it", async (t) => {
  const link = await access(world.app);
  const site = createServer((_, res) => res.setHeader("content-type", "text/html").end(`<iframe src="${link.url}"></iframe>`));
  t.after(() => {
    site.closeAllConnections();
    site.close();
  });
  await new Promise((done) => site.listen(0, "127.0.0.1", done));
  const page = await openPage(browser);
  await page.goto(`http://localhost:${site.address().port}/`);
  const shown = await until("the frame shows something", () => page.frames()[1]?.url().split("#")[0].replace(/^about:blank$/, ""));
  assert.match(shown, /^chrome-error:/);
});

test("a site that is allowed frames it, in the organization's colour", async (t) => {
  const site = createServer((_, res) => res.setHeader("content-type", "text/html").end(`<!doctype html><title>Acme</title><iframe src="${link.url}" width="1000" height="700"></iframe>`));
  t.after(() => {
    site.closeAllConnections();
    site.close();
  });
  await new Promise((done) => site.listen(0, "127.0.0.1", done));
  const origin = `http://localhost:${site.address().port}`;
  await server.api("PATCH", "/api/v1/organization", { portal: { allowedOrigins: [origin], colour: "#0f766e" } });
  const link = await access(world.app);
  const page = await openPage(browser);
  await page.goto(origin);
  const frame = page.frameLocator("iframe");
  await frame.locator("h1", { hasText: "Endpoints" }).waitFor();
  await frame.getByRole("link", { name: "Orders in production" }).click();
  await frame.locator("h1", { hasText: "Orders in production" }).waitFor();
  assert.equal(await frame.locator("html").evaluate((e) => getComputedStyle(e).getPropertyValue("--accent")), "#0f766e");
  assert.deepEqual(page.errors, []);
});
