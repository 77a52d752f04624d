// The load of measure.mjs, in a thread of its own: posts messages at a fixed rate
// to an application, and receives what is delivered.
import { Agent, createServer, request } from "node:http";
import { parentPort, workerData } from "node:worker_threads";

const sent = new Map(); // when each was posted, by its number
let arrived = []; // how long each took, in ms
let number = 0;

const receiver = createServer((req, res) => {
  const chunks = [];
  req.on("data", (c) => chunks.push(c));
  req.on("end", () => {
    const { n } = JSON.parse(Buffer.concat(chunks));
    const at = sent.get(n);
    if (at !== undefined) arrived.push(performance.now() - at);
    sent.delete(n);
    res.writeHead(204).end();
  });
});

const agent = new Agent({ keepAlive: true, maxSockets: 64 });
const filling = "x".repeat(900);

function post({ url, token, app }, due) {
  const n = number++;
  const body = JSON.stringify({ eventType: "bench.live", payload: { n, filling } });
  sent.set(n, due);
  return new Promise((done, fail) => {
    const headers = { authorization: `Bearer ${token}`, "content-type": "application/json", "content-length": body.length };
    const req = request(`${url}/api/v1/app/${app}/msg`, { method: "POST", agent, headers }, (res) => res.resume().on("end", () => (res.statusCode < 300 ? done() : fail(new Error(`POST was answered ${res.statusCode}`)))));
    req.on("error", fail);
    req.end(body);
  });
}

/** Posts rate messages a second; each counts from when it was due. Ends when all have arrived. */
async function run({ target, rate, seconds }) {
  arrived = [];
  const began = performance.now();
  const all = [];
  while (all.length < rate * seconds) {
    const due = Math.min(rate * seconds, Math.floor(((performance.now() - began) * rate) / 1000) + 1);
    while (all.length < due) all.push(post(target, began + (all.length * 1000) / rate));
    await new Promise((done) => setTimeout(done, 2));
  }
  await Promise.all(all);
  const end = Date.now() + 60_000;
  while (sent.size && Date.now() < end) await new Promise((done) => setTimeout(done, 2));
  const took = (performance.now() - began) / 1000;
  arrived.sort((a, b) => a - b);
  return { posted: all.length, missing: sent.size, perSecond: arrived.length / took, p50: arrived[arrived.length >> 1], p99: arrived[Math.floor(arrived.length * 0.99)] };
}

receiver.listen(0, "127.0.0.1", () => parentPort.postMessage({ url: `http://127.0.0.1:${receiver.address().port}` }));
parentPort.on("message", async (m) => parentPort.postMessage(await run({ target: workerData, ...m })));
