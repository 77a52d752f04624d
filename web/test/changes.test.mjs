// What can be changed is changed: each form is filled in, and the API asked what
// came of it.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { openPage, signIn, startBrowser } from "./browser.mjs";
import { postVeriff, startServer, until, veriffSample } from "./server.mjs";
import { furnish, secret } from "./world.mjs";

let server, world, browser, page;
before(async () => {
  [server, browser] = await Promise.all([startServer(), startBrowser()]);
  world = await furnish(server);
  page = await openPage(browser);
  await signIn(page, server);
});
after(async () => {
  assert.deepEqual(page?.errors, []);
  await browser?.close();
  await server?.stop();
  await world?.stop();
});

const show = async (where, title) => {
  await page.goto(`${server.url}/#${where}`);
  await page.locator("h1", { hasText: title }).waitFor();
};
// What was noted before is put away, so that what is waited for is said of this press.
const putAway = () => page.evaluate(() => document.querySelectorAll(".notes button").forEach((b) => b.click()));
const press = async (name, exact = true) => {
  await putAway();
  await page.getByRole("button", { name, exact }).click();
};
const noted = (text) => page.getByText(text).first().waitFor();
const dialog = () => page.getByRole("dialog");
const get = (path) => server.api("GET", path);

test("an endpoint of an application: settings, headers, secret, pause and resume", async () => {
  const path = `/api/v1/app/${world.app}/endpoint/${world.orders}`;
  await show(`/apps/${world.app}/endpoints/${world.orders}?tab=settings`, "Orders in production");
  await page.getByLabel("Event types").fill("invoice.paid,");
  await page.getByLabel("Name").fill("Orders and invoices");
  await page.getByLabel(/At most/).fill("25");
  await page.getByLabel("Order", { exact: true }).selectOption("kind");
  await page.getByLabel("Kind of subject").fill("customer");
  await press("Save");
  await noted("Saved");
  const e = await get(path);
  assert.deepEqual([e.description, e.eventTypePatterns, e.throttleRate, e.order], ["Orders and invoices", ["order.*", "invoice.paid"], 25, "subject:customer"]);

  await page.getByLabel(/At most/).fill("");
  await press("Remove order.*");
  await press("Remove invoice.paid");
  await press("Save");
  await until("everything is wanted", async () => {
    const x = await get(path);
    return !x.eventTypes && !x.eventTypePatterns?.length && !x.throttleRate;
  });

  await page.getByRole("link", { name: "Secret and headers" }).click();
  await press("Add a header");
  await page.getByLabel("Header name").fill("X-Team");
  await page.getByLabel("Header value").fill("orders");
  await press("Save headers");
  await noted("Headers saved");
  assert.deepEqual((await get(`${path}/headers`)).headers, { "X-Team": "orders" });
  const before = (await get(`${path}/secret`)).key;
  await press("Rotate");
  await dialog().getByRole("button", { name: "Rotate" }).click();
  await noted("Rotated");
  assert.notEqual((await get(`${path}/secret`)).key, before);

  await press("Pause");
  await page.getByRole("button", { name: "Resume" }).waitFor();
  assert.equal((await get(path)).state, "paused");
  await press("Resume");
  await page.getByRole("button", { name: "Pause" }).waitFor();
  assert.equal((await get(path)).state, "enabled");
});

