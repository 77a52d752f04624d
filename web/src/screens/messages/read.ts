// One message with its deliveries, for the dashboard and for a portal, which
// may ask about its application only.
import { at, get, type Schemas } from "../../api/client";
import { whole } from "../../api/pages.svelte";

export type Detail = Schemas["OrgMessageDetailOut"];
export type Delivery = Schemas["OrgDeliveryOut"];
export type Attempt = Schemas["OrgAttemptOut"];

export const read = (id: string) => get<Detail>(at`/api/v1/msg/${id}`, { raw: true });

export async function readOfApp(app: string, id: string): Promise<Detail> {
  const base = at`/api/v1/app/${app}/msg/${id}`;
  const [m, deliveries, attempts, endpoints] = await Promise.all([
    get<Schemas["MessageOut"]>(base),
    whole<Schemas["DeliveryOut"]>(`${base}/delivery`),
    whole<Schemas["MessageAttemptOut"]>(at`/api/v1/app/${app}/attempt/msg/${id}`),
    whole<Schemas["EndpointOut"]>(at`/api/v1/app/${app}/endpoint`),
  ]);
  const raw = m.rawPayload ?? base64(JSON.stringify(m.payload));
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
    ...m, rawPayload: raw, contentType: m.contentType ?? "application/json", appId: app, attempts: attempts.length,
    size: Math.floor((raw.length * 3) / 4), state: worst(list), headers: [], deliveries: list,
  };
}

/** Of all deliveries the state that needs care the most. */
function worst(list: Delivery[]): Detail["state"] {
  for (const s of ["failed", "pending", "held", "canceled", "delivered"] as const) if (list.some((d) => d.state === s)) return s;
  return "unmatched";
}

function base64(text: string) {
  return btoa(Array.from(new TextEncoder().encode(text), (b) => String.fromCharCode(b)).join(""));
}
