// What grows with the number of messages, and what must not: bytes, requests,
// elements and frames are counted. How long it takes stands in docs/performance.md;
// measure.mjs measures it.
import assert from "node:assert/strict";
import { createConnection } from "node:net";
import { after, before, test } from "node:test";
import { openPage, signIn, startBrowser } from "./browser.mjs";
import { startReceiver, startServer, until } from "./server.mjs";

const many = 2000;
const size = 50; // rows of a page of the API
const mostRows = 60; // that a window of 900 px needs, with those just outside it
let server, browser, receiver, app, page;
let asked = []; // the lists and messages that the page asked for, with what came
before(async () => {
  [server, browser, receiver] = await Promise.all([startServer(), startBrowser(), startReceiver()]);
  receiver.body = JSON.stringify({ received: "x".repeat(3000) }); // kept with each attempt
  app = (await server.api("POST", "/api/v1/app", { name: "Acme" })).id;
  await server.api("POST", `/api/v1/app/${app}/endpoint`, { url: receiver.url });
  await send(many);
  await arrived(many);
  page = await openPage(browser);
  page.on("request", (r) => {
    const url = new URL(r.url());
    if (!url.pathname.startsWith("/api/v1/msg")) return;
    const one = { list: url.pathname === "/api/v1/msg", iterator: url.searchParams.get("iterator") ?? "", over: false };
    one.data = r.response().then((x) => x?.json()).catch(() => undefined).finally(() => (one.over = true));
    asked.push(one);
  });
  await signIn(page, server, "/messages");
});
after(async () => {
  await browser?.close();
  await server?.stop();
  await receiver?.stop();
  assert.deepEqual(page?.errors, []);
});

/** Sends messages, 32 at a time. */
async function send(n) {
  let next = 0;
  const some = async () => {
    while (next++ < n) await server.api("POST", `/api/v1/app/${app}/msg`, { eventType: "order.paid", payload: { n: next } });
  };
  await Promise.all(Array.from({ length: 32 }, some));
}
const arrived = (n) => until(`${n} deliveries`, () => receiver.got.length >= n, 60_000);
const frames = () => page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
const lists = () => asked.filter((a) => a.list);

/** Opens the table anew, live and at its top. */
async function open(query = "") {
  await page.goto("about:blank");
  asked = [];
  await page.goto(`${server.url}/#/messages${query}`);
  await page.locator("[data-at='0']").waitFor();
  await page.locator(".live.on").waitFor();
}

/** Waits until the page has asked for nothing for a second: what it had to do is done. */
async function quiet() {
  let [n, since] = [-1, 0];
  await until("the page asks for nothing more", () => {
    if (asked.length !== n || asked.some((a) => !a.over)) [n, since] = [asked.length, Date.now()];
    return Date.now() - since > 1000;
  }, 15_000);
}

/** The rows that are seen, with where they stand. */
const seen = () => page.evaluate(() => {
  const box = document.querySelector("[data-scroller]").getBoundingClientRect();
  const rows = [...document.querySelectorAll("[data-at]")].map((r) => ({ href: r.querySelector("a").getAttribute("href"), y: r.getBoundingClientRect().top }));
  return rows.filter((r) => r.y > box.top + 120 && r.y < box.bottom - 44).sort((a, b) => a.y - b.y);
});
const scrollTo = async (y) => {
  await page.evaluate((to) => document.querySelector("[data-scroller]").scrollTo(0, to), y);
  await frames();
};

test("a first load is at most 100 KB, whatever the screen", async () => {
  const client = await page.context().newCDPSession(page);
  await client.send("Network.enable");
  await client.send("Network.setCacheDisabled", { cacheDisabled: true });
  const files = new Map();
  client.on("Network.requestWillBeSent", (e) => { if (!new URL(e.request.url).pathname.startsWith("/api/")) files.set(e.requestId, 0); });
  client.on("Network.loadingFinished", (e) => { if (files.has(e.requestId)) files.set(e.requestId, e.encodedDataLength); });
  for (const [where, title] of [["/messages", "Messages"], ["/", "Overview"]]) {
    await page.goto("about:blank");
    files.clear();
    await page.goto(`${server.url}/#${where}`);
    await page.locator("h1", { hasText: title }).waitFor();
    await until("all files are there", () => files.size > 3 && [...files.values()].every((n) => n > 0));
    const bytes = [...files.values()].reduce((a, b) => a + b);
    assert.ok(bytes <= 100_000, `${where} needs ${bytes} bytes in ${files.size} files`);
  }
  await client.detach();
});