test("headers that are not shown stay when others change; the signature goes back to the usual one", async () => {
  const path = `/api/v1/app/${world.app}/endpoint`;
  const { id } = await server.api("POST", path, { url: `${world.good.url}/kept`, description: "Kept", headers: { Authorization: "Bearer secret", "X-Old": "1" }, signature: { scheme: "stripe" } });
  await show(`/apps/${world.app}/endpoints/${id}?tab=security`, "Kept");
  await press("Remove header X-Old");
  await press("Add a header");
  await page.getByLabel("Header name").last().fill("X-New");
  await page.getByLabel("Header value").last().fill("2");
  await press("Save headers");
  await noted("Headers saved");
  assert.deepEqual(await get(`${path}/${id}/headers`), { headers: { "X-New": "2" }, sensitive: ["Authorization"] });
  await press("Remove header Authorization");
  await press("Save headers");
  await noted("Headers saved");
  assert.deepEqual((await get(`${path}/${id}/headers`)).sensitive, []);

  await page.getByRole("link", { name: "Settings" }).last().click();
  assert.equal(await page.getByLabel("Sign as").inputValue(), "stripe");
  await page.getByLabel("Sign as").fill("");
  await press("Save");
  await noted("Saved");
  assert.notEqual((await get(`${path}/${id}`)).signature?.scheme, "stripe");
  await server.api("DELETE", `${path}/${id}`);
});

test("an endpoint of a source keeps what a change does not name", async () => {
  const path = `/ingest/api/v1/source/${world.source}/endpoint/${world.endpoint}`;
  await show(`/sources/${world.source}/endpoints/${world.endpoint}?tab=settings`, "Onboarding");
  await page.getByLabel("Event types").fill("veriff.decision.*,");
  await press("Save");
  await noted("Saved");
  await press("Pause");
  await page.getByRole("button", { name: "Resume" }).waitFor();
  const e = await get(path);
  assert.deepEqual([e.state, e.description, e.uid, e.eventTypePatterns], ["paused", "Onboarding", "kyc", ["veriff.decision.*"]]);
  await press("Resume");
  await page.getByRole("button", { name: "Pause" }).waitFor();
});

test("the retries of an endpoint are written as durations", async () => {
  const path = `/api/v1/app/${world.app}/endpoint/${world.orders}`;
  await show(`/apps/${world.app}/endpoints/${world.orders}?tab=settings`, "Orders");
  const field = page.getByLabel("Retries");
  assert.equal(await field.inputValue(), "");
  assert.match(await field.getAttribute("placeholder"), /^5s, 5m, 30m, 2h,/);
  for (const [text, wrong] of [["5s, 30", "30 has no unit"], ["soon", "“soon” is no duration"], ["0s", "0s is too short"], ["5s, 8d", "8d is too long"], [Array(65).fill("1h").join(), "These are 65 waits; at most 64"]]) {
    await field.fill(text);
    await press("Save");
    await page.locator(".field [role=alert]", { hasText: wrong }).waitFor();
    assert.equal((await get(path)).retries, undefined, text);
  }
  await field.fill("5s, 2 m 1h30m,7d");
  await press("Save");
  await noted("Saved");
  assert.deepEqual((await get(path)).retries, [5, 120, 5400, 604800]);
  await page.reload();
  await page.locator("h1", { hasText: "Orders" }).waitFor();
  assert.equal(await field.inputValue(), "5s, 2m, 1h30m, 168h");
  await field.fill("");
  await press("Save");
  await noted("Saved");
  assert.equal((await get(path)).retries, undefined);

  const ofSource = `/ingest/api/v1/source/${world.source}/endpoint/${world.endpoint}`;
  await show(`/sources/${world.source}/endpoints/${world.endpoint}?tab=settings`, "Onboarding");
  await field.fill("1m");
  await press("Save");
  await noted("Saved");
  await page.getByLabel("Name").fill("Onboarding, anew");
  await press("Save");
  await page.locator("h1", { hasText: "Onboarding, anew" }).waitFor();
  const e = await get(ofSource);
  assert.deepEqual([e.retries, e.uid], [[60], "kyc"]);

  await show(`/apps/${world.other}?new=endpoint`, "Globex");
  await dialog().getByLabel("URL").fill("https://globex.example/hooks");
  await dialog().getByText("Limits, order").click();
  await dialog().getByLabel("Retries").fill("10");
  await dialog().getByText("Limits, order").click(); // what is wrong shows even so
  await dialog().getByRole("button", { name: "Add the endpoint" }).click();
  await dialog().locator(".field [role=alert]", { hasText: "10 has no unit" }).waitFor();
  await dialog().getByLabel("Retries").fill("10m");
  await dialog().getByRole("button", { name: "Add the endpoint" }).click();
  await page.locator("h1", { hasText: "globex.example" }).waitFor();
  assert.deepEqual((await get(`/api/v1/app/${world.other}/endpoint`)).data[0].retries, [600]);
});

