// Endpoints belong to an application or to a source; the API has both alike, but
// for some details that are settled here.
import { at, get, patch, put, type Schemas } from "../../api/client";
import { whole } from "../../api/pages.svelte";
import { part } from "../../app/router.svelte";

export interface Owner {
  kind: "app" | "source";
  id: string;
  /** The application that has its messages and attempts. */
  app: string;
  name: string;
  provider?: string;
}
export type Endpoint = Schemas["IngestEndpointOut"] & Partial<Pick<Schemas["EndpointOut"], "eventTypes" | "channels">>;

export async function readOwner(kind: Owner["kind"], id: string, portal = false): Promise<Owner> {
  if (portal) return { kind, id, app: id, name: "" };
  if (kind === "app") {
    const a = await get<Schemas["ApplicationOut"]>(at`/api/v1/app/${id}`);
    return { kind, id: a.id, app: a.id, name: a.name };
  }
  const s = await get<Schemas["IngestSourceOut"]>(at`/ingest/api/v1/source/${id}`);
  return { kind, id: s.id, app: s.appId, name: s.name, provider: s.provider };
}

export const endpointsOf = (o: Pick<Owner, "kind" | "id">) => (o.kind === "app" ? at`/api/v1/app/${o.id}/endpoint` : at`/ingest/api/v1/source/${o.id}/endpoint`);
export const endpointAt = (o: Pick<Owner, "kind" | "id">, id: string) => `${endpointsOf(o)}/${part(id)}`;
export const readEndpoint = (o: Owner, id: string) => get<Endpoint>(endpointAt(o, id));
export const listEndpoints = (o: Pick<Owner, "kind" | "id">) => whole<Endpoint>(endpointsOf(o));

/** What an endpoint is called: its own words, else its address. */
export function nameOf(e: Endpoint): string {
  return e.name || e.description || e.uid || e.url.replace(/^https?:\/\//, "");
}
/** What says how an endpoint is doing. */
export interface Standing {
  state: string;
  failingSince?: string | null;
}
/** Its state, or that it fails: who is paused or disabled is that first. */
export const standing = (e: Standing) => (e.state === "enabled" && e.failingSince ? "failing" : e.state);
/** The event types that an endpoint wants; none means all. */
export function wants(e: Endpoint): string[] {
  return e.eventTypes ?? e.eventTypePatterns ?? [];
}

/** Changes some fields. Endpoints of sources are replaced, so the others go along. */
export function change(o: Owner, e: Endpoint, fields: Record<string, unknown>) {
  const path = endpointAt(o, e.id);
  if (o.kind === "app") return patch(path, fields);
  const whole: Record<string, unknown> = {
    url: e.url, description: e.description, disabled: e.disabled ?? false, metadata: e.metadata,
    ...(e.uid ? { uid: e.uid } : {}), ...(e.throttleRate ? { throttleRate: e.throttleRate } : {}), ...fields,
  };
  for (const [k, v] of Object.entries(whole)) if (v === null) delete whole[k];
  return put(path, whole);
}
