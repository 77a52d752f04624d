// One message with its deliveries, for the dashboard and for a portal, which
// may ask about its application only.
import { at, get, request, type Schemas } from "../../api/client";
import { whole } from "../../api/pages.svelte";

export type Detail = Schemas["OrgMessageDetailOut"];
export type Delivery = Schemas["OrgDeliveryOut"];
export type Attempt = Schemas["OrgAttemptOut"];

export const read = (id: string) => get<Detail>(at`/api/v1/msg/${id}`, { raw: true });

export async function readOfApp(app: string, id: string): Promise<Detail> {
  const base = at`/api/v1/app/${app}/msg/${id}`;
  const [m, bytes, deliveries, attempts, endpoints] = await Promise.all([
    get<Schemas["MessageOut"]>(base),
    exactly(`${base}/raw`),
    whole<Schemas["DeliveryOut"]>(`${base}/delivery`),
    whole<Schemas["MessageAttemptOut"]>(at`/api/v1/app/${app}/attempt/msg/${id}`),
    whole<Schemas["EndpointOut"]>(at`/api/v1/app/${app}/endpoint`),
  ]);
  const list = deliveries.map((d): Delivery => {
    const endpoint = endpoints.find((e) => e.id === d.endpointId);
    const log = attempts.filter((a) => a.endpointId === d.endpointId).reverse();
    return {
      ...d,
      endpoint: endpoint?.description || endpoint?.uid || "",
      url: endpoint?.url ?? log.at(-1)?.url ?? "",
      deleted: !endpoint,
      log: log.map((a, i) => ({ ...a, number: i + 1, durationMs: a.responseDurationMs })),
    };
  });
  return {
    ...m, ...(bytes ? { rawPayload: base64(bytes) } : {}), contentType: m.contentType ?? "application/json", appId: app, attempts: attempts.length,
    size: bytes?.length ?? 0, state: worst(list), headers: [], deliveries: list,
  };
}

/** Of all deliveries the state that needs care the most. */
function worst(list: Delivery[]): Detail["state"] {
  for (const s of ["failed", "pending", "held", "canceled", "delivered"] as const) if (list.some((d) => d.state === s)) return s;
  return "unmatched";
}

/** The payload byte for byte; undefined when it was deleted. */
async function exactly(path: string): Promise<Uint8Array | undefined> {
  const r = await request("GET", path);
  return r.ok ? new Uint8Array(await r.arrayBuffer()) : undefined;
}

function base64(bytes: Uint8Array) {
  return btoa(Array.from(bytes, (b) => String.fromCharCode(b)).join(""));
}