/** In the list that is shown one endpoint fails, and it says since when; another one works. */
async function failingIn(bad, good) {
  const row = (name) => page.getByRole("row", { name });
  await row(bad).locator(".state", { hasText: "Failing" }).waitFor();
  assert.match(await row(bad).locator("td:nth-child(3) time").getAttribute("title"), /\d{4}, \d\d:\d\d:\d\d/);
  assert.equal(await row(good).locator(".state").innerText(), "Enabled");
}

test("an endpoint that fails is called so, and the overview counts what is settled", async () => {
  const failing = (await get(`/api/v1/app/${world.app}/endpoint`)).data.find((e) => e.description === "Billing");
  await show(`/apps/${world.app}/endpoints/${failing.id}?tab=settings`, "Billing");
  await page.locator("h1 ~ .state", { hasText: "Failing" }).waitFor();
  await show(`/apps/${world.app}`, "Acme Corporation");
  await failingIn("Billing", "Orders");
  await show(`/sources/${world.source}?tab=endpoints`, "veriff-prod");
  await failingIn("Ledger", "Onboarding");
  await show(`/apps/${world.app}/endpoints/${world.orders}?tab=settings`, "Orders");
  await page.locator("h1 ~ .state", { hasText: "Enabled" }).waitFor();
  await show("/", "Overview");
  await page.getByText(/^of those settled/).waitFor();
});

test("recovery counts first, then sends and shows how far it is", async () => {
  const had = world.good.got.length;
  await show(`/apps/${world.app}/endpoints/${world.orders}?tab=recovery&way=bulk-replay`, "Orders and invoices");
  await press("Count first");
  await page.getByText(/6 messages would be sent/).waitFor();
  assert.equal(world.good.got.length, had);
  await press("Send 6 messages");
  await page.getByText(/6 messages sent/).waitFor();
  await until("all six came again", () => world.good.got.length >= had + 6);
});

test("a source: settings and secrets", async () => {
  await show(`/sources/${world.source}?tab=settings`, "veriff-prod");
  await page.getByLabel("Allowed addresses").fill("127.0.0.0/8,");
  await page.getByLabel("When an event comes again").selectOption("forward");
  await press("Save");
  await noted("Saved");
  const s = await get(`/ingest/api/v1/source/${world.source}`);
  assert.deepEqual([s.allowIps, s.onDuplicate, s.uid, s.secretCount], [["127.0.0.0/8"], "forward", "veriff-prod", 1]);
  await page.getByRole("link", { name: "Secrets" }).click();
  await press("Add a secret");
  await dialog().getByLabel("Signing secret").fill("00000000-1111-2222-3333-444444444444");
  await dialog().getByRole("button", { name: "Add the secret" }).click();
  await noted("The new secret is in force");
  assert.equal((await get(`/ingest/api/v1/source/${world.source}/status`)).secrets.length, 2);
  await page.getByRole("button", { name: "End now" }).last().click();
  await press("End it");
  await noted("It is not valid any more");
  assert.equal((await get(`/ingest/api/v1/source/${world.source}/status`)).secrets.length, 1);
});

