import assert from "node:assert/strict";
import { test } from "node:test";
import {
  all, application, delivered, eventually, fails, fresh, hook, isDate, isId, put, rate, rateOf, setHeaders, svix, verify, wanted, wants,
} from "./harness.mjs";

test("an endpoint is what it was made as, by id and by uid", async () => {
  const app = await application();
  const fields = { url: hook().url, description: "orders", uid: fresh("ep"), channels: ["eu"], metadata: { team: "a" }, ...rate(50), ...wants(["order.made"]) };
  const made = await svix.endpoint.create(app.uid, fields);
  isId("ep", made.id);
  isDate(made.createdAt, "createdAt");
  isDate(made.updatedAt, "updatedAt");
  assert.deepEqual([made.url, made.description, made.uid, made.channels, made.metadata], [fields.url, "orders", fields.uid, ["eu"], { team: "a" }]);
  assert.deepEqual([made.disabled, rateOf(made), wanted(made)], [false, 50, ["order.made"]]);
  assert.deepEqual(await svix.endpoint.get(app.id, made.id), made);
  assert.deepEqual(await svix.endpoint.get(app.uid, made.uid), made);
});

test("endpoints are listed page by page", async () => {
  const app = await application();
  const made = [];
  for (let i = 0; i < 5; i++) made.push((await svix.endpoint.create(app.id, { url: hook().url })).id);
  const listed = await all((page) => svix.endpoint.list(app.id, { ...page, order: "ascending" }), 2);
  assert.deepEqual(listed.map((e) => e.id), made);
});

test("PUT replaces an endpoint, and PATCH changes what it names", async () => {
  const app = await application();
  const made = await svix.endpoint.create(app.id, { url: hook().url, description: "one", channels: ["eu"], ...wants(["a.b"]) });
  const { url } = hook();
  const replaced = await put(svix.endpoint, app.id, made.id, { url, metadata: { x: "y" } });
  assert.deepEqual([replaced.id, replaced.url, replaced.description, replaced.metadata], [made.id, url, "", { x: "y" }]);
  assert.deepEqual([replaced.channels ?? null, wanted(replaced) ?? null], [null, null]);
  const patched = await svix.endpoint.patch(app.id, made.id, { description: "two", ...wants(["c.d"]), disabled: true });
  assert.deepEqual([patched.url, patched.description, wanted(patched), patched.disabled, patched.metadata], [url, "two", ["c.d"], true, { x: "y" }]);
  const cleared = await svix.endpoint.patch(app.id, made.id, { ...wants(null), disabled: false });
  assert.deepEqual([wanted(cleared) ?? null, cleared.disabled], [null, false]);
});

test("PUT with a new uid makes an endpoint", async () => {
  const app = await application();
  const uid = fresh("ep");
  const made = await put(svix.endpoint, app.id, uid, { url: hook().url, uid });
  assert.equal((await svix.endpoint.get(app.id, uid)).id, made.id);
});

test("a deleted endpoint is gone and gets nothing", async () => {
  const app = await application();
  const gone = hook();
  const kept = hook();
  const endpoint = await svix.endpoint.create(app.id, { url: gone.url });
  await svix.endpoint.create(app.id, { url: kept.url });
  await svix.endpoint.delete(app.id, endpoint.id);
  await fails(404, svix.endpoint.get(app.id, endpoint.id));
  await svix.message.create(app.id, { eventType: "a.b", payload: {} });
  await kept.came(1);
  await gone.came(0);
});

