// Everything without a mouse.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { openPage, signIn, startBrowser } from "./browser.mjs";
import { startServer } from "./server.mjs";
import { furnish } from "./world.mjs";

let server, world, browser, page;
before(async () => {
  [server, browser] = await Promise.all([startServer(), startBrowser()]);
  world = await furnish(server);
  page = await openPage(browser);
  await signIn(page, server);
});
after(async () => {
  await browser?.close();
  await server?.stop();
  await world?.stop();
});

const palette = () => page.getByRole("combobox", { name: "Search or jump to" });
const choices = () => page.locator("#palette-list [role=option]");
const hash = () => page.evaluate(() => location.hash);

test("g and a letter goes to a screen", async () => {
  for (const [key, title] of [["m", "Messages"], ["s", "Sources"], ["a", "Applications"], ["t", "Tasks"], ["k", "API keys"], ["o", "Overview"]]) {
    await page.keyboard.press("g");
    await page.keyboard.press(key);
    await page.locator("h1", { hasText: title }).waitFor();
  }
});

test("j and k walk a list, Enter opens, / searches, Escape leaves", async () => {
  await page.goto(`${server.url}/#/messages`);
  await page.locator("h1", { hasText: "Messages" }).waitFor();
  await page.locator("[data-at='0']").waitFor();
  const focused = () => page.evaluate(() => document.activeElement?.closest("[data-at]")?.getAttribute("data-at"));
  for (const [key, at] of [["j", "0"], ["j", "1"], ["j", "2"], ["k", "1"]]) {
    await page.keyboard.press(key);
    await page.waitForFunction((want) => document.activeElement?.closest("[data-at]")?.getAttribute("data-at") === want, at);
    assert.equal(await focused(), at);
  }
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => location.hash.startsWith("#/messages/msg_"));
  await page.goBack();
  await page.locator("h1", { hasText: "Messages" }).waitFor();
  await page.keyboard.press("/");
  await page.keyboard.type("ord_4");
  await page.waitForFunction(() => location.hash.includes("q=ord_4"));
  await page.keyboard.press("Escape");
  assert.equal(await page.evaluate(() => document.activeElement === document.body), true);
});

test("? lists the keys, Escape closes", async () => {
  await page.keyboard.press("?");
  await page.getByRole("dialog", { name: "Keyboard" }).waitFor();
  await page.keyboard.press("Escape");
  await page.getByRole("dialog", { name: "Keyboard" }).waitFor({ state: "detached" });
});

test("the palette finds screens, sources, applications and ids", async () => {
  const choose = async (text) => {
    await page.keyboard.press("Control+k");
    await palette().waitFor();
    await page.keyboard.type(text);
    await choices().first().waitFor();
    await page.keyboard.press("Enter");
    await palette().waitFor({ state: "detached" });
  };
  await choose("audit");
  assert.equal(await hash(), "#/audit");
  await page.keyboard.press("Control+k");
  await page.keyboard.type("veriff-pr");
  await choices().filter({ hasText: "veriff-prod" }).filter({ hasText: "source" }).waitFor();
  await page.keyboard.press("Escape");
  await palette().waitFor({ state: "detached" });
  await choose(world.message);
  assert.equal(await hash(), `#/messages/${world.message}`);
  await choose("end_user:abc");
  assert.equal(await hash(), "#/subjects/end_user/abc");
});

test("a dialog keeps the focus and gives it back nothing behind it", async () => {
  await page.goto(`${server.url}/#/apps?new=1`);
  await page.getByRole("dialog").waitFor();
  assert.equal(await page.evaluate(() => document.activeElement?.closest("dialog") !== null), true);
  await page.keyboard.press("Escape");
  await page.getByRole("dialog").waitFor({ state: "detached" });
  assert.equal(await hash(), "#/apps");
});

test("what a filter says stands in the address, and comes back with it", async () => {
  await page.goto(`${server.url}/#/messages?state=pending&type=invoice.*`);
  await page.reload();
  await page.locator("h1", { hasText: "Messages" }).waitFor();
  assert.equal(await page.getByLabel("State").inputValue(), "pending");
  assert.equal(await page.getByLabel(/Event type/).inputValue(), "invoice.*");
  await page.getByRole("button", { name: "Clear" }).first().click();
  await page.waitForFunction(() => location.hash === "#/messages");
});
