import assert from "node:assert/strict";
import { test } from "node:test";
import { Svix, application, fails, fresh, hook, isId, serverUrl, svix, token } from "./harness.mjs";

test("what there is not is a 404, whatever it is", async () => {
  const app = await application();
  const unknown = "ep_1srOrx2ZWZBpBUvZwXKQmoEYga2";
  assert.equal((await fails(404, svix.application.get("nobody"))).code, "not_found");
  await fails(404, svix.application.get("app_1srOrx2ZWZBpBUvZwXKQmoEYga2"));
  await fails(404, svix.endpoint.get(app.id, "nobody"));
  await fails(404, svix.endpoint.get(app.id, unknown));
  await fails(404, svix.message.get(app.id, "msg_1srOrx2ZWZBpBUvZwXKQmoEYga2"));
  await fails(404, svix.message.create("nobody", { eventType: "a.b", payload: {} }));
  await fails(404, svix.messageAttempt.resend(app.id, "nobody", unknown));
  await fails(404, svix.eventType.get(fresh("type").replaceAll("-", "_")));
  await fails(404, svix.ingest.source.get("nobody"));
  await fails(404, svix.operationalWebhook.endpoint.get("nobody"));
  await fails(404, svix.integration.list(app.id)); // which Sigpost does not have
});

test("a fault is named by its place", async () => {
  const app = await application();
  const places = async (promise) => (await fails(422, promise)).detail.map((d) => d.loc.join("."));
  assert.deepEqual(await places(svix.application.create({ uid: fresh("app") })), ["body.name"]);
  assert.deepEqual(await places(svix.application.create({ name: "x", uid: "a b" })), ["body.uid"]);
  assert.deepEqual(await places(svix.endpoint.create(app.id, { url: "ftp://example.com" })), ["body.url"]);
  assert.deepEqual(await places(svix.endpoint.create(app.id, { url: "https://10.0.0.1/hook" })), ["body.url"]);
  assert.deepEqual(await places(svix.endpoint.create(app.id, { url: hook().url, headers: { "X-A": "b\r\nX-C: d" } })), ["body.headers"]);
  assert.deepEqual(await places(svix.message.create(app.id, { eventType: "a b", payload: {} })), ["body.eventType"]);
  assert.deepEqual(await places(svix.application.list({ limit: 251 })), ["query.limit"]);
});

test("too large a payload is a 413", async () => {
  const app = await application();
  const large = svix.message.create(app.id, { eventType: "a.b", payload: { text: "x".repeat(1 << 20) } });
  assert.equal((await fails(413, large)).code, "payload_too_large");
  const fits = await svix.message.create(app.id, { eventType: "a.b", payload: { text: "x".repeat((1 << 20) - 100) } });
  isId("msg", fits.id);
});

test("a token that is none, or was changed, is a 401", async () => {
  const changed = token.slice(0, -6) + (token.endsWith("AAAAAA") ? "BBBBBB" : "AAAAAA");
  for (const wrong of ["nonsense", changed, "a.b.c"]) {
    const body = await fails(401, new Svix(wrong, { serverUrl }).application.list());
    assert.equal(body.code, "authentication_failed");
  }
});

test("unknown paths, wrong methods and broken JSON are answered in JSON", async () => {
  for (const [method, path, body, status] of [
    ["GET", "/api/v1/nowhere", undefined, 404], ["DELETE", "/api/v1/app", undefined, 405], ["POST", "/api/v1/app", "{", 400],
  ]) {
    const res = await fetch(serverUrl + path, { method, body, headers: { authorization: `Bearer ${token}`, "content-type": "application/json" } });
    assert.equal(res.status, status, path);
    const answer = await res.json();
    assert.deepEqual(Object.keys(answer).sort(), ["code", "detail"]);
  }
});

test("a slash at the end of a path changes nothing", async () => {
  const app = await application();
  const res = await fetch(`${serverUrl}/api/v1/app/${app.uid}/`, { headers: { authorization: `Bearer ${token}` } });
  assert.deepEqual([res.status, (await res.json()).id], [200, app.id]);
});
