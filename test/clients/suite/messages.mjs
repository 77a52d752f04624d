import assert from "node:assert/strict";
import { test } from "node:test";
import { all, application, delivered, eventually, fails, fresh, hook, isDate, isId, svix, two, wants } from "./harness.mjs";

// Version 2 leaves content out unless it is asked for.
const withContent = { withContent: true };

const payload = { text: "grüße, 世界 🎉 </script>", nested: { list: [1, 2.5, true, null, ""] } };

test("a message is what it was made as, and arrives byte for byte", async () => {
  const app = await application();
  const to = hook();
  await svix.endpoint.create(app.id, { url: to.url });
  const eventId = fresh("event");
  const made = await svix.message.create(app.uid, { eventType: "user.made", payload, eventId, tags: ["blue"], channels: ["eu"] }, withContent);
  isId("msg", made.id);
  isDate(made.timestamp, "timestamp");
  assert.deepEqual([made.eventType, made.eventId, made.payload, made.tags, made.channels], ["user.made", eventId, payload, ["blue"], ["eu"]]);
  assert.deepEqual(await svix.message.get(app.id, made.id, withContent), made);
  assert.deepEqual(await svix.message.get(app.uid, eventId, withContent), made);
  const [request] = await to.came(1);
  assert.equal(request.body, JSON.stringify(payload));
  assert.equal(request.headers["content-type"], "application/json");
});

test("content is left out on request", async () => {
  const app = await application();
  const seen = async (options) => {
    const made = await svix.message.create(app.id, { eventType: "a.b", payload }, options);
    const got = await svix.message.get(app.id, made.id, options);
    const { data: [listed] } = await svix.message.list(app.id, options);
    return [made.payload, got.payload, listed.payload];
  };
  assert.deepEqual(await seen({ withContent: true }), [payload, payload, payload]);
  assert.deepEqual(await seen({ withContent: false }), [{}, {}, {}]);
  assert.deepEqual(await seen(), two ? [{}, {}, {}] : [payload, payload, payload]);
});

test("an eventId is taken once", async () => {
  const app = await application();
  const eventId = fresh("event");
  await svix.message.create(app.id, { eventType: "a.b", payload: { n: 1 }, eventId });
  await fails(409, svix.message.create(app.id, { eventType: "a.b", payload: { n: 2 }, eventId }));
  assert.deepEqual((await svix.message.list(app.id, withContent)).data.map((m) => m.payload), [{ n: 1 }]);
  const elsewhere = await application();
  assert.equal((await svix.message.create(elsewhere.id, { eventType: "a.b", payload: {}, eventId })).eventId, eventId);
});

test("an idempotency key makes one message of many requests, and goes with one body", async () => {
  const app = await application();
  const to = hook();
  await svix.endpoint.create(app.id, { url: to.url });
  const idempotencyKey = fresh("key");
  const send = (n) => svix.message.create(app.id, { eventType: "a.b", payload: { n } }, { idempotencyKey });
  const made = await Promise.all([1, 1, 1, 1, 1, 1, 1, 1].map(send));
  assert.deepEqual(new Set(made.map((m) => m.id)).size, 1);
  await fails(409, send(2));
  await delivered(app.id, made[0].id);
  await to.came(1);
  assert.equal((await svix.message.list(app.id)).data.length, 1);
});

test("an idempotency key holds for applications as well", async () => {
  const idempotencyKey = fresh("key");
  const make = () => svix.application.create({ name: "once" }, { idempotencyKey });
  assert.equal((await make()).id, (await make()).id);
  await fails(409, svix.application.create({ name: "twice" }, { idempotencyKey }));
});

