import assert from "node:assert/strict";
import { test } from "node:test";
import { application, eventually, fails, fresh, hook, isDate, isId, put, setHeaders, svix, verify, wanted, wants } from "./harness.mjs";

const operational = svix.operationalWebhook.endpoint;

test("an endpoint of operational webhooks is made, read, replaced and deleted", async () => {
  const { url } = hook();
  const made = await operational.create({ url, uid: fresh("op"), description: "one", metadata: { a: "b" }, disabled: true, ...wants(["endpoint.created"]) });
  isId("ep", made.id);
  isDate(made.createdAt, "createdAt");
  assert.deepEqual([made.url, made.description, made.metadata, made.disabled, wanted(made)], [url, "one", { a: "b" }, true, ["endpoint.created"]]);
  assert.deepEqual(await operational.get(made.uid), made);
  assert.ok((await operational.list()).data.some((e) => e.id === made.id));
  const replaced = await put(operational, made.id, { url, description: "two", disabled: true });
  assert.deepEqual([replaced.id, replaced.description, wanted(replaced) ?? null], [made.id, "two", null]);
  await setHeaders(operational, made.id, { headers: { "X-One": "1" } });
  assert.deepEqual((await operational.getHeaders(made.id)).headers, { "X-One": "1" });
  await operational.delete(made.id);
  await fails(404, operational.get(made.id));
});

test("its secret is rotated", async () => {
  const made = await operational.create({ url: hook().url, disabled: true });
  const { key } = await operational.getSecret(made.id);
  await operational.rotateSecret(made.id, {});
  assert.notEqual((await operational.getSecret(made.id)).key, key);
});

test("what becomes of endpoints is told, signed", async () => {
  const to = hook();
  const types = ["endpoint.created", "endpoint.updated", "endpoint.deleted"];
  const listener = await operational.create({ url: to.url, ...wants(types) });
  const { key } = await operational.getSecret(listener.id);
  const app = await application();
  const endpoint = await svix.endpoint.create(app.id, { url: hook().url, uid: fresh("ep") });
  await svix.endpoint.patch(app.id, endpoint.id, { description: "changed" });
  await svix.endpoint.delete(app.id, endpoint.id);
  const told = (await to.came(3)).map((request) => verify(key, request));
  await operational.delete(listener.id);
  assert.deepEqual(told.map((t) => t.type).sort(), types.toSorted());
  for (const { data } of told) {
    assert.deepEqual([data.appId, data.appUid, data.endpointId, data.endpointUid], [app.id, app.uid, endpoint.id, endpoint.uid]);
  }
});

test("an endpoint that answers 410 is disabled, and that is told", async () => {
  const [to, gone] = [hook(), hook()];
  const listener = await operational.create({ url: to.url, ...wants(["endpoint.disabled"]) });
  await gone.answer(410);
  const app = await application();
  const endpoint = await svix.endpoint.create(app.id, { url: gone.url });
  await svix.message.create(app.id, { eventType: "a.b", payload: {} });
  const [{ body }] = await to.came(1);
  await operational.delete(listener.id);
  assert.deepEqual([JSON.parse(body).type, JSON.parse(body).data.endpointId], ["endpoint.disabled", endpoint.id]);
  await eventually(async () => assert.equal((await svix.endpoint.get(app.id, endpoint.id)).disabled, true));
});
