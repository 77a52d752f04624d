// Routes stand behind the # – so every state has an address, and the server
// need not know any of them.
import type { Component } from "svelte";

export interface Route {
  path: string;
  title: string;
  load: () => Promise<{ default: Component<never> }>;
}
type Values = Record<string, string>;

class Place {
  path = $state("/");
  query = $state.raw<Values>({});

  constructor() {
    this.read();
    addEventListener("hashchange", () => this.read());
  }
  private read() {
    const text = location.hash.replace(/^#/, "") || "/";
    const [path, query] = [text.split("?")[0]!, text.slice(text.indexOf("?") + 1)];
    this.path = path.startsWith("/") ? path : "/";
    this.query = text.includes("?") ? Object.fromEntries(new URLSearchParams(query)) : {};
  }
}

export const place = new Place();

/** The address of a state. What is empty is left out. */
export function href(path: string, query: Record<string, string | undefined> = {}) {
  const q = new URLSearchParams();
  for (const [k, v] of Object.entries(query)) if (v) q.set(k, v);
  const text = q.toString();
  return `#${path}${text ? `?${text}` : ""}`;
}

export function go(path: string, query: Record<string, string | undefined> = {}) {
  location.hash = href(path, query);
}

/** Changes what the address says of filters, without a step in the history. */
export function refine(change: Record<string, string | undefined>) {
  const next = href(place.path, { ...place.query, ...change });
  if (next === location.hash) return;
  history.replaceState(null, "", next);
  dispatchEvent(new HashChangeEvent("hashchange"));
}

/** Finds the route of a path, and what its :names stand for. */
export function match<R extends { path: string }>(routes: R[], path: string): { route: R; values: Values } | undefined {
  const parts = path.split("/").filter(Boolean);
  for (const route of routes) {
    const want = route.path.split("/").filter(Boolean);
    if (want.length !== parts.length) continue;
    const values: Values = {};
    const fits = want.every((w, i) => {
      if (!w.startsWith(":")) return w === parts[i];
      try {
        values[w.slice(1)] = decodeURIComponent(parts[i]!);
      } catch {
        return false;
      }
      return true;
    });
    if (fits) return { route, values };
  }
  return undefined;
}

/** One part of a path: an id, escaped. */
export const part = encodeURIComponent;