test("a message makes the application that it describes", async () => {
  const uid = fresh("inline");
  const made = await svix.message.create(uid, { eventType: "a.b", payload: {}, application: { name: "inline", uid } });
  const app = await svix.application.get(uid);
  assert.equal(app.name, "inline");
  assert.equal((await svix.message.get(app.id, made.id)).id, made.id);
  await svix.message.create(uid, { eventType: "a.b", payload: {}, application: { name: "another", uid } });
  assert.equal((await svix.application.get(uid)).name, "inline");
});

test("messages are listed the newest first, page by page", async () => {
  const app = await application();
  const made = [];
  for (let i = 0; i < 7; i++) made.push((await svix.message.create(app.id, { eventType: "a.b", payload: { i } })).id);
  const listed = await all((page) => svix.message.list(app.id, page), 3);
  assert.deepEqual(listed.map((m) => m.id), made.toReversed());
});

test("messages are found by event type, channel, tag and time", async () => {
  const app = await application();
  const make = async (eventType, more) => (await svix.message.create(app.id, { eventType, payload: {}, ...more })).id;
  const one = await make("order.made", { channels: ["eu"], tags: ["blue"] });
  const two = await make("order.paid", { channels: ["us"] });
  const three = await make("user.made", { tags: ["red"] });
  const found = async (filter) => (await svix.message.list(app.id, filter)).data.map((m) => m.id);
  assert.deepEqual(await found({ eventTypes: ["order.made", "order.paid"] }), [two, one]);
  assert.deepEqual(await found({ channel: "us" }), [two]);
  assert.deepEqual(await found({ tag: "red" }), [three]);
  const [past, future] = [new Date(Date.now() - 3600_000), new Date(Date.now() + 3600_000)];
  assert.deepEqual([await found({ before: past }), await found({ after: future })], [[], []]);
  assert.deepEqual(await found({ after: past, before: future }), [three, two, one]);
});

test("a precheck says whether anybody would get such a message", async () => {
  const app = await application();
  await svix.endpoint.create(app.id, { url: hook().url, ...wants(["order.made"]) });
  const active = async (eventType) => (await svix.message.precheck(app.id, { eventType })).active;
  assert.deepEqual([await active("order.made"), await active("user.made")], [true, false]);
});

test("a message that is due later is sent later", async () => {
  const app = await application();
  const to = hook();
  await svix.endpoint.create(app.id, { url: to.url });
  const deliverAt = new Date(Date.now() + 1500);
  const made = await svix.message.create(app.id, { eventType: "a.b", payload: {}, deliverAt });
  assert.equal(made.deliverAt?.getTime(), deliverAt.getTime());
  await to.came(1);
  assert.ok(Date.now() >= deliverAt.getTime(), "it was sent before its time");
});

const expungeByIds = async () => {
  const app = await application();
  const { id } = await svix.message.create(app.id, { eventType: "a.b", payload: { secret: "abc" } });
  const { results } = await svix.message.bulkExpungeContent(app.id, { ids: [id, "nobody"] });
  assert.deepEqual(results, { [id]: "expunged", nobody: "not-found" });
  assert.equal((await svix.message.get(app.id, id, withContent)).payload.secret, undefined);
};
if (two) test("payloads are expunged by their ids", expungeByIds); // version 1 has no such call

test("an expunged payload is gone, one or all", async () => {
  const app = await application();
  const secret = { secret: "abc" };
  const made = [];
  for (let i = 0; i < 3; i++) made.push(await svix.message.create(app.id, { eventType: "a.b", payload: secret }));
  const left = async () => (await svix.message.list(app.id, withContent)).data.filter((m) => m.payload.secret).length;
  assert.equal(await left(), 3);
  await svix.message.expungeContent(app.id, made[0].id);
  assert.equal((await svix.message.get(app.id, made[0].id, withContent)).payload.secret, undefined);
  assert.equal(await left(), 2);
  const task = await svix.message.expungeAllContents(app.id);
  isId("qtask", task.id);
  await eventually(async () => assert.equal((await svix.backgroundTask.get(task.id)).status, "finished"));
  assert.equal(await left(), 0);
});
