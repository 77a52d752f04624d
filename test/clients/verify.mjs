// What Sigpost delivers is verified with the libraries that receivers use, over
// the bytes and headers as they came.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { verify as verifyGitHub } from "@octokit/webhooks-methods";
import { Webhook as StandardWebhook } from "standardwebhooks";
import Stripe from "stripe";
import { Webhook as Svix2Webhook } from "svix";
import svix1 from "svix1";
import { application, headerSet, hook, raw, signed, svix } from "./suite/harness.mjs";

const payload = { id: "evt_1", object: "event", type: "order.made", text: "grüße, 世界 🎉", large: "x".repeat(100_000) };

// deliver sends the payload to an endpoint and returns the request that came.
async function deliver(fields) {
  const app = await application();
  const to = hook();
  // Of signature the SDKs know nothing, so the endpoint is made without them.
  const endpoint = await raw("POST", `/api/v1/app/${app.id}/endpoint`, { url: to.url, ...fields });
  const message = await svix.message.create(app.id, { eventType: "order.made", payload });
  const [request] = await to.came(1);
  assert.equal(request.body, JSON.stringify(payload));
  return { ...request, app, endpoint, message };
}

const makeSecret = () => `whsec_${randomBytes(32).toString("base64")}`;

for (const [name, Webhook] of Object.entries({ "svix 2": Svix2Webhook, "svix 1": svix1.Webhook })) {
  test(`${name} verifies a delivery, and refuses it changed`, async () => {
    const secret = makeSecret();
    const { headers, body, message } = await deliver({ secret });
    assert.equal(signed(headers).id, message.id);
    new Webhook(secret).verify(body, headers);
    for (const part of ["id", "timestamp", "signature"]) {
      const changed = { ...headers, [`${headerSet}-${part}`]: part === "timestamp" ? `${Math.floor(Date.now() / 1000) + 1}` : "v1,AAAA" };
      assert.throws(() => new Webhook(secret).verify(body, changed), /No matching signature/, part);
    }
    assert.throws(() => new Webhook(secret).verify(body.replace("order", "Order"), headers), /No matching signature/);
    assert.throws(() => new Webhook(makeSecret()).verify(body, headers), /No matching signature/);
  });
}

test("standardwebhooks verifies a delivery, and refuses it changed", async () => {
  const secret = makeSecret();
  const { headers, body } = await deliver({ secret });
  const { id, timestamp, signature } = signed(headers);
  const verifier = new StandardWebhook(secret);
  // This library knows the names webhook-… only; the values are the same under both.
  const standard = headerSet === "webhook" ? headers : { "webhook-id": id, "webhook-timestamp": timestamp, "webhook-signature": signature };
  assert.deepEqual(verifier.verify(body, standard), payload);
  assert.throws(() => verifier.verify(body.replace("order", "Order"), standard), /No matching signature/);
  assert.throws(() => new StandardWebhook(makeSecret()).verify(body, standard), /No matching signature/);
});

test("stripe verifies a delivery of an endpoint with its scheme, and refuses it changed", async () => {
  const secret = makeSecret();
  const { headers, body, endpoint } = await deliver({ signature: { scheme: "stripe", secret } });
  assert.equal(endpoint.signature.scheme, "stripe");
  const { webhooks } = new Stripe("sk_test_none");
  const signature = headers["stripe-signature"];
  assert.deepEqual(webhooks.constructEvent(body, signature, secret).text, payload.text);
  assert.throws(() => webhooks.constructEvent(`${body} `, signature, secret), /No signatures found/);
  assert.throws(() => webhooks.constructEvent(body, signature, makeSecret()), /No signatures found/);
});

test("@octokit/webhooks-methods verifies a delivery of an endpoint with GitHub's scheme, and refuses it changed", async () => {
  const secret = "It's a Secret to Everybody";
  const { headers, body } = await deliver({ signature: { scheme: "github", secret } });
  const signature = headers["x-hub-signature-256"];
  assert.equal(await verifyGitHub(secret, body, signature), true);
  assert.equal(await verifyGitHub(secret, `${body} `, signature), false);
  assert.equal(await verifyGitHub("another", body, signature), false);
});

test("a scheme that the SDKs know nothing of outlives their PUT", async () => {
  const { app, endpoint } = await deliver({ signature: { scheme: "github", secret: "It's a Secret to Everybody" } });
  await svix.endpoint.upsert(app.id, endpoint.id, { url: endpoint.url, description: "changed" });
  const after = await raw("GET", `/api/v1/app/${app.id}/endpoint/${endpoint.id}`);
  assert.deepEqual([after.description, after.signature], ["changed", { scheme: "github" }]);
});
