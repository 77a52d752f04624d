import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { test } from "node:test";
import { Svix, application, env, fails, fresh, hook, serverUrl, svix } from "./harness.mjs";

// open opens a portal of an application and returns a client with its token.
async function open(app, options) {
  const access = await svix.authentication.appPortalAccess(app.id, options);
  assert.ok(new URL(access.url).href.includes(access.token), `${access.url} does not lead in`);
  assert.notEqual(access.token, "");
  return new Svix(access.token, { serverUrl });
}

test("a portal reaches its application and no other", async () => {
  const [mine, other] = [await application(), await application()];
  const portal = await open(mine, {});
  const made = await portal.endpoint.create(mine.id, { url: "https://example.com/hook" });
  assert.deepEqual((await portal.endpoint.list(mine.id)).data.map((e) => e.id), [made.id]);
  assert.match((await portal.endpoint.getSecret(mine.id, made.id)).key, /^whsec_/);
  await fails(404, portal.application.get(other.id));
  await fails(404, portal.endpoint.list(other.id));
  await fails(403, portal.application.list());
  await fails(403, portal.message.create(mine.id, { eventType: "a.b", payload: {} }));
  await fails(403, portal.authentication.appPortalAccess(mine.id, {}));
});

test("a portal cannot lead requests into our own network", async () => {
  const app = await application();
  const portal = await open(app, {});
  const { detail } = await fails(422, portal.endpoint.create(app.id, { url: hook().url }));
  assert.deepEqual(detail[0].loc, ["body", "url"]);
});

test("a portal to read changes nothing", async () => {
  const app = await application();
  const endpoint = await svix.endpoint.create(app.id, { url: hook().url });
  const portal = await open(app, { readOnly: true });
  assert.equal((await portal.endpoint.get(app.id, endpoint.id)).id, endpoint.id);
  await fails(403, portal.endpoint.patch(app.id, endpoint.id, { description: "changed" }));
  await fails(403, portal.endpoint.delete(app.id, endpoint.id));
  await fails(403, portal.endpoint.getSecret(app.id, endpoint.id));
});

test("a portal can do what its capabilities say", async () => {
  const app = await application();
  const endpoint = await svix.endpoint.create(app.id, { url: hook().url });
  const portal = await open(app, { capabilities: ["ViewBase", "ViewEndpointSecret"] });
  assert.match((await portal.endpoint.getSecret(app.id, endpoint.id)).key, /^whsec_/);
  await fails(403, portal.endpoint.rotateSecret(app.id, endpoint.id, {}));
});

test("a token that the owner signed for an application reaches it and no other", async () => {
  const [mine, other] = [await application(), await application()];
  const text = (object) => Buffer.from(JSON.stringify(object)).toString("base64url");
  const sign = (claims, key = env("SIGPOST_JWT_SECRET")) => {
    const unsigned = `${text({ alg: "HS256", typ: "JWT" })}.${text(claims)}`;
    return new Svix(`${unsigned}.${createHmac("sha256", key).update(unsigned).digest("base64url")}`, { serverUrl });
  };
  const claims = { sub: mine.id, organization: env("SIGPOST_ORG"), exp: Math.floor(Date.now() / 1000) + 60 };
  assert.equal((await sign(claims).application.get(mine.id)).id, mine.id);
  await fails(404, sign(claims).application.get(other.id));
  await fails(401, sign({ ...claims, exp: claims.exp - 120 }).application.get(mine.id));
  await fails(401, sign({ ...claims, organization: "org_another" }).application.get(mine.id));
  await fails(401, sign(claims, "another secret of enough characters").application.get(mine.id));
});

test("a portal makes the application that it is opened for", async () => {
  const uid = fresh("portal");
  await svix.authentication.appPortalAccess(uid, { application: { name: "made by a portal", uid } });
  assert.equal((await svix.application.get(uid)).name, "made by a portal");
});

test("logout ends a token", async () => {
  const app = await application();
  const [leaves, stays] = [await open(app, {}), await open(app, {})];
  await leaves.endpoint.list(app.id);
  await leaves.authentication.logout();
  await fails(401, leaves.endpoint.list(app.id));
  await stays.endpoint.list(app.id);
});

test("expireAll ends the tokens of an application, or of sessions", async () => {
  const app = await application();
  const [one, two, none] = [await open(app, { sessionId: "one" }), await open(app, { sessionId: "two" }), await open(app, {})];
  await svix.authentication.expireAll(app.id, { sessionIds: ["one"] });
  await fails(401, one.endpoint.list(app.id));
  await two.endpoint.list(app.id);
  await none.endpoint.list(app.id);
  await svix.authentication.expireAll(app.id, {});
  await fails(401, two.endpoint.list(app.id));
  await fails(401, none.endpoint.list(app.id));
});
