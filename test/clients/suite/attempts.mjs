import assert from "node:assert/strict";
import { test } from "node:test";
import { all, application, delivered, eventually, fails, hook, isDate, isId, svix } from "./harness.mjs";

// sent makes an application, an endpoint and a message that was tried.
async function sent(status = 200, more = {}) {
  const app = await application();
  const to = hook();
  await to.answer(status);
  const endpoint = await svix.endpoint.create(app.id, { url: to.url });
  const msg = await svix.message.create(app.id, { eventType: "order.made", payload: { n: 1 }, ...more });
  const { data } = await eventually(async () => {
    const page = await svix.messageAttempt.listByMsg(app.id, msg.id, { withContent: true });
    assert.equal(page.data.length, 1);
    return page;
  });
  return { app, to, endpoint, msg, attempt: data[0] };
}

test("an attempt tells the whole story", async () => {
  const { app, to, endpoint, msg, attempt } = await sent();
  isId("atmpt", attempt.id);
  isDate(attempt.timestamp, "timestamp");
  assert.deepEqual([attempt.msgId, attempt.endpointId, attempt.url], [msg.id, endpoint.id, to.url]);
  assert.deepEqual([attempt.status, attempt.statusText, attempt.triggerType], [0, "success", 0]);
  assert.deepEqual([attempt.response, attempt.responseStatusCode], ["answered 200", 200]);
  assert.ok(Number.isInteger(attempt.responseDurationMs) && attempt.responseDurationMs >= 0);
  assert.deepEqual(await svix.messageAttempt.get(app.id, msg.id, attempt.id), attempt);
});

test("attempts are listed by endpoint, with the message on request", async () => {
  const { app, endpoint, msg, attempt } = await sent();
  const list = (options) => svix.messageAttempt.listByEndpoint(app.id, endpoint.id, options);
  await eventually(async () => assert.deepEqual((await list()).data.map((a) => a.id), [attempt.id]));
  const [{ msg: found }] = (await list({ withMsg: true })).data;
  assert.deepEqual([found.id, found.eventType], [msg.id, "order.made"]);
  assert.equal((await list({ withContent: false })).data[0].response, "");
});

test("attempts are found by status, class, event type, channel, tag and time", async () => {
  const { app, endpoint, msg } = await sent(200, { channels: ["eu"], tags: ["blue"] });
  const hour = 3600_000;
  const [past, future] = [new Date(Date.now() - hour), new Date(Date.now() + hour)];
  for (const [count, filter] of [
    [1, { status: 0 }], [0, { status: 2 }], [1, { statusCodeClass: 200 }], [0, { statusCodeClass: 500 }],
    [1, { eventTypes: ["x.y", "order.made"] }], [0, { eventTypes: ["x.y"] }], [1, { channel: "eu" }], [0, { channel: "us" }],
    [1, { tag: "blue" }], [0, { tag: "red" }], [1, { after: past }], [0, { before: past }], [0, { after: future }],
  ]) {
    const what = JSON.stringify(filter);
    await eventually(async () => assert.equal((await svix.messageAttempt.listByEndpoint(app.id, endpoint.id, filter)).data.length, count, what));
    assert.equal((await svix.messageAttempt.listByMsg(app.id, msg.id, filter)).data.length, count, what);
  }
});

test("a failed attempt shows what was answered, and when the next one is", async () => {
  const { app, endpoint, msg, attempt } = await sent(503);
  assert.deepEqual([attempt.status, attempt.statusText, attempt.responseStatusCode, attempt.response], [2, "fail", 503, "answered 503"]);
  const { data: [destination] } = await svix.messageAttempt.listAttemptedDestinations(app.id, msg.id);
  assert.deepEqual([destination.id, destination.status, destination.statusText], [endpoint.id, 1, "pending"]);
  assert.ok(destination.nextAttempt > new Date(), `the next attempt is at ${destination.nextAttempt}`);
  const { data: [message] } = await svix.messageAttempt.listAttemptedMessages(app.id, endpoint.id, { withContent: true });
  assert.deepEqual([message.id, message.status, message.payload], [msg.id, 1, { n: 1 }]);
  assert.deepEqual(message.nextAttempt, destination.nextAttempt);
});

test("a message's endpoints and an endpoint's messages have their statuses", async () => {
  const { app, to, endpoint, msg } = await sent();
  await delivered(app.id, msg.id);
  const { data: destinations } = await svix.messageAttempt.listAttemptedDestinations(app.id, msg.id);
  assert.deepEqual(destinations.map((d) => [d.id, d.url, d.status, d.statusText]), [[endpoint.id, to.url, 0, "success"]]);
  isDate(destinations[0].createdAt, "createdAt");
  const list = (filter) => svix.messageAttempt.listAttemptedMessages(app.id, endpoint.id, filter);
  const { data: messages } = await eventually(async () => {
    const page = await list();
    assert.equal(page.data.length, 1);
    return page;
  });
  assert.deepEqual(messages.map((m) => [m.id, m.eventType, m.status, m.statusText]), [[msg.id, "order.made", 0, "success"]]);
  assert.deepEqual([(await list({ status: 0 })).data.length, (await list({ status: 2 })).data.length], [1, 0]);
});

test("a message that is resent comes again under its own id", async () => {
  const { app, to, endpoint, msg } = await sent();
  await svix.messageAttempt.resend(app.id, msg.id, endpoint.id);
  const ids = (await to.came(2)).map(({ headers }) => headers["webhook-id"] ?? headers["svix-id"]);
  assert.deepEqual(ids, [msg.id, msg.id]);
  await eventually(async () => {
    const { data } = await svix.messageAttempt.listByMsg(app.id, msg.id);
    assert.deepEqual(data.map((a) => [a.status, a.triggerType]), [[0, 1], [0, 0]]); // the newest first
  });
});

test("a message can be resent to an endpoint that never had it", async () => {
  const { app, msg } = await sent();
  const to = hook();
  const later = await svix.endpoint.create(app.id, { url: to.url });
  await svix.messageAttempt.resend(app.id, msg.id, later.id);
  assert.equal((await to.came(1))[0].body, '{"n":1}');
});

test("attempts are listed page by page", async () => {
  const { app, to, endpoint, msg } = await sent();
  for (let n = 2; n <= 5; n++) {
    await svix.messageAttempt.resend(app.id, msg.id, endpoint.id);
    await to.came(n);
    await eventually(async () => assert.equal((await svix.messageAttempt.listByMsg(app.id, msg.id)).data.length, n));
  }
  const byMsg = await all((page) => svix.messageAttempt.listByMsg(app.id, msg.id, page), 2);
  assert.equal(new Set(byMsg.map((a) => a.id)).size, 5);
  const byEndpoint = await all((page) => svix.messageAttempt.listByEndpoint(app.id, endpoint.id, page), 2);
  assert.deepEqual(byEndpoint.map((a) => a.id), byMsg.map((a) => a.id));
});

test("the answer of an attempt can be expunged", async () => {
  const { app, msg, attempt } = await sent();
  await svix.messageAttempt.expungeContent(app.id, msg.id, attempt.id);
  const { response, responseStatusCode } = await svix.messageAttempt.get(app.id, msg.id, attempt.id);
  assert.notEqual(response, "answered 200");
  assert.equal(responseStatusCode, 200);
});

test("an attempt belongs to its message", async () => {
  const { app, attempt } = await sent();
  const other = await svix.message.create(app.id, { eventType: "a.b", payload: {} });
  await fails(404, svix.messageAttempt.get(app.id, other.id, attempt.id));
});
