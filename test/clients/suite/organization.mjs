import assert from "node:assert/strict";
import { test } from "node:test";
import { all, application, eventually, fails, fresh, hook, isDate, put, serverUrl, svix, wants } from "./harness.mjs";

const typeName = () => fresh("type").replaceAll("-", "_");
const schemas = { 1: { type: "object", properties: { id: { type: "string" } }, required: ["id"] } };

test("health is answered", async () => {
  await svix.health.get();
  const res = await fetch(`${serverUrl}/api/v1/health`, { method: "HEAD" });
  assert.equal(res.status, 204);
});

test("an event type is made, read, replaced, changed, archived and deleted", async () => {
  const name = typeName();
  const made = await svix.eventType.create({ name, description: "one", schemas, groupName: "orders" });
  isDate(made.createdAt, "createdAt");
  assert.deepEqual([made.name, made.description, made.schemas, made.groupName, made.archived, made.deprecated], [name, "one", schemas, "orders", false, false]);
  assert.deepEqual(await svix.eventType.get(name), made);
  await fails(409, svix.eventType.create({ name, description: "again" }));
  assert.equal((await put(svix.eventType, name, { description: "two" })).description, "two");
  const changed = await svix.eventType.patch(name, { deprecated: true });
  assert.deepEqual([changed.description, changed.deprecated], ["two", true]);
  const names = async (options) => (await all((page) => svix.eventType.list({ ...page, ...options }), 100)).map((t) => t.name);
  assert.ok((await names()).includes(name));
  await svix.eventType.delete(name);
  assert.ok(!(await names()).includes(name));
  assert.ok((await names({ includeArchived: true })).includes(name));
  await svix.eventType.delete(name, { expunge: true });
  await fails(404, svix.eventType.get(name));
});

test("event types are listed with their schemas on request", async () => {
  const name = typeName();
  await svix.eventType.create({ name, description: "", schemas });
  const found = async (options) => (await all((page) => svix.eventType.list({ ...page, ...options }), 100)).find((t) => t.name === name);
  assert.deepEqual((await found({ withContent: true })).schemas, schemas);
  assert.equal((await found({ withContent: false })).schemas ?? null, null);
});

test("event types are imported from an OpenAPI document", async () => {
  const name = typeName();
  const post = { summary: "it was imported", requestBody: { content: { "application/json": { schema: schemas[1] } } } };
  const spec = { openapi: "3.1.0", info: { title: "t", version: "1" }, webhooks: { [name]: { post } } };
  const dry = await svix.eventType.importOpenapi({ spec, dryRun: true });
  assert.deepEqual([dry.data.modified, dry.data.toModify.map((t) => t.name)], [[], [name]]);
  await fails(404, svix.eventType.get(name));
  assert.deepEqual((await svix.eventType.importOpenapi({ specRaw: JSON.stringify(spec) })).data.modified, [name]);
  assert.deepEqual((await svix.eventType.get(name)).schemas["1"].required, ["id"]);
});

test("an environment is exported, and imported again", async () => {
  const name = typeName();
  await svix.eventType.create({ name, description: "kept", schemas });
  const exported = await svix.environment.export();
  isDate(exported.createdAt, "createdAt");
  const mine = exported.eventTypes.filter((t) => t.name === name);
  assert.deepEqual(mine.map((t) => [t.description, t.schemas]), [["kept", schemas]]);
  assert.deepEqual(exported.connectors, []);
  await svix.eventType.delete(name, { expunge: true });
  await svix.environment.import({ eventTypes: mine, settings: exported.settings });
  assert.deepEqual((await svix.eventType.get(name)).schemas, schemas);
});

test("what applications were sent is counted", async () => {
  const app = await application();
  await svix.endpoint.create(app.id, { url: hook().url });
  for (let n = 0; n < 3; n++) await svix.message.create(app.id, { eventType: "a.b", payload: { n } });
  const since = new Date(Date.now() - 3600_000);
  const begun = await svix.statistics.aggregateAppStats({ since, until: new Date(Date.now() + 60_000), appIds: [app.uid, "nobody"] });
  assert.deepEqual([begun.task, begun.unresolvedAppIds], ["application.stats", ["nobody"]]);
  const { data } = await eventually(async () => {
    const task = await svix.backgroundTask.get(begun.id);
    assert.equal(task.status, "finished");
    return task;
  });
  assert.ok(JSON.stringify(data).includes(app.id), JSON.stringify(data));
  assert.ok(JSON.stringify(data).match(/:3\b/), `three messages were sent: ${JSON.stringify(data)}`);
});

test("the event types that endpoints want are gathered", async () => {
  const name = typeName();
  await svix.endpoint.create((await application()).id, { url: hook().url, ...wants([name]) });
  const begun = await svix.statistics.aggregateEventTypes();
  assert.equal(begun.task, "event-type.aggregate");
  await eventually(async () => {
    const task = await svix.backgroundTask.get(begun.id);
    assert.equal(task.status, "finished");
    assert.ok(JSON.stringify(task.data).includes(name), JSON.stringify(task.data));
  });
});
