// The real program on a temporary data directory, and a receiver whose answers
// a test chooses. Nothing here leaves loopback.
import { execFile, spawn } from "node:child_process";
import { createHmac } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

export const root = fileURLToPath(new URL("../..", import.meta.url));
let built;

/** Builds the program once. WEB_TEST_BINARY names one that is there already. */
function binary(dir) {
  if (process.env.WEB_TEST_BINARY) return Promise.resolve(process.env.WEB_TEST_BINARY);
  const out = path.join(dir, "sigpost");
  built ??= promisify(execFile)("go", ["build", "-o", out, "./cmd/sigpost"], { cwd: root }).then(() => out);
  return built;
}

export async function until(what, condition, patience = 30_000) {
  const end = Date.now() + patience;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (Date.now() > end) throw new Error(`waited in vain: ${what}`);
    await new Promise((done) => setTimeout(done, 25));
  }
}

function freePort() {
  return new Promise((done) => {
    const s = createServer().listen(0, "127.0.0.1", () => {
      const { port } = s.address();
      s.close(() => done(port));
    });
  });
}

/** Starts the program; the configuration may say more. `kept` is the directory of one that was left. */
export async function startServer(extra = "", kept = "") {
  const dir = kept || (await mkdtemp(path.join(tmpdir(), "sigpost-web-")));
  const program = await binary(dir);
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const config = path.join(dir, "sigpost.yaml");
  const data = path.join(dir, "data");
  await writeFile(config, `listen: 127.0.0.1:${port}\ndata: ${data}\npublic_url: ${url}\nallow_nets: ["127.0.0.0/8"]\n${extra}`);
  const child = spawn(program, ["serve", "--config", config], { stdio: ["ignore", "pipe", "pipe"] });
  let log = "";
  child.stdout.on("data", (b) => (log += b));
  child.stderr.on("data", (b) => (log += b));
  let gone = false;
  child.on("exit", () => (gone = true));
  await until("the server answers", async () => {
    if (gone) throw new Error(`the server ended:\n${log}`);
    return fetch(`${url}/health`).then((r) => r.ok, () => false);
  });
  const token = (await until("the first key", () => readFile(path.join(data, "admin.key"), "utf8").catch(() => ""))).trim();
  const api = (method, at, body, with_ = token) => call(url, method, at, body, with_);
  /** Stops it and keeps its data. */
  const leave = async () => {
    child.kill("SIGTERM");
    await until("the server ends", () => gone);
    return dir;
  };
  return { url, token, api, data, log: () => log, program, leave, stop: async () => rm(await leave(), { recursive: true, force: true }) };
}

async function call(url, method, at, body, token) {
  const r = await fetch(url + at, { method, headers: { authorization: `Bearer ${token}`, "content-type": "application/json" }, body: body === undefined ? undefined : JSON.stringify(body) });
  const text = await r.text();
  if (!r.ok) throw Object.assign(new Error(`${method} ${at}: ${r.status} ${text}`), { status: r.status });
  return text ? JSON.parse(text) : undefined;
}

/** A receiver: records what comes, and answers as it is told. */
export async function startReceiver() {
  const got = [];
  const receiver = { status: 204, body: "", got };
  const server = createServer((req, res) => {
    const chunks = [];
    req.on("data", (c) => chunks.push(c));
    req.on("end", () => {
      got.push({ path: req.url, headers: req.headers, body: Buffer.concat(chunks) });
      res.writeHead(receiver.status, { "content-type": "application/json" }).end(receiver.body);
    });
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  receiver.url = `http://127.0.0.1:${server.address().port}`;
  receiver.stop = () => new Promise((done) => { server.closeAllConnections(); server.close(done); });
  return receiver;
}

/** Posts as Veriff does. */
export function postVeriff(url, secret, body) {
  const signature = createHmac("sha256", secret).update(body).digest("hex");
  return fetch(url, { method: "POST", headers: { "content-type": "application/json", "x-hmac-signature": signature }, body });
}

export const veriffSample = (name) => readFile(path.join(root, "internal/provider/samples/veriff", name), "utf8");
