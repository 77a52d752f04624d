// Measures the dashboard with a large store, for docs/performance.md:
//
//	node web/test/measure.mjs [messages, a million unless said] [pages to scroll, 300]
//
// It fills a store as the bench does (some minutes and 4 GB below TMPDIR, removed
// again) and drives a browser against the real program. Nothing is asserted: what
// can be counted is, in scale.test.mjs.
import { execFile } from "node:child_process";
import { createHmac, randomBytes } from "node:crypto";
import { rm } from "node:fs/promises";
import os from "node:os";
import { promisify } from "node:util";
import { Worker } from "node:worker_threads";
import { openPage, signIn, startBrowser } from "./browser.mjs";
import { root, startServer } from "./server.mjs";

const messages = Number(process.argv[2] ?? 1_000_000);
const pages = Number(process.argv[3] ?? 300);
const rounds = 3;
const live = { rate: 1000, seconds: 10 };
const organization = "org_bench";
const secret = randomBytes(24).toString("hex");
const settings = `jwt_secret: ${secret}\n`;

/** A token as its owner signs it: HS256, RFC 7519. */
function jwt() {
  const now = Math.floor(Date.now() / 1000);
  const text = [{ alg: "HS256", typ: "JWT" }, { sub: organization, iat: now, exp: now + 86_400 }].map((o) => Buffer.from(JSON.stringify(o)).toString("base64url")).join(".");
  return `${text}.${createHmac("sha256", secret).update(text).digest("base64url")}`;
}

const target = { token: jwt(), url: "", app: "" };

/** Has a thread post and receive; answers what came of it. */
function startLoad() {
  const worker = new Worker(new URL("load.mjs", import.meta.url), { workerData: target });
  const next = () => new Promise((done, fail) => worker.once("message", done).once("error", fail));
  return { ready: next(), run: (what) => (worker.postMessage(what), next()), stop: () => worker.terminate() };
}

/** A running server whose store is full. */
async function fill() {
  const first = await startServer(settings);
  const app = (await first.api("POST", "/api/v1/app", { name: "Acme" }, target.token)).id;
  const endpoint = (await first.api("POST", `/api/v1/app/${app}/endpoint`, { url: "http://127.0.0.1:9/" }, target.token)).id;
  const dir = await first.leave();
  try {
    await promisify(execFile)("go", ["run", "./bench", "fill", "-data", first.data, "-org", organization, "-app", app, "-endpoint", endpoint, "-messages", String(messages)], { cwd: root });
    // Those that are meant to fail are due in a day, at nobody.
    return await startServer(settings, dir);
  } catch (e) {
    await rm(dir, { recursive: true, force: true });
    throw e;
  }
}

