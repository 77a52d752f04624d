// What the tests share: the SDK under test, the receiver, and how to wait.
// Where everything is stands in the environment; `go test ./test/clients` sets it.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";

export function env(name) {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set; run go test ./test/clients, which sets it`);
  return value;
}

export const serverUrl = env("SIGPOST_URL");
export const token = env("SIGPOST_TOKEN");
export const headerSet = env("SIGPOST_HEADERS"); // webhook or svix
const receiverUrl = env("RECEIVER_URL");

const module = await import(env("SDK"));
export const { Svix, Webhook, ApiException } = module.default ?? module; // version 1 is CommonJS
export const svix = new Svix(token, { serverUrl });

// Version 2 renamed some calls and fields; all else is the same for both.
export const two = env("SDK") === "svix";
export const put = (api, ...args) => (two ? api.upsert(...args) : api.update(...args));
export const setHeaders = (api, ...args) => (two ? api.setHeaders(...args) : api.updateHeaders(...args));
export const wants = (types) => (two ? { eventTypes: types } : { filterTypes: types });
export const wanted = (endpoint) => (two ? endpoint.eventTypes : endpoint.filterTypes);
export const rate = (n) => (two ? { throttleRate: n } : { rateLimit: n });
export const rateOf = (o) => (two ? o.throttleRate : o.rateLimit);

// fresh is a name that nothing else has.
export const fresh = (what) => `${what}-${randomUUID()}`;

// isId checks the prefix and the 27 characters of an id.
export function isId(prefix, id) {
  assert.match(id, new RegExp(`^${prefix}_[A-Za-z0-9]{27}$`));
}

// isDate checks that the SDK could read a time, and that it is one of this run.
export function isDate(value, what) {
  assert.ok(value instanceof Date && Math.abs(Date.now() - value.getTime()) < 120_000, `${what} is ${value}`);
}

// fails checks that a call is refused with a status, in the form that the SDK
// promises, and returns the body.
export async function fails(status, promise) {
  const err = await promise.then(
    (value) => assert.fail(`it was not refused with ${status}: ${JSON.stringify(value)}`),
    (err) => err,
  );
  assert.ok(err instanceof ApiException, `${err.stack}`);
  assert.equal(err.code, status, JSON.stringify(err.body));
  if (status === 422) {
    assert.ok(Array.isArray(err.body.detail) && err.body.detail.length > 0, JSON.stringify(err.body));
    for (const { loc, msg, type } of err.body.detail) {
      assert.ok(Array.isArray(loc) && loc.every((part) => typeof part === "string"), `loc is ${loc}`);
      assert.ok(typeof msg === "string" && msg !== "" && typeof type === "string" && type !== "");
    }
  } else {
    assert.ok(typeof err.body.code === "string" && err.body.code !== "", JSON.stringify(err.body));
    assert.ok(typeof err.body.detail === "string" && err.body.detail !== "", JSON.stringify(err.body));
  }
  return err.body;
}

// eventually repeats what may take a moment until it no longer throws.
export async function eventually(check) {
  for (const end = Date.now() + 20_000; ; ) {
    try {
      return await check();
    } catch (err) {
      if (Date.now() > end) throw err;
    }
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

// hook is a URL of the receiver.
export function hook() {
  const name = fresh("hook");
  return {
    url: `${receiverUrl}/hook/${name}`,
    // came waits until n requests are there, which must be all.
    async came(n) {
      const res = await fetch(`${receiverUrl}/recorded/${name}?n=${n}`);
      if (!res.ok) assert.fail(await res.text());
      const list = (await res.json()).map(({ headers, body }) => ({ headers, body: Buffer.from(body, "base64").toString() }));
      assert.equal(list.length, n, `${list.length} requests came: ${list.map((r) => r.body)}`);
      return list;
    },
    // answer says what the receiver answers from now on.
    async answer(status) {
      const res = await fetch(`${receiverUrl}/answer/${name}/${status}`, { method: "PUT" });
      assert.equal(res.status, 200);
    },
  };
}

// signed are the headers of a request that belong to its signature.
export function signed(headers) {
  const other = headerSet === "svix" ? "webhook" : "svix";
  for (const name of ["id", "timestamp", "signature"]) {
    assert.ok(headers[`${headerSet}-${name}`], `${headerSet}-${name} is missing among ${Object.keys(headers)}`);
    assert.equal(headers[`${other}-${name}`], undefined, `${other}-${name} is there as well`);
  }
  return { id: headers[`${headerSet}-id`], timestamp: headers[`${headerSet}-timestamp`], signature: headers[`${headerSet}-signature`] };
}

// verify checks a request with the SDK's own verification.
export function verify(secret, { headers, body }) {
  signed(headers);
  new Webhook(secret).verify(body, headers);
  assert.throws(() => new Webhook(secret).verify(`${body} `, headers), "a changed body verifies");
  return JSON.parse(body);
}

// application makes an application.
export const application = (more = {}) => svix.application.create({ name: "suite", uid: fresh("app"), ...more });

// delivered waits until a message has reached an endpoint, also in the lists.
export const delivered = (appId, msgId) =>
  eventually(async () => {
    const { data } = await svix.messageAttempt.listAttemptedDestinations(appId, msgId);
    assert.ok(data.length > 0 && data.every((d) => d.status === 0), JSON.stringify(data));
    return data;
  });

// all reads a list to its end.
export async function all(list, limit) {
  const rows = [];
  for (let iterator; ; ) {
    const page = await list({ limit, iterator });
    assert.ok(page.data.length <= limit, `a page of ${page.data.length}`);
    rows.push(...page.data);
    if (page.done) return rows;
    assert.equal(typeof page.iterator, "string");
    iterator = page.iterator;
  }
}

// raw calls what no SDK knows of.
export async function raw(method, path, body) {
  const res = await fetch(serverUrl + path, {
    method,
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    body: body && JSON.stringify(body),
  });
  const text = await res.text();
  assert.ok(res.ok, `${method} ${path}: ${res.status} ${text}`);
  return text && JSON.parse(text);
}
