import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { application, fails, hook, signed, svix, verify } from "./harness.mjs";

const makeSecret = () => `whsec_${randomBytes(32).toString("base64")}`;

test("deliveries are signed with the secret that an endpoint was made with", async () => {
  const app = await application();
  const to = hook();
  const secret = makeSecret();
  const endpoint = await svix.endpoint.create(app.id, { url: to.url, secret });
  assert.equal((await svix.endpoint.getSecret(app.id, endpoint.id)).key, secret);
  const sent = await svix.message.create(app.id, { eventType: "a.b", payload: { text: "grüße" } });
  const [request] = await to.came(1);
  assert.deepEqual(verify(secret, request), { text: "grüße" });
  assert.equal(signed(request.headers).id, sent.id);
  assert.throws(() => verify(makeSecret(), request), /No matching signature/);
});

test("an endpoint without a secret of its own is given one", async () => {
  const app = await application();
  const to = hook();
  const endpoint = await svix.endpoint.create(app.id, { url: to.url });
  const { key } = await svix.endpoint.getSecret(app.id, endpoint.id);
  assert.match(key, /^whsec_[A-Za-z0-9+/]{32,}={0,2}$/);
  await svix.message.create(app.id, { eventType: "a.b", payload: {} });
  verify(key, (await to.came(1))[0]);
});

test("while a secret is rotated requests are signed with both", async () => {
  const app = await application();
  const to = hook();
  const old = makeSecret();
  const endpoint = await svix.endpoint.create(app.id, { url: to.url, secret: old });
  await svix.endpoint.rotateSecret(app.id, endpoint.id, {});
  const { key } = await svix.endpoint.getSecret(app.id, endpoint.id);
  assert.notEqual(key, old);
  await svix.message.create(app.id, { eventType: "a.b", payload: {} });
  const [request] = await to.came(1);
  assert.equal(signed(request.headers).signature.split(" ").length, 2);
  verify(old, request);
  verify(key, request);
});

test("a rotation without grace ends the old secret at once", async () => {
  const app = await application();
  const to = hook();
  const [old, key] = [makeSecret(), makeSecret()];
  const endpoint = await svix.endpoint.create(app.id, { url: to.url, secret: old });
  await svix.endpoint.rotateSecret(app.id, endpoint.id, { key, gracePeriodSeconds: 0 });
  assert.equal((await svix.endpoint.getSecret(app.id, endpoint.id)).key, key);
  await svix.message.create(app.id, { eventType: "a.b", payload: {} });
  const [request] = await to.came(1);
  verify(key, request);
  assert.throws(() => verify(old, request), /No matching signature/);
});

test("a secret that is none is refused and named", async () => {
  const app = await application();
  const { detail } = await fails(422, svix.endpoint.create(app.id, { url: hook().url, secret: "whsec_short" }));
  assert.deepEqual(detail[0].loc, ["body", "secret"]);
});
