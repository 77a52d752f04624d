// What the address says of filters, as the API wants it.
import type { Query } from "../../api/client";

export const states = ["delivered", "pending", "failed", "held", "canceled", "unmatched"] as const;
export const spans: Record<string, [string, number]> = {
  "15m": ["Last 15 minutes", 15],
  "1h": ["Last hour", 60],
  "24h": ["Last 24 hours", 24 * 60],
  "7d": ["Last 7 days", 7 * 24 * 60],
  "30d": ["Last 30 days", 30 * 24 * 60],
};

export type Filters = Record<string, string>;
export const filterNames = ["q", "state", "source", "app", "endpoint", "type", "span", "after", "before"];

export function filtered(f: Filters) {
  return filterNames.some((n) => f[n]);
}

/** Text of the form kind:id looks for a subject; anything else in payloads. */
export function subjectOf(text: string): string | undefined {
  const m = /^([a-z][a-z0-9_-]*)[:=]\s*(\S+)$/.exec(text.trim());
  return m ? `${m[1]}:${m[2]}` : undefined;
}

export function toQuery(f: Filters, now = Date.now()): Query {
  const types = (f.type ?? "").split(/[\s,]+/).filter(Boolean);
  const subject = subjectOf(f.q ?? "");
  const span = spans[f.span ?? ""];
  return {
    source: f.source,
    app_id: f.app,
    endpoint: f.endpoint,
    state: f.state,
    event_types: types.filter((t) => !t.includes("*")),
    event_type_patterns: types.filter((t) => t.includes("*")),
    subject,
    // One letter would fit nearly everything, and the API refuses it.
    text: subject || (f.q?.trim().length ?? 0) < 2 ? undefined : f.q?.trim().slice(0, 256),
    after: span ? new Date(now - span[1] * 60_000).toISOString() : f.after,
    before: f.before,
  };
}
