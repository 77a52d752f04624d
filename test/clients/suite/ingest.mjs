import assert from "node:assert/strict";
import { createHmac, randomBytes, randomUUID } from "node:crypto";
import { test } from "node:test";
import { Webhook, all, eventually, fails, fresh, hook, isDate, isId, put, rate, rateOf, raw, setHeaders, svix, two, verify } from "./harness.mjs";

const { source: sources, endpoint: endpoints } = svix.ingest;
const veriff = (secret = randomUUID()) => ({ name: "identity checks", type: "veriff", config: { secret } });

// decision is what Veriff sends, each time about another session.
const decision = () =>
  JSON.stringify({ status: "success", verification: { id: randomUUID(), code: 9001, status: "approved" }, technicalData: { ip: "192.0.2.1" } });

// post sends a body as Veriff does.
async function post(url, secret, body = decision()) {
  const signature = createHmac("sha256", secret).update(body).digest("hex");
  const res = await fetch(url, {
    method: "POST", body, headers: { "content-type": "application/json", "x-auth-client": "key", "x-hmac-signature": signature },
  });
  await res.text();
  return res.status;
}

test("a source is made, read, listed, replaced and deleted, and its secret is not shown", async () => {
  const uid = fresh("source");
  const made = await sources.create({ ...veriff(), uid, metadata: { a: "b" } });
  assert.match(made.id, /^src_[A-Za-z0-9]{21,22}$/);
  isDate(made.createdAt, "createdAt");
  assert.deepEqual([made.name, made.type, made.uid, made.metadata, made.config], ["identity checks", "veriff", uid, { a: "b" }, {}]);
  assert.match(made.ingestUrl, /^http:\/\/127\.0\.0\.1:\d+\/in\/.+/);
  assert.deepEqual(await sources.get(made.id), made);
  assert.deepEqual(await sources.get(uid), made);
  assert.ok((await all((page) => sources.list(page), 100)).some((s) => s.id === made.id));
  const replaced = await put(sources, made.id, { ...veriff(), uid, name: "renamed" });
  assert.deepEqual([replaced.id, replaced.name, replaced.metadata, replaced.ingestUrl], [made.id, "renamed", {}, made.ingestUrl]);
  await sources.delete(made.id);
  await fails(404, sources.get(made.id));
});

test("a webhook from the provider is verified, kept and delivered as it was", async () => {
  const input = veriff();
  const source = await sources.create(input);
  const to = hook();
  const endpoint = await endpoints.create(source.id, { url: to.url });
  const { key } = await endpoints.getSecret(source.id, endpoint.id);
  const body = decision();
  assert.equal(await post(source.ingestUrl, input.config.secret, body), 200);
  const [request] = await to.came(1);
  assert.equal(request.body, body);
  verify(key, request);
  assert.equal(await post(source.ingestUrl, "another secret, long enough", decision()), 401);
  assert.equal(await post(source.ingestUrl, input.config.secret, body), 200); // the same again is one event
  await to.came(1);
});

test("what a source got is read with the calls for messages and attempts", async () => {
  const input = veriff();
  const source = await sources.create(input);
  const to = hook();
  const endpoint = await endpoints.create(source.id, { url: to.url });
  const body = decision();
  await post(source.ingestUrl, input.config.secret, body);
  await to.came(1);
  const { appId } = await raw("GET", `/ingest/api/v1/source/${source.id}`); // which the SDK leaves out
  const { data: [message] } = await svix.message.list(appId, { withContent: true });
  isId("msg", message.id);
  assert.deepEqual([message.eventType, message.payload], ["veriff.decision.approved", JSON.parse(body)]);
  const { data: [attempt] } = await eventually(async () => {
    const page = await svix.messageAttempt.listByMsg(appId, message.id);
    assert.equal(page.data.length, 1);
    return page;
  });
  assert.deepEqual([attempt.endpointId, attempt.status], [endpoint.id, 0]);
  await svix.messageAttempt.resend(appId, message.id, endpoint.id);
  assert.equal((await to.came(2))[1].body, body);
});

