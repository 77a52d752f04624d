// The SDK's React components on a product's own page: they work with a portal's
// token from the origins that the organization allows, and from no other.
import assert from "node:assert/strict";
import path from "node:path";
import { after, before, test } from "node:test";
import { openPage, startBrowser } from "./browser.mjs";
import { bundle, startSite } from "./react/site.mjs";
import { startServer, until } from "./server.mjs";
import { furnish } from "./world.mjs";

// svix-react is written for 1.x of the SDK. With 2.x, which it takes, too, it reads all,
// but calls by old names what sets headers and what a new endpoint is to get.
const sdks = ["svix", "svix2"];
let server, world, browser, sites, stranger;
before(async () => {
  let bundles;
  [server, browser, bundles] = await Promise.all([startServer(), startBrowser(), Promise.all(sdks.map(bundle))]);
  [world, stranger, ...sites] = await Promise.all([furnish(server), startSite(bundles[0]), ...bundles.map(startSite)]);
  await until("the orders arrive", async () => (await server.api("GET", `/api/v1/app/${world.app}/attempt/endpoint/${world.orders}?status=0`)).data.length === 6);
  await server.api("PATCH", "/api/v1/organization", { portal: { allowedOrigins: sites.map((s) => s.origin) } });
});
after(async () => {
  await browser?.close();
  await server?.stop();
  await Promise.all([world, stranger, ...(sites ?? [])].map((s) => s?.stop()));
});

/** Opens the page at a site, as the product would for the customer of an application. */
async function open(site, { app = world.app, ...more } = {}) {
  const { token } = await server.api("POST", `/api/v1/auth/app-portal-access/${app}`, {});
  const page = await openPage(browser);
  page.setDefaultTimeout(10_000);
  await page.goto(`${site.origin}/#${encodeURIComponent(JSON.stringify({ token, serverUrl: server.url, appId: app, endpointId: world.orders, messageId: world.sent, ...more }))}`);
  return page;
}

/** What a hook of the page answers, as soon as it is what the test waits for. */
async function answer(page, hook, is = (a) => a.data) {
  let last;
  return until(`${hook} answers`, async () => {
    last = JSON.parse(await page.locator(`#${hook}`).textContent());
    return is(last) && last;
  }, 10_000).catch((e) => assert.fail(`${e.message}; last: ${JSON.stringify(last)}; ${page.errors[0]}`));
}

/** Presses a button of the page and waits until it is done. */
async function press(page, name) {
  await page.getByRole("button", { name, exact: true }).click();
  await page.locator(`#${name}-came`, { hasText: /^(done|failed)/ }).waitFor();
  assert.equal(await page.locator(`#${name}-came`).textContent(), "done", name);
}

const hooks = [
  "useEndpoints", "useEventTypes", "useMessages", "useEndpoint", "useEndpointSecret", "useEndpointHeaders", "useEndpointStats",
  "useEndpointMessageAttempts", "useAttemptedMessages", "useMessage", "useMessageEndpoints", "useMessageAttempts",
];

