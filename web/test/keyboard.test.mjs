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

test("Enter right after j opens the message that j chose", async () => {
  await page.goto(`${server.url}/#/messages`);
  await page.reload(); // where the test before stood in the list is forgotten
  await page.locator("[data-at='1']").waitFor();
  const want = await page.locator("[data-at='1'] a").getAttribute("href");
  // In one turn, as fast fingers do, and with the focus on the screen itself.
  await page.evaluate(() => {
    const press = (key) => document.activeElement.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
    document.getElementById("content").focus();
    press("j");
    press("j");
    document.getElementById("content").focus();
    press("Enter");
  });
  await page.waitForFunction((to) => location.hash === to, want);
});

test("Escape closes the drawer of a phone, and the tab that is shown is in sight", async () => {
  const phone = await openPage(browser, { width: 390, height: 844 });
  await signIn(phone, server);
  await phone.getByRole("button", { name: "Menu", exact: true }).click();
  await phone.locator("aside.open").waitFor();
  await phone.keyboard.press("Escape");
  await phone.locator("aside.open").waitFor({ state: "detached" });
  await phone.goto(`${server.url}/#/apps/${world.app}/endpoints/${world.orders}?tab=receiver`);
  const tab = phone.getByRole("link", { name: "Receiver code" });
  await tab.waitFor();
  await phone.waitForFunction((a) => a.getBoundingClientRect().right <= innerWidth, await tab.elementHandle());
  await phone.context().close();
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
  await choose("0f1e2d3c-4b5a-4978-8695-a4b3c2d1e0f1");
  assert.equal(await hash(), "#/subjects/end_user/0f1e2d3c-4b5a-4978-8695-a4b3c2d1e0f1");
  await choose("new source");
  assert.equal(await hash(), "#/sources/new");
  await choose("invite");
  assert.equal(await hash(), "#/people?new=1");
  await page.getByRole("dialog").waitFor(); // the screen comes a moment after its address
  await page.keyboard.press("Escape");
  await page.getByRole("dialog").waitFor({ state: "detached" });
  await page.keyboard.press("Control+k");
  await choices().filter({ hasText: "Show the keyboard shortcuts" }).waitFor(); // nothing is cut
  await page.keyboard.press("Escape");
  await palette().waitFor({ state: "detached" });
  await choose("end_user:abc");
  assert.equal(await hash(), "#/subjects/end_user/abc");
});

test("a dialog keeps the focus and gives it back to whom it had it from", async () => {
  const dialog = page.getByRole("dialog");
  const focused = () => page.evaluate(() => document.activeElement?.getAttribute("aria-label") || document.activeElement?.textContent?.trim());
  await page.goto(`${server.url}/#/apps?new=1`);
  await dialog.waitFor();
  assert.equal(await page.evaluate(() => document.activeElement?.closest("dialog") !== null), true);
  await page.keyboard.press("Escape");
  await dialog.waitFor({ state: "detached" });
  assert.equal(await hash(), "#/apps");

  await page.getByRole("button", { name: "New application" }).press("Enter");
  await dialog.waitFor();
  // The palette over it gives it back to the field, which keeps what was typed.
  await page.getByLabel("Name").fill("Half");
  await page.keyboard.press("Control+k");
  await palette().waitFor();
  await page.keyboard.press("Escape");
  await palette().waitFor({ state: "detached" });
  await page.keyboard.type(" written");
  assert.equal(await page.getByLabel("Name").inputValue(), "Half written");
  await page.mouse.click(5, 5); // beside it
  assert.equal(await dialog.count(), 1, "a press beside the dialog loses what was typed");
  await page.keyboard.press("Escape");
  await dialog.waitFor({ state: "detached" });
  assert.equal(await focused(), "New application");

  await page.goto(`${server.url}/#/apps/${world.app}`);
  await page.getByRole("button", { name: "More" }).press("Enter");
  await page.getByRole("menuitem", { name: "Change" }).press("Enter");
  await dialog.waitFor();
  await page.keyboard.press("Escape");
  await dialog.waitFor({ state: "detached" });
  assert.equal(await focused(), "More");
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
