// The fields of an endpoint as a form has them, and as the API does.
import type { Endpoint, Owner } from "./owner";
import { wants } from "./owner";
import { waitsOf, written } from "./retries";

export interface Form {
  url: string;
  description: string;
  types: string[];
  channels: string[];
  rate: string;
  retries: string;
  order: "none" | "subject" | "kind";
  kind: string;
  orderBy: "acceptance" | "occurrence";
  latestOnly: boolean;
  onPoison: "block" | "skip" | "park";
  poisonAfter: string;
  scheme: string;
  policy: string;
}

export function formOf(e?: Endpoint): Form {
  const order = e?.order ?? "none";
  return {
    url: e?.url ?? "",
    description: e?.description ?? "",
    types: e ? wants(e) : [],
    channels: e?.channels ?? [],
    rate: e?.throttleRate ? String(e.throttleRate) : "",
    retries: written(e?.retries ?? []),
    order: order.startsWith("subject:") ? "kind" : (order as Form["order"]),
    kind: order.startsWith("subject:") ? order.slice(8) : "",
    orderBy: e?.orderBy ?? "acceptance",
    latestOnly: e?.latestOnly ?? false,
    onPoison: e?.onPoison ?? "block",
    poisonAfter: e?.poisonAfter ? String(e.poisonAfter) : "",
    scheme: e?.signature?.scheme ?? "",
    policy: e?.policy ?? "",
  };
}

/**
 * What is sent. Clearing says null, which only PATCH takes; others leave it out. What
 * cannot be sent is thrown, as a Fault of its field.
 */
export function fieldsOf(f: Form, owner: Owner, was?: Endpoint): Record<string, unknown> {
  const out: Record<string, unknown> = { url: f.url.trim(), description: f.description.trim() };
  const patterns = owner.kind === "source" || f.types.some((t) => t.includes("*"));
  if (was) out[patterns ? "eventTypePatterns" : "eventTypes"] = f.types;
  else if (f.types.length) out[patterns ? "eventTypePatterns" : "eventTypes"] = f.types;
  if (was && owner.kind === "app" && f.types.length === 0) {
    out.eventTypes = null;
    out.eventTypePatterns = [];
  }
  if (owner.kind === "app" && (f.channels.length || was)) out.channels = f.channels.length ? f.channels : null;
  if (f.rate) out.throttleRate = Number(f.rate);
  else if (was?.throttleRate) out.throttleRate = null;
  const retries = waitsOf(f.retries);
  if (retries.length || was?.retries?.length) out.retries = retries;
  out.order = f.order === "kind" ? `subject:${f.kind.trim()}` : f.order;
  if (f.order !== "none") {
    out.orderBy = f.orderBy;
    out.latestOnly = f.latestOnly;
    out.onPoison = f.onPoison;
    if (f.poisonAfter) out.poisonAfter = Number(f.poisonAfter);
  }
  if (f.policy.trim()) out.policy = f.policy.trim();
  else if (was?.policy) out.policy = null;
  // Left out it stays as it is, so who clears it names the usual one.
  const scheme = f.scheme.trim() || (was?.signature ? "standard-webhooks" : "");
  if (scheme && scheme !== was?.signature?.scheme) out.signature = { scheme };
  return out;
}