for (const [i, sdk] of sdks.entries()) {
  test(`hooks read from an allowed origin, with ${sdk}`, async () => {
    const page = await open(sites[i]);
    const api = (at) => server.api("GET", `/api/v1/app/${world.app}${at}`);
    const seen = Object.fromEntries(await Promise.all(hooks.map(async (h) => [h, (await answer(page, h)).data])));
    assert.deepEqual(seen.useEndpoints.map((e) => e.description), ["Billing"]);
    assert.equal(seen.useEndpoint.url, `${world.good.url}/orders`);
    assert.equal(seen.useEndpointSecret.key, (await api(`/endpoint/${world.orders}/secret`)).key);
    assert.deepEqual(seen.useEndpointHeaders, { headers: {}, sensitive: [] });
    assert.ok(seen.useEndpointStats.success > 0, "deliveries succeeded");
    assert.deepEqual(seen.useEndpointMessageAttempts.map((a) => [a.endpointId, a.responseStatusCode, a.msg.eventType.split(".")[0]]), Array(2).fill([world.orders, 204, "order"]));
    assert.deepEqual(seen.useAttemptedMessages.map((m) => [m.status, m.payload.currency]), Array(2).fill([0, "EUR"]));
    assert.deepEqual(seen.useEventTypes.map((t) => t.name), ["invoice.paid", "order.paid"]);
    assert.deepEqual(seen.useMessages.map((m) => m.eventId), ["order-108", "order-107", "order-106", "order-105"]);
    assert.deepEqual([seen.useMessage.id, seen.useMessage.eventId], [world.sent, "order-108"]);
    assert.deepEqual(seen.useMessageEndpoints.map((e) => e.description), ["Billing"]);
    assert.deepEqual(seen.useMessageAttempts.map((a) => [a.msgId, a.responseStatusCode])[0], [world.sent, 500]);

    // A list goes on and back.
    await page.getByRole("button", { name: "Next" }).click();
    await answer(page, "useEndpoints", (a) => a.data[0].description === "Orders in production" && !a.hasNextPage);
    await page.getByRole("button", { name: "Previous" }).click();
    await answer(page, "useEndpoints", (a) => a.data[0].description === "Billing" && a.hasNextPage);
    assert.deepEqual(page.errors, []);
    await page.context().close();
  });
}

test("hooks change from an allowed origin", async () => {
  const page = await open(sites[0], { app: world.other });
  for (const [label, text] of [["URL", "https://globex.example/hooks"], ["Description", "made by the page"], ["Event type", "order.paid"], ["Rate", "7"]]) await page.getByLabel(label).fill(text);
  await press(page, "create");
  const { data: made } = await answer(page, "useEndpoint");
  assert.deepEqual([made.url, made.description, made.filterTypes, made.rateLimit], ["https://globex.example/hooks", "made by the page", ["order.paid"], 7]);
  const at = `/api/v1/app/${world.other}/endpoint/${made.id}`;

  const { key } = (await answer(page, "useEndpointSecret")).data;
  await press(page, "rotate");
  const rotated = await answer(page, "useEndpointSecret", (a) => a.data.key !== key);
  assert.equal(rotated.data.key, (await server.api("GET", `${at}/secret`)).key);

  await press(page, "set-headers");
  await answer(page, "useEndpointHeaders", (a) => a.data.headers["x-stage"] === "test");
  await press(page, "patch-headers");
  await answer(page, "useEndpointHeaders", (a) => a.data.headers["x-stage"] === "live" && a.data.headers["x-tenant"] === "acme");
  await press(page, "update");
  await answer(page, "useEndpoint", (a) => a.data.description === "changed by the page");
  await press(page, "recover");
  await press(page, "delete");
  await assert.rejects(server.api("GET", at), { status: 404 });
  await page.context().close();
});

test("a message is sent again from an allowed origin", async () => {
  const { id } = (await server.api("GET", `/api/v1/app/${world.app}/msg?limit=4`)).data[1]; // one that arrived
  const page = await open(sites[0], { messageId: id });
  const times = () => world.good.got.filter((r) => r.headers["webhook-id"] === id).length;
  assert.equal(times(), 1);
  await press(page, "resend");
  await until("the receiver got it again", () => times() === 2);
  await page.context().close();
});

test("a page reads why it is refused", async () => {
  const page = await open(sites[0], { token: "sigpost_ended" });
  for (const hook of hooks) assert.equal((await answer(page, hook, (a) => a.error)).error.code, 401, hook);
  await page.context().close();
});

test("a page whose origin is not allowed reads nothing and changes nothing", async () => {
  const endpoints = async () => (await server.api("GET", `/api/v1/app/${world.app}/endpoint`)).data;
  const had = await endpoints();
  const page = await open(stranger);
  for (const hook of hooks) {
    const { data, error } = await answer(page, hook, (a) => a.error);
    assert.deepEqual([data, error.name, error.code], [undefined, "TypeError", undefined], hook);
  }
  await page.getByLabel("URL").fill("https://globex.example/hooks");
  await page.getByRole("button", { name: "create" }).click();
  await page.locator("#create-came", { hasText: "failed: Failed to fetch" }).waitFor();
  assert.deepEqual(await endpoints(), had);
  assert.ok(page.errors.some((e) => e.includes("blocked by CORS policy")), String(page.errors));
});