test("scrolling through every page: few rows stand in the page, and each page is read once", async () => {
  await open();
  const found = await page.evaluate(async () => {
    const scroller = document.querySelector("[data-scroller]");
    const rows = new Map();
    let most = 0;
    for (;;) {
      const here = [...document.querySelectorAll("[data-at]")];
      for (const r of here) rows.set(Number(r.dataset.at), r.querySelector("a").getAttribute("href"));
      most = Math.max(most, here.length);
      const end = scroller.scrollTop + scroller.clientHeight >= scroller.scrollHeight - 1;
      if (end && document.querySelector(".end")?.textContent.includes("That is all")) return { most, rows: [...rows].sort((a, b) => a[0] - b[0]) };
      scroller.scrollTop += 500;
      await new Promise(requestAnimationFrame);
    }
  });
  assert.ok(found.most <= mostRows, `${found.most} rows stood in the page at once`);
  assert.deepEqual(found.rows.map(([at]) => at), Array.from({ length: many }, (_, i) => i), "each row was seen, at its place");
  const answers = await Promise.all(lists().map((a) => a.data));
  assert.deepEqual(lists().map((a) => a.iterator), ["", ...answers.slice(0, -1).map((a) => a.iterator)], "each page is asked for once, with the iterator of the one before");
  assert.deepEqual(answers.flatMap((a) => a.data.map((m) => `#/messages/${m.id}`)), found.rows.map(([, href]) => href), "what is shown is what came, in its order");
  assert.equal(asked.length, many / size);
});

test("a page that fails is not asked for again and again", async () => {
  await open();
  await quiet();
  const broken = (url) => url.pathname === "/api/v1/msg" && url.searchParams.has("iterator");
  await page.route(broken, (r) => r.fulfill({ status: 400, contentType: "application/json", body: '{"code":"bad","detail":"the disk is full"}' }));
  const before = asked.length;
  await scrollTo(1e6);
  await page.getByText("The disk is full").waitFor();
  await quiet();
  assert.equal(asked.length - before, 1);
  await page.unroute(broken);
  await page.getByRole("button", { name: "Look further back" }).click();
  await page.locator(`[data-at='${size + 3}']`).waitFor();
});

