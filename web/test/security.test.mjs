// What an attacker would look at: the policy, the cookie, what stands in the page.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { openPage, signIn, startBrowser } from "./browser.mjs";
import { startServer } from "./server.mjs";
import { furnish, secret } from "./world.mjs";

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

/** A link of the command line, as the first administrator gets one. */
async function link(name) {
  const { stdout } = await promisify(execFile)(server.program, ["user", "add", name, "--role", "admin", "--data", server.data]);
  return stdout.trim().replace(/^\//, `${server.url}/`);
}

test("a link signs in once, a password after that; the cookie is out of reach", async () => {
  const first = await link("ada");
  const page = await openPage(browser);
  await page.goto(first);
  await page.getByRole("button", { name: "Continue" }).click();
  await page.getByRole("heading", { name: "Choose a password" }).waitFor();
  const cookie = (await page.context().cookies()).find((c) => c.name === "sigpost_session");
  assert.ok(cookie, "there is a session cookie");
  assert.equal(cookie.httpOnly, true);
  assert.equal(cookie.sameSite, "Strict");
  assert.equal(cookie.path, "/");
  assert.equal(await page.evaluate(() => document.cookie), "");
  await page.getByLabel("New password").fill("correct horse battery");
  await page.getByLabel("Once more").fill("correct horse battery");
  await page.getByRole("button", { name: "Set the password" }).click();
  await page.getByText("Your password is set").waitFor();
  await page.locator("h1", { hasText: "Overview" }).waitFor();
  assert.equal(await page.evaluate(() => sessionStorage.length + localStorage.length), 0, "nothing is stored for a session");

  await page.getByRole("button", { name: "Sign out" }).first().click();
  await page.getByRole("heading", { name: "Sign in to Sigpost" }).waitFor();
  await page.getByLabel("Name").fill("ada");
  await page.getByLabel("Password").fill("wrong horse battery");
  await page.getByRole("button", { name: "Sign in", exact: true }).click();
  await page.getByRole("alert").waitFor();
  await page.getByLabel("Password").fill("correct horse battery");
  await page.getByRole("button", { name: "Sign in", exact: true }).click();
  await page.locator("#content").waitFor();

  const again = await openPage(browser);
  await again.goto(first);
  await again.getByRole("button", { name: "Continue" }).click();
  await again.getByRole("alert").waitFor();
  assert.deepEqual(page.errors, []);
});

test("who may only read is told so, and offered no form that can only fail", async () => {
  const { token } = await server.api("POST", "/api/v1/auth/token", { name: "reader", scope: "viewer" });
  const page = await openPage(browser);
  await signIn(page, { ...server, token });
  for (const [at, form] of [["/apps?new=1", "dialog"], ["/event-types?new=1", "dialog"], [`/apps/${world.app}?tab=endpoints&new=endpoint`, "dialog"], ["/people?new=1", "dialog"], ["/keys?new=1", "dialog"], ["/sources/new", "form"], [`/apps/${world.app}/endpoints/${world.orders}?tab=recovery`, "form"]]) {
    await page.goto(`${server.url}/#${at}`);
    await page.locator("#content h1").waitFor();
    await page.waitForFunction(() => !document.querySelector(".wait[role=status]"));
    await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
    assert.equal(await page.locator(form).count(), 0, at);
  }
  await page.goto(`${server.url}/#/operational/${world.operational}`);
  await page.getByText("You may not see it.").waitFor();
  assert.equal(await page.getByRole("button", { name: /signing secret/ }).count(), 0);
  for (const at of ["/people", "/keys", "/audit"]) {
    await page.goto(`${server.url}/#${at}`);
    await page.getByText("You may not see this").waitFor();
    for (const empty of ["Export", "Nobody but API keys yet", "No key yet", "Nothing was changed yet", "Add a person", "New key"]) assert.equal(await page.getByText(empty).count(), 0, `${at}: ${empty}`);
  }
});

test("a link is asked about also when somebody is signed in", async () => {
  const page = await openPage(browser);
  await signIn(page, server);
  const [used, good] = [await link("old-hand"), await link("new-hand")];
  await fetch(`${server.url}/api/v1/auth/session/link`, { method: "POST", headers: { "content-type": "application/json", origin: server.url }, body: JSON.stringify({ token: used.split("token=")[1] }) });
  await page.goto(used);
  await page.getByText(/is signed in here now/).waitFor();
  await page.getByRole("button", { name: "Continue" }).click();
  await page.getByRole("alert").waitFor();
  await page.getByRole("link", { name: "Stay signed in as you are" }).click();
  await page.locator("h1", { hasText: "Overview" }).waitFor();
  await page.goto(good);
  await page.getByRole("button", { name: "Continue" }).click();
  await page.getByRole("heading", { name: "Choose a password" }).waitFor();
  await page.reload(); // the key of before is forgotten
  await page.locator("dd", { hasText: "new-hand" }).waitFor();
  assert.deepEqual(page.errors, []);
});

test("a session that ended asks to sign in again, where one was", async () => {
  const page = await openPage(browser);
  await page.goto(await link("grace-hopper"));
  await page.getByRole("button", { name: "Continue" }).click();
  await page.getByRole("heading", { name: "Choose a password" }).waitFor();
  await page.context().clearCookies();
  await page.goto(`${server.url}/#/sources`);
  await page.getByText("Your session has ended").waitFor();
  assert.equal(await page.evaluate(() => location.hash), "#/sources");
});

test("the policy refuses what is inline or from elsewhere", async () => {
  const page = await openPage(browser);
  await signIn(page, server);
  const refused = await page.evaluate(async () => {
    const seen = [];
    addEventListener("securitypolicyviolation", (e) => seen.push(e.effectiveDirective));
    const script = document.createElement("script");
    script.textContent = "window.ran = true";
    document.head.append(script);
    const holder = document.createElement("div");
    holder.innerHTML = '<p style="color: red">x</p>';
    document.body.append(holder);
    await fetch("http://127.0.0.1:9/").catch(() => {});
    const frame = document.createElement("iframe");
    frame.src = "/";
    document.body.append(frame);
    await new Promise((done) => setTimeout(done, 300));
    return { seen, ran: window.ran === true };
  });
  assert.equal(refused.ran, false);
  for (const what of ["script-src-elem", "style-src-attr", "connect-src"]) assert.ok(refused.seen.includes(what), `${what} of ${refused.seen}`);
});

test("no secret stands in the page unless it is asked for", async () => {
  const page = await openPage(browser);
  await signIn(page, server);
  const key = (await server.api("GET", `/api/v1/app/${world.app}/endpoint/${world.orders}/secret`)).key;
  for (const at of [`/sources/${world.source}?tab=secrets`, `/sources/${world.source}?tab=settings`, `/apps/${world.app}/endpoints/${world.orders}?tab=security`, "/keys", `/rejected/${world.rejected}`, `/messages/${world.message}`]) {
    await page.goto(`${server.url}/#${at}`);
    await page.locator("#content h1").waitFor();
    await page.waitForFunction(() => !document.querySelector(".wait[role=status]"));
    const html = await page.content();
    for (const hidden of [server.token, secret, key]) assert.ok(!html.includes(hidden), `${at} shows a secret`);
  }
  await page.goto(`${server.url}/#/apps/${world.app}/endpoints/${world.orders}?tab=security`);
  await page.getByRole("button", { name: "Show signing secret" }).click();
  await page.getByText(key).waitFor();
  await page.getByRole("button", { name: "Hide signing secret" }).click();
  assert.ok(!(await page.content()).includes(key));
});
