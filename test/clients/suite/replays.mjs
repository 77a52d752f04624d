import assert from "node:assert/strict";
import { test } from "node:test";
import { application, eventually, fails, hook, isDate, isId, svix, wants } from "./harness.mjs";

const anHourAgo = () => new Date(Date.now() - 3600_000);

// finished waits for a task and returns it.
async function finished(begun, task) {
  isId("qtask", begun.id);
  isDate(begun.updatedAt, "updatedAt");
  assert.equal(begun.task, task);
  assert.ok(["running", "finished"].includes(begun.status), begun.status);
  return eventually(async () => {
    const now = await svix.backgroundTask.get(begun.id);
    assert.deepEqual([now.status, now.task], ["finished", task], JSON.stringify(now.data));
    return now;
  });
}

test("recover sends again what failed, and nothing else", async () => {
  const app = await application();
  const to = hook();
  const endpoint = await svix.endpoint.create(app.id, { url: to.url });
  await svix.message.create(app.id, { eventType: "a.b", payload: { n: "delivered" } });
  await to.came(1);
  await to.answer(410); // ends the delivery, and the endpoint
  await svix.message.create(app.id, { eventType: "a.b", payload: { n: "failed" } });
  await to.came(2);
  await eventually(async () => assert.equal((await svix.endpoint.get(app.id, endpoint.id)).disabled, true));
  await to.answer(200);
  await svix.endpoint.patch(app.id, endpoint.id, { disabled: false });
  await finished(await svix.endpoint.recover(app.id, endpoint.id, { since: anHourAgo() }), "endpoint.recover");
  const came = await to.came(3);
  assert.deepEqual(came.map((r) => JSON.parse(r.body).n), ["delivered", "failed", "failed"]);
  await eventually(async () => assert.equal((await svix.endpoint.getStats(app.id, endpoint.id)).fail, 0));
});

test("recover looks back at most 14 days", async () => {
  const app = await application();
  const endpoint = await svix.endpoint.create(app.id, { url: hook().url });
  const since = new Date(Date.now() - 15 * 24 * 3600_000);
  const { detail } = await fails(422, svix.endpoint.recover(app.id, endpoint.id, { since }));
  assert.deepEqual(detail[0].loc, ["body", "since"]);
});

test("replay-missing sends an endpoint what it never had", async () => {
  const app = await application();
  for (let n = 0; n < 3; n++) await svix.message.create(app.id, { eventType: n < 2 ? "a.b" : "x.y", payload: { n } });
  const to = hook();
  const endpoint = await svix.endpoint.create(app.id, { url: to.url, ...wants(["a.b"]) });
  await finished(await svix.endpoint.replayMissing(app.id, endpoint.id, { since: anHourAgo() }), "endpoint.replay");
  const numbers = async () => (await to.came(2)).map((r) => JSON.parse(r.body).n).sort();
  assert.deepEqual(await numbers(), [0, 1]);
  await finished(await svix.endpoint.replayMissing(app.id, endpoint.id, { since: anHourAgo() }), "endpoint.replay");
  assert.deepEqual(await numbers(), [0, 1]);
});

test("bulk-replay sends delivered messages again, those that are chosen", async () => {
  const app = await application();
  const to = hook();
  const endpoint = await svix.endpoint.create(app.id, { url: to.url });
  await svix.message.create(app.id, { eventType: "a.b", payload: { n: 0 } });
  await svix.message.create(app.id, { eventType: "x.y", payload: { n: 1 } });
  await to.came(2);
  await eventually(async () => assert.equal((await svix.endpoint.getStats(app.id, endpoint.id)).success, 2));
  const begun = await svix.endpoint.bulkReplay(app.id, endpoint.id, { since: anHourAgo(), eventTypes: ["x.y"], status: 0 });
  await finished(begun, "endpoint.bulk-replay");
  assert.deepEqual((await to.came(3)).map((r) => JSON.parse(r.body).n).sort(), [0, 1, 1]);
});

test("background tasks are listed by kind and status", async () => {
  const app = await application();
  const endpoint = await svix.endpoint.create(app.id, { url: hook().url });
  const { id } = await finished(await svix.endpoint.recover(app.id, endpoint.id, { since: anHourAgo() }), "endpoint.recover");
  const ids = async (filter) => (await svix.backgroundTask.list(filter)).data.map((t) => t.id);
  assert.ok((await ids()).includes(id));
  assert.ok((await ids({ task: "endpoint.recover", status: "finished" })).includes(id));
  assert.ok(!(await ids({ task: "application.stats" })).includes(id));
  assert.ok(!(await ids({ status: "failed" })).includes(id));
  await fails(404, svix.backgroundTask.get("qtask_1srOrx2ZWZBpBUvZwXKQmoEYga2"));
});
