// The whole story, as its user lives it: make a source, see the first event come
// in, break the receiver, see it retry, mend it, send again, find it by the person.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { openPage, signIn, startBrowser } from "./browser.mjs";
import { postVeriff, startReceiver, startServer, until, veriffSample } from "./server.mjs";

const secret = "0f1e2d3c-4b5a-4978-8695-a4b3c2d1e0f1";
let server, receiver, browser, page;
before(async () => {
  [server, receiver, browser] = await Promise.all([startServer(), startReceiver(), startBrowser()]);
  page = await openPage(browser);
  await signIn(page, server);
});
after(async () => {
  assert.deepEqual(page?.errors, []);
  await browser?.close();
  await server?.stop();
  await receiver?.stop();
});

let url;
test("create a source in three steps", async () => {
  await page.getByRole("link", { name: "Create a source" }).first().click();
  await page.getByLabel("Who sends?").fill("veriff");
  await page.keyboard.press("Enter");
  await page.getByLabel("Signing secret").fill(secret);
  await page.getByRole("button", { name: "Create the source" }).click();
  await page.getByText(/Paste this URL at Veriff/).waitFor();
  url = await page.getByTestId("once").innerText();
  assert.ok(url.startsWith(`${server.url}/in/`), url);

  await page.getByRole("button", { name: "Add an endpoint" }).click();
  await page.getByLabel("URL").fill(`${receiver.url}/kyc`);
  await page.getByLabel("Name").fill("Onboarding");
  await page.getByRole("button", { name: "Add the endpoint" }).click();
  await page.getByRole("link", { name: "Onboarding" }).waitFor();
  assert.match(await page.evaluate(() => location.hash), /^#\/sources\/new\?/, "a new endpoint leaves the third step");
});

test("the third step says what is wrong with the secret, and what came before it was opened", async () => {
  await page.getByText("Only this machine reaches this address").waitFor();
  await page.getByText(/Waiting for the first request/).waitFor();
  const other = await server.api("POST", "/ingest/api/v1/source", { name: "trial", uid: "trial", provider: "veriff", secrets: [secret] });
  await page.goto(`${server.url}/#/sources/new?provider=veriff&source=${other.id}`);
  await page.getByTestId("once").getByText(other.ingestUrl).waitFor();
  const sample = await veriffSample("veriff.event.started.json");
  await postVeriff(other.ingestUrl, "not-the-secret-of-this-source", sample);
  await page.getByText(/Rejected .*the signature does not match/).waitFor(); // without a reload
  assert.match(await page.getByRole("link", { name: "Look at it" }).getAttribute("href"), /^#\/rejected\/rej_/);
  await postVeriff(other.ingestUrl, secret, sample);
  await page.reload();
  await page.getByText(/veriff.event.started is here/).waitFor();
  await server.api("DELETE", `/ingest/api/v1/source/${other.id}`);
});

test("the first event arrives live, and opens", async () => {
  await page.goto(`${server.url}/#/messages`);
  await page.getByText("Nothing has come yet").waitFor();
  await page.locator(".live.on").waitFor();
  const sent = await veriffSample("veriff.decision.approved.json");
  const r = await postVeriff(url, secret, sent);
  assert.equal(r.status, 200);
  const row = page.getByRole("listitem").filter({ hasText: "veriff.decision.approved" });
  await row.waitFor();
  await row.getByText("Delivered").waitFor();
  await row.getByRole("link").click();
  await page.locator("h1", { hasText: "veriff.decision.approved" }).waitFor();
  await page.getByText("Signature verified").waitFor();
  await page.getByRole("tab", { name: "Exact bytes" }).click();
  assert.equal(await page.getByRole("region", { name: "Exact bytes" }).textContent(), sent);
  await page.getByText("end user").waitFor();
  assert.equal(receiver.got[0].body.toString(), sent);
});

test("a receiver that breaks is tried again, and the page says when and why", async () => {
  receiver.status = 500;
  receiver.body = '{"error":"the database is locked"}';
  const r = await postVeriff(url, secret, await veriffSample("veriff.decision.declined.json"));
  const { id } = await r.json();
  await page.goto(`${server.url}/#/messages/${id}`);
  await page.getByText("answered 500 Internal Server Error").first().waitFor();
  await page.getByText(/Next attempt/).waitFor();
  await page.getByRole("button", { name: /Attempt 1/ }).click();
  await page.getByRole("region", { name: "Response" }).getByText("the database is locked").waitFor();
  await page.getByText(/Attempt 2/).waitFor(); // five seconds later, without a reload
  receiver.status = 204;
  receiver.body = "";
  await page.getByRole("button", { name: "Resend", exact: true }).click();
  await page.getByRole("button", { name: "Resend to one endpoint" }).click();
  await page.getByText("Delivered. Nothing is left to do.").waitFor();
  assert.ok(await until("it is there", () => receiver.got.filter((g) => g.headers["webhook-id"] === id).length >= 3));
});

test("a request with a wrong signature is explained", async () => {
  const r = await postVeriff(url, "not-the-secret-of-this-source", await veriffSample("veriff.event.started.json"));
  assert.equal(r.status, 401);
  await page.goto(`${server.url}/#/rejected`);
  await page.getByRole("listitem").first().getByRole("link").click();
  await page.locator("h1", { hasText: "The signature does not match" }).waitFor();
  await page.getByText("What is wrong, and what helps").waitFor();
  await page.getByRole("link", { name: "Secrets of veriff-prod" }).waitFor();
});

test("everything about a person is found by the person", async () => {
  const person = JSON.parse(await veriffSample("veriff.decision.approved.json")).verification.endUserId;
  await page.keyboard.press("Control+k");
  await page.getByRole("combobox", { name: "Search or jump to" }).fill(`end_user:${person}`);
  await page.getByRole("option", { name: /time line/ }).click();
  await page.locator("h1", { hasText: person }).waitFor();
  await page.getByRole("link", { name: /veriff.decision.approved/ }).first().waitFor();
  await page.getByRole("link", { name: "As a list" }).click();
  await page.getByRole("listitem").filter({ hasText: "veriff.decision.approved" }).waitFor();
});

test("a test event of the provider takes the same way", async () => {
  await page.goto(`${server.url}/#/sources`);
  await page.locator("h1", { hasText: "Sources" }).waitFor();
  await page.getByRole("link", { name: "veriff-prod", exact: true }).click();
  await page.getByRole("button", { name: "Send a test event" }).click();
  assert.equal(await page.getByRole("combobox", { name: "Sample" }).inputValue(), "veriff.decision.approved");
  await page.getByRole("dialog").getByRole("button", { name: "Send", exact: true }).click();
  await page.getByRole("link", { name: "Open the message" }).click();
  await page.locator(".state", { hasText: /^Test$/ }).waitFor();
  await page.getByText("Signature verified").waitFor();
  // In lists it is marked, and nothing else is.
  const timeLine = await page.locator(".subjects a").first().getAttribute("href");
  for (const [where, rows] of [["#/messages", "[data-at]"], [timeLine, "ol li"]]) {
    await page.evaluate((to) => (location.hash = to), where);
    const marked = page.locator(rows).filter({ has: page.locator(".state", { hasText: /^Test$/ }) });
    await marked.first().waitFor();
    assert.match(await marked.innerText(), /veriff.decision.approved/); // throws when there are two
    if (where === "#/messages") assert.ok((await page.locator(rows).count()) > 1);
  }
});