test("a new secret and a new URL leave the old ones in force for a while", async () => {
  const [old, key] = [randomUUID(), randomUUID()];
  const source = await sources.create(veriff(old));
  await put(sources, source.id, veriff(key));
  const { ingestUrl } = await sources.rotateToken(source.id);
  assert.notEqual(ingestUrl, source.ingestUrl);
  assert.equal((await sources.get(source.id)).ingestUrl, ingestUrl);
  const statuses = [];
  for (const url of [source.ingestUrl, ingestUrl]) for (const secret of [old, key]) statuses.push(await post(url, secret));
  assert.deepEqual(statuses, [200, 200, 200, 200]);
});

test("sources of other types take what their senders sign", async () => {
  const secret = `whsec_${randomBytes(24).toString("base64")}`;
  for (const [input, sign] of [
    [{ type: "stripe", config: { secret } }, (body, now) => {
      const v1 = createHmac("sha256", secret).update(`${now}.${body}`).digest("hex");
      return { "stripe-signature": `t=${now},v1=${v1}` };
    }],
    [{ type: "github", config: { secret } }, (body) => ({
      "x-hub-signature-256": `sha256=${createHmac("sha256", secret).update(body).digest("hex")}`, "x-github-event": "push", "x-github-delivery": randomUUID(),
    })],
    [{ type: "svix", config: { secret } }, (body, now) => {
      const id = fresh("msg");
      return { "svix-id": id, "svix-timestamp": `${now}`, "svix-signature": new Webhook(secret).sign(id, new Date(now * 1000), body) };
    }],
    [{ type: "generic-webhook" }, () => ({})],
  ]) {
    const source = await sources.create({ name: input.type, ...input });
    assert.equal(source.type, input.type);
    const to = hook();
    await endpoints.create(source.id, { url: to.url });
    const body = JSON.stringify({ id: fresh("event"), type: "a.b", data: {} });
    const headers = { "content-type": "application/json", ...sign(body, Math.floor(Date.now() / 1000)) };
    const res = await fetch(source.ingestUrl, { method: "POST", body, headers });
    assert.equal(res.status, 200, `${input.type}: ${await res.text()}`);
    assert.equal((await to.came(1))[0].body, body);
    const changed = await fetch(source.ingestUrl, { method: "POST", body: `${body} `, headers });
    assert.equal(changed.status, input.type === "generic-webhook" ? 200 : 401, input.type);
  }
});

test("a source needs the secret that its type verifies with, and a type that there is", async () => {
  const { detail } = await fails(422, sources.create({ name: "no secret", type: "veriff", config: { secret: "" } }));
  assert.deepEqual(detail[0].loc, ["body", "config", "secret"]);
  await fails(422, sources.create({ name: "no such thing", type: "cron", config: { schedule: "* * * * *", payload: "{}" } }));
});

test("an endpoint of a source is made, read, listed, replaced and deleted", async () => {
  const source = await sources.create(veriff());
  const { url } = hook();
  const uid = fresh("ep");
  const made = await endpoints.create(source.id, { url, uid, description: "one", metadata: { a: "b" }, ...rate(9), headers: { "X-One": "1" } });
  isId("ep", made.id);
  assert.deepEqual([made.url, made.uid, made.description, made.metadata, rateOf(made)], [url, uid, "one", { a: "b" }, 9]);
  assert.deepEqual(await endpoints.get(source.id, uid), made);
  assert.deepEqual((await endpoints.list(source.id)).data.map((e) => e.id), [made.id]);
  const given = two ? { "X-One": "1" } : {}; // version 1 cannot give them here
  assert.deepEqual((await endpoints.getHeaders(source.id, made.id)).headers, given);
  await setHeaders(endpoints, source.id, made.id, { headers: { "X-Two": "2" } });
  assert.deepEqual((await endpoints.getHeaders(source.id, made.id)).headers, { "X-Two": "2" });
  const { key } = await endpoints.getSecret(source.id, made.id);
  await endpoints.rotateSecret(source.id, made.id, {});
  assert.notEqual((await endpoints.getSecret(source.id, made.id)).key, key);
  const replaced = await put(endpoints, source.id, made.id, { url, description: "two", disabled: true });
  assert.deepEqual([replaced.id, replaced.description, replaced.disabled], [made.id, "two", true]);
  await endpoints.delete(source.id, made.id);
  await fails(404, endpoints.get(source.id, made.id));
});
