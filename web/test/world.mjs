// A server with something to see on every screen.
import { postVeriff, startReceiver, until, veriffSample } from "./server.mjs";

export const secret = "abcdef12-abcd-abcd-abcd-abcdef012345";

/** Makes sources, applications, messages that came and that fail; returns their ids. */
export async function furnish(server) {
  const good = await startReceiver();
  const bad = await startReceiver();
  bad.status = 500;
  bad.body = '{"error":"the ledger is locked"}';
  const api = server.api;

  const source = await api("POST", "/ingest/api/v1/source", { name: "veriff-prod", uid: "veriff-prod", provider: "veriff", secrets: [secret] });
  const endpoint = await api("POST", `/ingest/api/v1/source/${source.id}/endpoint`, { url: `${good.url}/kyc`, description: "Onboarding", uid: "kyc" });
  await api("POST", `/ingest/api/v1/source/${source.id}/endpoint`, { url: `${bad.url}/ledger`, description: "Ledger", uid: "ledger", eventTypePatterns: ["veriff.decision.*"] });
  await api("POST", "/ingest/api/v1/source", { name: "stripe-live", provider: "stripe", secrets: ["whsec_abcdefghijklmnopqrstuvwxyz0123456789"] });

  const app = await api("POST", "/api/v1/app", { name: "Acme Corporation", uid: "acme" });
  const other = await api("POST", "/api/v1/app", { name: "Globex", uid: "globex" });
  const orders = await api("POST", `/api/v1/app/${app.id}/endpoint`, { url: `${good.url}/orders`, description: "Orders in production", eventTypePatterns: ["order.*"] });
  await api("POST", `/api/v1/app/${app.id}/endpoint`, { url: `${bad.url}/billing`, description: "Billing", eventTypes: ["invoice.paid"] });
  for (const [name, group, description] of [["order.paid", "Orders", "An order was paid in full"], ["order.sent", "Orders", "A parcel left the house"], ["invoice.paid", "Billing", "An invoice was settled"]]) {
    const schema = { type: "object", title: name, properties: { id: { type: "string" }, amount: { type: "integer" } }, required: ["id"], examples: [{ id: "ord_123", amount: 4200 }] };
    await api("POST", "/api/v1/event-type", { name, description, groupName: group, schemas: { 1: schema } });
  }

  const approved = await veriffSample("veriff.decision.approved.json");
  let message;
  for (const name of ["event.started", "event.submitted", "decision.approved", "watchlist.initial_result"]) {
    const r = await postVeriff(source.ingestUrl, secret, await veriffSample(`veriff.${name}.json`));
    if (name === "decision.approved") message = (await r.json()).id;
  }
  for (let i = 0; i < 9; i++) {
    await api("POST", `/api/v1/app/${app.id}/msg`, {
      eventType: ["order.paid", "order.sent", "invoice.paid"][i % 3], eventId: `order-${100 + i}`, payload: { id: `ord_${i}`, amount: 4200 + i, currency: "EUR" }, subjects: [{ kind: "customer", id: `c-${i % 4}` }],
    });
  }
  const sent = (await api("GET", `/api/v1/app/${app.id}/msg?limit=1`)).data[0].id;
  await api("POST", `/api/v1/app/${other.id}/msg`, { eventType: "order.paid", payload: { id: "ord_of_globex" } });
  await postVeriff(source.ingestUrl, "another-secret-than-ours", approved);
  const rejected = await until("a rejected request", async () => (await api("GET", "/api/v1/rejected")).data[0]);
  const task = await api("POST", `/ingest/api/v1/source/${source.id}/endpoint/${endpoint.id}/bulk-replay`, { since: "2020-01-01T00:00:00Z" });
  const operational = await api("POST", "/api/v1/operational-webhook/endpoint", { url: `${good.url}/ops`, description: "Pager", eventTypes: ["endpoint.disabled", "ingest.source.failing"] });
  await api("POST", "/api/v1/auth/token", { name: "billing", scope: "send" });
  await api("POST", "/api/v1/user", { name: "grace", role: "viewer" });
  await until("attempts that failed", () => bad.got.length > 2);
  return {
    source: source.id, ingestUrl: source.ingestUrl, endpoint: endpoint.id, app: app.id, other: other.id, orders: orders.id, message, sent, rejected: rejected.id,
    task: task.id, operational: operational.id, good, bad,
    stop: () => Promise.all([good.stop(), bad.stop()]),
  };
}