test("who is turned away for its address is shown, with what helps", async () => {
  const path = `/ingest/api/v1/source/${world.source}`;
  const was = (await get(path)).allowIps ?? [];
  await show(`/sources/${world.source}?tab=settings`, "veriff-prod");
  for (const at of was) await press(`Remove ${at}`);
  await page.getByLabel("Allowed addresses").fill("198.51.100.0/24,");
  await press("Save");
  await until("the list is in force", async () => (await postVeriff(world.ingestUrl, secret, "{}")).status === 403);
  await until("it is kept", async () => (await get("/api/v1/rejected")).data[0].reason === "address");
  await show("/rejected", "Rejected");
  await page.getByRole("link", { name: "Its address is not allowed" }).first().click();
  await page.getByText("127.0.0.1 is not among the addresses that may send to this source").waitFor();
  assert.equal(await page.getByRole("button", { name: "Verify again and let in" }).count(), 0);
  await page.getByRole("link", { name: "Allowed addresses of veriff-prod" }).click();
  await page.getByRole("button", { name: "Remove 198.51.100.0/24" }).click();
  for (const at of was) await page.getByLabel("Allowed addresses").fill(`${at},`);
  await press("Save");
  await until("the old list is back", async () => JSON.stringify((await get(path)).allowIps ?? []) === JSON.stringify(was));
});

test("applications, messages, event types", async () => {
  await show("/apps?new=1", "Applications");
  await dialog().getByLabel("Name").fill("Initech");
  await dialog().getByLabel("Uid").fill("initech");
  await dialog().getByRole("button", { name: "Create" }).click();
  await page.locator("h1", { hasText: "Initech" }).waitFor();
  await press("Send a message");
  await dialog().getByLabel("Event type").fill("order.paid");
  await dialog().getByLabel("Payload").fill("{broken");
  await dialog().getByRole("button", { name: "Send" }).click();
  await page.getByText(/This is not JSON/).waitFor();
  await dialog().getByLabel("Payload").fill('{"id": 7}');
  await dialog().getByRole("button", { name: "Send" }).click();
  await page.getByText("No endpoint wanted it").waitFor();

  await show("/event-types?new=1", "Event types");
  await dialog().getByLabel("Name").fill("user.signup");
  await dialog().getByLabel("Description").fill("Somebody came");
  await dialog().getByLabel("JSON Schema").fill('{"type": "object", "properties": {"email": {"type": "string", "format": "email"}}}');
  await dialog().getByRole("button", { name: "Create" }).click();
  await page.locator("h1", { hasText: "user.signup" }).waitFor();
  await page.getByRole("region", { name: "Example 1" }).getByText("ada@example.com").waitFor();
});

test("what others change is seen, and the sessions of a person stand side by side", async () => {
  const path = `/api/v1/app/${world.app}/endpoint/${world.orders}`;
  await page.goto(`${server.url}/#/apps/${world.app}/endpoints/${world.orders}`);
  await page.getByRole("button", { name: "Pause" }).waitFor();
  await server.api("PATCH", path, { paused: true });
  await page.getByRole("button", { name: "Resume" }).waitFor(); // without a reload
  await server.api("PATCH", path, { paused: false });
  await page.getByRole("button", { name: "More" }).press("Enter");
  await page.keyboard.press("Shift+Tab");
  await page.keyboard.press("Shift+Tab");
  assert.equal(await page.getByRole("menu").count(), 0, "the menu stays open behind who left it");

  const sample = JSON.parse(await veriffSample("veriff.decision.approved.json"));
  const person = sample.verification.endUserId;
  const { id, ingestUrl } = await server.api("POST", "/ingest/api/v1/source", { name: "sessions", provider: "veriff", secrets: [secret] });
  await show(`/subjects/end_user/${person}`, person);
  assert.equal(await page.locator(".sessions section").count(), 0);
  Object.assign(sample.verification, { id: "1b6f2f9e-53a1-4c52-9d5e-2f6a1c7d8e91", attemptId: "8c1d94b2-8e0f-4a37-b6d1-93f5a20c4e19", code: 9102, status: "declined" });
  assert.equal((await postVeriff(ingestUrl, secret, JSON.stringify(sample))).status, 200);
  await page.getByRole("region", { name: "session 1b6f2f9e-53a1-4c52-9d5e-2f6a1c7d8e91" }).getByText("veriff.decision.declined").waitFor(); // live
  const tops = await page.locator(".sessions section").evaluateAll((all) => all.map((s) => s.getBoundingClientRect().top));
  assert.ok(tops.length === 2 && tops[0] === tops[1], String(tops));
  await server.api("DELETE", `/ingest/api/v1/source/${id}`);
});

