import assert from "node:assert/strict";
import { test } from "node:test";
import { all, application, fails, fresh, hook, isDate, isId, put, rate, rateOf, svix } from "./harness.mjs";

test("an application is what it was made as, by id and by uid", async () => {
  const uid = fresh("app");
  const made = await svix.application.create({ name: "Ärzte & Co", uid, metadata: { plan: "gold" }, ...rate(7) });
  isId("app", made.id);
  isDate(made.createdAt, "createdAt");
  isDate(made.updatedAt, "updatedAt");
  assert.deepEqual([made.name, made.uid, made.metadata, rateOf(made)], ["Ärzte & Co", uid, { plan: "gold" }, 7]);
  assert.deepEqual(await svix.application.get(made.id), made);
  assert.deepEqual(await svix.application.get(uid), made);
});

test("a list of applications has each of them once, in order", async () => {
  const made = [];
  for (let i = 0; i < 5; i++) made.push((await application()).id);
  const ids = async (order) => (await all((page) => svix.application.list({ ...page, order }), 2)).map((a) => a.id);
  const up = await ids("ascending");
  const down = await ids("descending");
  assert.equal(new Set(up).size, up.length, "one is listed twice");
  assert.deepEqual(up.filter((id) => made.includes(id)), made);
  assert.deepEqual(down.filter((id) => made.includes(id)), made.toReversed());
});

test("a page of applications leads back to the one before", async () => {
  for (let i = 0; i < 3; i++) await application();
  const first = await svix.application.list({ limit: 2 });
  assert.equal(first.done, false);
  const second = await svix.application.list({ limit: 2, iterator: first.iterator });
  const back = await svix.application.list({ limit: 2, iterator: second.prevIterator });
  assert.deepEqual(back.data, first.data);
});

test("PUT makes an application and then replaces it", async () => {
  const uid = fresh("app");
  const made = await put(svix.application, uid, { name: "one", uid, metadata: { a: "b" } });
  const replaced = await put(svix.application, uid, { name: "two", uid });
  assert.equal(replaced.id, made.id);
  assert.deepEqual([replaced.name, replaced.metadata], ["two", {}]);
});

test("PATCH changes what it names", async () => {
  const made = await application({ name: "one", metadata: { a: "b" }, ...rate(3) });
  const changed = await svix.application.patch(made.id, { name: "two" });
  assert.deepEqual([changed.name, changed.metadata, changed.uid, rateOf(changed)], ["two", { a: "b" }, made.uid, 3]);
  const cleared = await svix.application.patch(made.id, { ...rate(null), uid: null });
  assert.deepEqual([cleared.name, cleared.uid ?? null, rateOf(cleared) ?? null], ["two", null, null]);
});

test("getOrCreate gives the same application again, and create refuses a uid that is taken", async () => {
  const uid = fresh("app");
  const made = await svix.application.getOrCreate({ name: "one", uid });
  const again = await svix.application.getOrCreate({ name: "another", uid });
  assert.deepEqual([again.id, again.name], [made.id, "one"]);
  await fails(409, svix.application.create({ name: "another", uid }));
});

test("applications without endpoints are left out on request", async () => {
  const empty = await application();
  const used = await application();
  await svix.endpoint.create(used.id, { url: hook().url });
  const list = await all((page) => svix.application.list({ ...page, excludeAppsWithNoEndpoints: true }), 250);
  const ids = list.map((a) => a.id);
  assert.deepEqual([ids.includes(used.id), ids.includes(empty.id)], [true, false]);
});

test("a deleted application is gone", async () => {
  const made = await application();
  assert.equal(await svix.application.delete(made.id) ?? undefined, undefined);
  await fails(404, svix.application.get(made.id));
  await fails(404, svix.application.get(made.uid));
});