test("a burst while one looks on: requests, elements and drawing are bounded", async () => {
  await open();
  await quiet();
  const before = { asked: asked.length, got: receiver.got.length, elements: await page.evaluate(() => document.querySelectorAll("*").length) };
  await page.evaluate(() => {
    const list = document.querySelector(".list");
    window.drawn = { looks: 0, rows: 0, elements: 0, changes: 0 };
    let changed = false;
    new MutationObserver(() => (changed = true)).observe(list, { childList: true, subtree: true, characterData: true });
    const frame = () => {
      if (changed) {
        window.drawn.looks++;
        window.drawn.rows = Math.max(window.drawn.rows, document.querySelectorAll("[data-at]").length);
        window.drawn.elements = Math.max(window.drawn.elements, document.querySelectorAll("*").length);
      }
      changed = false;
      requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
  });
  const began = Date.now();
  await send(many);
  await arrived(before.got + many);
  await quiet();
  // Five looks a second, each of one list at most. Singly only those are looked up whose attempt
  // came after the list was read: not one in twenty messages. It was as many as there were messages.
  const looks = Math.ceil((Date.now() - began) / 200);
  const since = asked.slice(before.asked);
  const l = since.filter((a) => a.list).length;
  assert.ok(l > 0 && l <= looks + 1, `${l} lists were asked for in ${looks} times 200 ms`);
  assert.ok(since.length - l <= many / 20, `${since.length - l} of ${many} messages were looked up singly`);
  const drawn = await page.evaluate(() => window.drawn);
  assert.ok(drawn.looks > 0 && drawn.looks <= 2 * looks, `the list was drawn ${drawn.looks} times in ${looks} times 200 ms, for ${2 * many} events`);
  assert.ok(drawn.rows <= mostRows && drawn.elements < before.elements + 100, JSON.stringify({ before, drawn }));
  const newest = (await server.api("GET", "/api/v1/msg?limit=10")).data;
  assert.ok(newest.every((m) => m.state === "delivered"));
  const rows = await page.locator("[data-at]").evaluateAll((all) => all.sort((a, b) => a.dataset.at - b.dataset.at).slice(0, 10).map((r) => `${r.querySelector("a").getAttribute("href")} ${r.querySelector(".state").textContent.trim().toLowerCase()}`));
  assert.deepEqual(rows, newest.map((m) => `#/messages/${m.id} delivered`), "at the end the newest stand there, as they are");
});

test("while one reads further down nothing moves and nothing is read", async () => {
  await open();
  await scrollTo(3000);
  await quiet();
  const [rows, n, got] = [await seen(), asked.length, receiver.got.length];
  assert.ok(rows.length > 10);
  await send(500);
  await arrived(got + 500);
  await page.getByRole("button", { name: "500 new" }).waitFor();
  await quiet();
  assert.deepEqual(await seen(), rows);
  assert.equal(asked.length, n, "nothing that came is in the list");
  await page.getByRole("button", { name: "500 new" }).click();
  const newest = (await server.api("GET", "/api/v1/msg?limit=1")).data[0].id;
  await page.locator(`[data-at='0'] a[href='#/messages/${newest}']`).waitFor();
  assert.equal(await page.getByRole("button", { name: /^\d+ new$/ }).count(), 0);
});

test("what was asked for at the top does not move rows when it comes while one reads", async () => {
  await open();
  await quiet();
  const newest = (url) => url.pathname === "/api/v1/msg" && !url.searchParams.has("iterator");
  let free;
  const held = new Promise((done) => (free = done));
  await page.route(newest, async (r) => (await held, r.continue()));
  const n = asked.length;
  await send(1);
  await until("the page asks for the newest", () => asked.length > n);
  await scrollTo(1000);
  const rows = await seen();
  free();
  await asked[n].data;
  await page.getByRole("button", { name: "1 new" }).waitFor();
  assert.deepEqual(await seen(), rows);
  await page.unroute(newest);
});

test("a filter's rows stay when much comes that does not fit it", async () => {
  const rare = await server.api("POST", `/api/v1/app/${app}/msg`, { eventType: "order.lost", payload: { n: "needle-7" } });
  await send(1100); // more than one request looks at
  await open("?q=needle-7");
  await page.locator(`a[href='#/messages/${rare.id}']`).waitFor();
  await quiet();
  const n = asked.length;
  await send(5);
  await until("the page looks again", () => asked.length > n);
  await quiet();
  assert.equal(await page.locator("[data-at]").count(), 1);
});

test("who does not read his stream holds nothing up, and misses nothing", async () => {
  const { hostname, port } = new URL(server.url);
  const place = await lastPlace();
  const got = receiver.got.length;
  const sockets = Array.from({ length: 5 }, () => createConnection(port, hostname).pause());
  for (const s of sockets) s.write(`GET /api/v1/stream?kinds=attempt&last_event_id=${place} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${server.token}\r\n\r\n`);
  await send(many);
  await arrived(got + many);
  assert.equal(receiver.got.length, got + many);
  for (const s of sockets) assert.equal(s.bytesRead, 0, "it was not read meanwhile");
  // More was written for each than the system keeps for a reader, so they stood.
  const read = await Promise.all(sockets.map(readAttempts));
  for (const ids of read) assert.deepEqual([ids.length, new Set(ids).size], [many, many], "each attempt comes once");
  for (const s of sockets) s.destroy();
});

/** The place where a new stream begins. */
async function lastPlace() {
  const stop = new AbortController();
  const r = await fetch(`${server.url}/api/v1/stream`, { headers: { authorization: `Bearer ${server.token}` }, signal: stop.signal });
  let text = "";
  for await (const chunk of r.body.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    const id = /^id: (\S+)$/m.exec(text)?.[1];
    if (id) return (stop.abort(), id);
  }
}

/** The ids of attempts, until as many as were sent have come. */
function readAttempts(socket) {
  const ids = [];
  let text = "";
  return new Promise((done, fail) => {
    socket.on("data", (b) => {
      text += b;
      const lines = text.split("\n");
      text = lines.pop();
      for (const l of lines) if (l.startsWith("data: ")) ids.push(/"id":"(atmpt_\w+)"/.exec(l)?.[1] ?? l.slice(0, 200));
      if (ids.length >= many) done(ids);
    });
    socket.on("error", fail).on("close", () => fail(new Error(`the stream ended after ${ids.length} attempts`)));
    socket.resume();
  });
}