test("messages are found by their id, and say whose they are", async () => {
  await show(`/messages?q=${world.message}`, "Messages");
  await page.locator("[data-at]").filter({ hasText: "veriff.decision.approved" }).waitFor();
  assert.equal(await page.locator("[data-at]").count(), 1);
  const late = await server.api("POST", "/api/v1/app", { name: "Late Ltd" });
  await server.api("POST", `/api/v1/app/${late.id}/msg`, { eventType: "order.paid", eventId: "order-late", payload: {} });
  const { id } = await server.api("POST", `/api/v1/app/${late.id}/endpoint`, { url: `${world.good.url}/late` });
  await server.api("PATCH", `/api/v1/app/${late.id}/endpoint/${id}`, { disabled: true });
  await page.locator("[data-search]").fill("order-late");
  await page.locator("[data-at]").filter({ hasText: "Late Ltd" }).waitFor(); // made after the names were read
  await until("it is told", async () => (await get("/api/v1/msg?event_types=endpoint.disabled")).data.length > 0);
  await show("/messages?type=endpoint.disabled", "Messages");
  await page.locator("[data-at='0']").filter({ hasText: "Operational webhooks" }).getByRole("link").click();
  assert.equal(await page.locator("main dd a", { hasText: "Operational webhooks" }).getAttribute("href"), "#/operational");
  await server.api("DELETE", `/api/v1/app/${late.id}`);
});

test("keys, people, operational webhooks, settings", async () => {
  await show("/keys?new=1", "API keys");
  await dialog().getByLabel("Name").fill("deploys");
  await dialog().getByRole("button", { name: "Make the key" }).click();
  const token = await page.getByTestId("once").innerText();
  assert.match(token, /^sigpost_/);
  await press("Done");
  await page.getByRole("row", { name: /deploys/ }).getByRole("button", { name: "Revoke" }).click();
  await press("Revoke the key");
  await noted("Revoked");

  await show("/people?new=1", "People");
  await dialog().getByLabel("Name").fill("linus");
  await dialog().getByRole("button", { name: "Make the link" }).click();
  assert.match(await page.getByTestId("once").innerText(), /#\/welcome\?token=/);
  await press("Done");
  await page.getByLabel("Role of linus").selectOption("viewer");
  await noted("linus is viewer now");

  await show(`/operational/${world.operational}`, "Pager");
  await page.getByLabel("Name").fill("Night shift");
  await press("Save");
  await noted("Saved");
  assert.equal((await get(`/api/v1/operational-webhook/endpoint/${world.operational}`)).description, "Night shift");

  await show("/settings", "Settings");
  await page.getByLabel("Names of the signature headers").selectOption("both");
  await page.getByLabel("Payloads").first().fill("14");
  await page.getByRole("button", { name: "Save" }).first().click();
  await noted("Saved");
  await page.getByLabel("Sites that may frame it").fill("https://app.example,");
  await page.getByRole("button", { name: "Save" }).last().click();
  await until("both were kept", async () => {
    const o = await get("/api/v1/organization");
    return o.signatureHeaders === "both" && o.retention.payloads === 14 && o.portal.allowedOrigins[0] === "https://app.example";
  });
  await page.getByLabel("Payloads").first().fill("");
  await page.getByRole("button", { name: "Save" }).first().click();
  await until("it is the server's choice again", async () => (await get("/api/v1/organization")).retention.payloads === null);
});