/** Runs in the page: notes frames and long tasks until it is asked for them. */
function watchFrames() {
  const frames = [];
  const long = [];
  let last = 0;
  let on = true;
  const seen = new PerformanceObserver((l) => long.push(...l.getEntries().map((e) => e.duration)));
  seen.observe({ type: "longtask" });
  const frame = (at) => {
    if (last) frames.push(at - last);
    last = at;
    if (on) requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
  window.framesSeen = () => {
    on = false;
    seen.disconnect();
    frames.sort((a, b) => a - b);
    const q = (p) => frames[Math.min(frames.length - 1, Math.floor(frames.length * p))];
    return { frames: frames.length, p50: q(0.5), p99: q(0.99), longest: frames.at(-1), over50: frames.filter((f) => f > 50).length, tasks: long.length, longestTask: Math.max(0, ...long) };
  };
}

/** Runs before the page: notes when rows stand there, and when one answers a key. */
function watchStart() {
  window.started = new Promise((done) => {
    let rows = 0;
    const look = () => {
      if (!rows && document.querySelector("[data-at]")) {
        rows = performance.now();
        document.body.dispatchEvent(new KeyboardEvent("keydown", { key: "j", bubbles: true }));
      }
      if (rows && document.activeElement?.closest("[data-at]")) done({ rows, key: performance.now() });
      else requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
  });
}

/** Seconds of CPU that the page's main thread has taken: what other programs do does not count. */
async function cpuOf(page) {
  const client = await page.context().newCDPSession(page);
  await client.send("Performance.enable", { timeDomain: "threadTicks" });
  const read = async () => Object.fromEntries((await client.send("Performance.getMetrics")).metrics.map((m) => [m.name, m.value]));
  const from = await read();
  return async () => {
    const to = await read();
    await client.detach();
    return { all: to.TaskDuration - from.TaskDuration, script: to.ScriptDuration - from.ScriptDuration };
  };
}

const middle = (list) => list.toSorted((a, b) => a - b)[list.length >> 1];
const ms = (n) => `${n.toFixed(1)} ms`;
const say = (what, ...figures) => console.log(what.padEnd(40), ...figures);
const sayFrames = (what, f) => say(what, `p50 ${ms(f.p50)}, p99 ${ms(f.p99)}, longest ${ms(f.longest)}; ${f.over50} of ${f.frames} over 50 ms; ${f.tasks} long tasks, longest ${ms(f.longestTask)}`);

async function firstLoads(page, server) {
  const client = await page.context().newCDPSession(page);
  await client.send("Network.enable");
  for (const cold of [true, false]) {
    await client.send("Network.setCacheDisabled", { cacheDisabled: cold });
    const all = [];
    let bytes = 0;
    const count = (e) => (bytes += e.encodedDataLength);
    client.on("Network.loadingFinished", count);
    for (let i = 0; i < 11; i++) {
      await page.goto("about:blank");
      bytes = 0;
      await page.goto(`${server.url}/#/messages`);
      all.push({ ...(await page.evaluate(() => window.started)), bytes });
    }
    client.off("Network.loadingFinished", count);
    const keys = all.map((x) => x.key);
    const of = cold ? "first load" : "later load";
    say(`${of}, first rows`, ms(middle(all.map((x) => x.rows))));
    say(`${of}, a row answers a key`, `${ms(middle(keys))} (${ms(Math.min(...keys))} to ${ms(Math.max(...keys))})`);
    say(`${of}, received`, `${(middle(all.map((x) => x.bytes)) / 1024).toFixed(1)} KiB, headers and answers of the API included`);
  }
  await client.detach();
}

async function scrolling(page) {
  let asked = 0;
  const count = (r) => (asked += /\/api\/v1\/msg\?/.test(r.url()) ? 1 : 0);
  page.on("request", count);
  const cpu = await cpuOf(page);
  await page.evaluate(watchFrames);
  const f = await page.evaluate(async (end) => {
    const s = document.querySelector("[data-scroller]");
    const began = performance.now();
    let most = 0;
    while (s.scrollTop < end && performance.now() - began < 120_000) {
      s.scrollTop += 400; // 24,000 px a second: a wheel that is spun
      await new Promise(requestAnimationFrame);
      most = Math.max(most, document.querySelectorAll("[data-at]").length);
    }
    return { ...window.framesSeen(), most, seconds: (performance.now() - began) / 1000, at: s.scrollTop };
  }, pages * 50 * 44);
  page.off("request", count);
  sayFrames(`scrolling through ${asked} pages`, f);
  const { all, script } = await cpu();
  say("", `${Math.round(f.at / 44)} rows in ${f.seconds.toFixed(1)} s; at most ${f.most} of them in the page; CPU of the page's thread ${ms((all / f.frames) * 1000)} a frame, scripts ${ms((script / f.frames) * 1000)}`);
}

async function liveView(page, server, load) {
  const all = { without: [], with: [] };
  for (let i = 0; i < rounds; i++) {
    await page.goto("about:blank");
    all.without.push(await load.run(live));
    await page.goto(`${server.url}/#/messages`);
    await page.locator(".live.on").waitFor();
    let asked = 0;
    const count = () => asked++;
    page.on("request", count);
    const cpu = await cpuOf(page);
    await page.evaluate(watchFrames);
    const r = await load.run(live);
    const f = await page.evaluate(() => window.framesSeen());
    page.off("request", count);
    all.with.push(r);
    sayFrames(`live at ${live.rate}/s for ${live.seconds} s, round ${i + 1}`, f);
    const { all: busy, script } = await cpu();
    const seconds = r.posted / r.perSecond;
    say("", `CPU of the page's thread ${((100 * busy) / seconds).toFixed(0)} % of a core, scripts ${((100 * script) / seconds).toFixed(0)} %; ${asked} requests, ${await page.evaluate(() => document.querySelectorAll("*").length)} elements`);
  }
  for (const [which, runs] of Object.entries(all)) {
    for (const r of runs) say(`delivered, ${which} the dashboard`, `${r.perSecond.toFixed(0)}/s; from when it was due p50 ${ms(r.p50)}, p99 ${ms(r.p99)}; ${r.missing} of ${r.posted} missing`);
  }
}

async function measure() {
  console.log(`${new Date().toISOString()} · node web/test/measure.mjs ${process.argv.slice(2).join(" ")}\n${os.cpus()[0].model}, ${os.cpus().length} cores · ${os.type()} ${os.release()} · load ${os.loadavg().map((n) => n.toFixed(1)).join(" ")}`);
  const began = Date.now();
  const server = await fill();
  say("messages in the store", `${messages}, written in ${((Date.now() - began) / 1000).toFixed(0)} s`);
  const browser = await startBrowser();
  let load;
  try {
    Object.assign(target, { url: server.url, app: (await server.api("POST", "/api/v1/app", { name: "Live" }, target.token)).id });
    load = startLoad();
    await server.api("POST", `/api/v1/app/${target.app}/endpoint`, { url: (await load.ready).url }, target.token);
    const page = await openPage(browser);
    await page.addInitScript(watchStart);
    await signIn(page, { ...server, token: target.token }, "/messages");
    await firstLoads(page, server);
    await scrolling(page);
    await liveView(page, server, load);
    console.log(`load at the end ${os.loadavg().map((n) => n.toFixed(1)).join(" ")} · Chromium ${browser.version()}`);
    if (page.errors.length) console.log(page.errors);
  } finally {
    await load?.stop();
    await browser.close();
    await server.stop();
  }
}

await measure();