test("headers are added to requests, and those with credentials are not shown", async () => {
  const app = await application();
  const to = hook();
  const endpoint = await svix.endpoint.create(app.id, { url: to.url, headers: { "X-Made": "0" } });
  assert.deepEqual((await svix.endpoint.getHeaders(app.id, endpoint.id)).headers, { "X-Made": "0" });
  await setHeaders(svix.endpoint, app.id, endpoint.id, { headers: { "X-One": "1", "X-Two": "2", Authorization: "Bearer abc" } });
  const shown = await svix.endpoint.getHeaders(app.id, endpoint.id);
  assert.deepEqual([shown.headers, shown.sensitive], [{ "X-One": "1", "X-Two": "2" }, ["Authorization"]]);
  await svix.endpoint.patchHeaders(app.id, endpoint.id, { headers: { "X-Two": "two", "X-Three": "3" }, deleteHeaders: ["X-One"] });
  assert.deepEqual((await svix.endpoint.getHeaders(app.id, endpoint.id)).headers, { "X-Two": "two", "X-Three": "3" });
  await svix.message.create(app.id, { eventType: "a.b", payload: {} });
  const [{ headers }] = await to.came(1);
  assert.deepEqual([headers["x-one"], headers["x-two"], headers["x-three"], headers.authorization], [undefined, "two", "3", "Bearer abc"]);
});

test("an endpoint gets the event types and channels that it asked for", async () => {
  const app = await application();
  const [byType, byChannel, everything] = [hook(), hook(), hook()];
  await svix.endpoint.create(app.id, { url: byType.url, ...wants(["order.made", "order.paid"]) });
  await svix.endpoint.create(app.id, { url: byChannel.url, channels: ["eu"] });
  await svix.endpoint.create(app.id, { url: everything.url });
  await svix.message.create(app.id, { eventType: "order.paid", payload: { n: 1 } });
  await svix.message.create(app.id, { eventType: "user.made", payload: { n: 2 }, channels: ["eu"] });
  const last = await svix.message.create(app.id, { eventType: "user.made", payload: { n: 3 }, channels: ["us"] });
  await delivered(app.id, last.id);
  const numbers = async (to, n) => (await to.came(n)).map((r) => JSON.parse(r.body).n).sort();
  assert.deepEqual([await numbers(byType, 1), await numbers(byChannel, 1), await numbers(everything, 3)], [[1], [2], [1, 2, 3]]);
});

test("a disabled endpoint gets nothing", async () => {
  const app = await application();
  const [off, on] = [hook(), hook()];
  await svix.endpoint.create(app.id, { url: off.url, disabled: true });
  await svix.endpoint.create(app.id, { url: on.url });
  await svix.message.create(app.id, { eventType: "a.b", payload: {} });
  await on.came(1);
  await off.came(0);
});

test("statistics count an endpoint's deliveries", async () => {
  const app = await application();
  const to = hook();
  const endpoint = await svix.endpoint.create(app.id, { url: to.url });
  assert.deepEqual((await svix.endpoint.getStats(app.id, endpoint.id)).success, 0);
  for (let i = 0; i < 3; i++) await svix.message.create(app.id, { eventType: "a.b", payload: { i } });
  await to.came(3);
  await eventually(async () => {
    const { success, pending, fail, sending } = await svix.endpoint.getStats(app.id, endpoint.id);
    assert.deepEqual([success, pending, fail, sending], [3, 0, 0, 0]);
  });
  const hour = 3600_000;
  const earlier = await svix.endpoint.getStats(app.id, endpoint.id, { since: new Date(Date.now() - 2 * hour), until: new Date(Date.now() - hour) });
  assert.equal(earlier.success, 0);
});

test("an example is made from the schema of its event type and sent to one endpoint", async () => {
  const app = await application();
  const [to, other] = [hook(), hook()];
  const name = fresh("example").replaceAll("-", "_");
  const schema = { type: "object", properties: { number: { type: "integer" } }, required: ["number"], examples: [{ number: 42 }] };
  await svix.eventType.create({ name, description: "an example", schemas: { 1: schema } });
  const endpoint = await svix.endpoint.create(app.id, { url: to.url });
  await svix.endpoint.create(app.id, { url: other.url });
  const sent = await svix.endpoint.sendExample(app.id, endpoint.id, { eventType: name });
  isId("msg", sent.id);
  const [request] = await to.came(1);
  const { key } = await svix.endpoint.getSecret(app.id, endpoint.id);
  assert.deepEqual([verify(key, request), sent.payload], [{ number: 42 }, { number: 42 }]);
  await other.came(0);
});