test("a token of one application reaches no other", async () => {
  const page = await open(sites[0], { app: world.other, appId: world.app });
  for (const hook of hooks.filter((h) => h !== "useEventTypes")) {
    const { data, error } = await answer(page, hook, (a) => a.error);
    assert.deepEqual([data, error.code], [undefined, 404], hook);
  }
  await answer(page, "useEventTypes"); // the catalogue is everybody's
  await page.getByLabel("URL").fill("https://globex.example/hooks");
  await page.getByRole("button", { name: "create" }).click();
  await page.locator("#create-came", { hasText: "failed: HTTP-Code: 404" }).waitFor();
});

const icon = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

/** Shows the portal of an application with AppPortal and what it is given; returns the page and the frame. */
async function show(look, app = world.app) {
  const { url } = await server.api("POST", `/api/v1/auth/app-portal-access/${app}`, {});
  const page = await open(sites[0], { app, portal: url, look });
  const frame = page.frameLocator("iframe");
  await frame.locator("h1", { hasText: "Endpoints" }).waitFor();
  return { page, frame, root: frame.locator("html") };
}
const accent = (root) => root.evaluate((e) => e.style.getPropertyValue("--accent"));
const height = (page) => page.locator("iframe").evaluate((e) => e.getBoundingClientRect().height);

test("AppPortal shows the portal as it is asked to", async () => {
  const { page, frame, root } = await show({ darkMode: true, primaryColor: "#0f766e", icon });
  await frame.getByRole("link", { name: "Orders in production" }).waitFor();
  assert.equal(await root.getAttribute("data-theme"), "dark");
  assert.equal(await accent(root), "#0f766e");
  const logo = frame.locator("header img");
  assert.equal(await logo.getAttribute("src"), icon);
  assert.ok(await logo.evaluate((e) => e.naturalWidth > 0), "the policy lets it be shown");
  if (process.env.SHOTS) await page.screenshot({ path: path.join(process.env.SHOTS, "react-portal.png") });
  assert.deepEqual(page.errors, []);
  await page.context().close();
});

test("AppPortal cannot ask for what is no colour, or an image of elsewhere", async () => {
  const { page, frame, root } = await show({ darkMode: "auto", primaryColor: "red", fontFamily: "Roboto", icon: "https://acme.example/icon.png" });
  assert.deepEqual([await root.getAttribute("data-theme"), await accent(root)], [null, ""]);
  assert.equal(await frame.locator("header img").count(), 0);
  assert.deepEqual(page.errors, []); // the policy refused nothing, for nothing was tried
  await page.context().close();
});

test("AppPortal is as high as what it shows, within bounds", async () => {
  for (let i = 0; i < 160; i++) await server.api("POST", `/api/v1/app/${world.other}/msg`, { eventType: "order.paid", payload: { i } });
  const { page, frame } = await show({ fullSize: true }, world.other);
  const lists = [];
  page.on("request", (r) => r.url().includes("/msg?") && lists.push(r.url()));
  await until("a short screen has room for dialogs", async () => (await height(page)) === 650);
  await frame.getByRole("link", { name: "Messages" }).click();
  await frame.getByRole("listitem").first().waitFor();
  await until("a list has the most", async () => (await height(page)) === 1600);
  // A list that grew with its frame, and the frame with the list, would end when all is read.
  await frame.getByRole("link", { name: "Event types" }).click();
  await until("it is lower again", async () => (await height(page)) === 650);
  assert.ok(lists.length <= 2, String(lists));
  await page.context().close();

  const { page: tall, frame: of } = await show({ fullSize: true });
  await of.getByRole("link", { name: "Orders in production" }).click();
  await of.getByRole("link", { name: "Receiver code" }).click();
  await until("it does not scroll", async () => {
    const [whole, seen] = await of.locator("[data-scroller]").evaluate((e) => [e.scrollHeight, e.clientHeight]);
    return whole === seen && seen > 650 && seen < 1600 && (await height(tall)) === seen;
  });
  await tall.context().close();
});
