// The one way to the server: the public API, with the cookie of a session or a
// token that was pasted, never both.
import type { components } from "./schema";

export type Schemas = components["schemas"];

export interface Detail {
  loc: string[];
  msg: string;
}

/** What the API refused, in its own words. */
export class Fault extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly details: Detail[] = [],
    readonly retryAfter = 0,
  ) {
    super(message);
  }
  /** What is wrong with one field, if that is it. */
  of(field: string): string | undefined {
    return this.details.find((d) => d.loc.includes(field))?.msg;
  }
}

export type Query = Record<string, string | number | boolean | string[] | undefined | null>;

let bearer = "";
let refused: () => void = () => {};

export function useToken(token: string) {
  bearer = token;
}
export function hasToken() {
  return bearer !== "";
}
/** Tells when the server no longer knows who asks. */
export function onRefused(then: () => void) {
  refused = then;
}

/** Builds a path of the API; what is put in is escaped. */
export function at(parts: TemplateStringsArray, ...values: (string | number)[]) {
  return parts.reduce((path, part, i) => path + encodeURIComponent(String(values[i - 1])) + part);
}

export function withQuery(path: string, query?: Query) {
  const q = new URLSearchParams();
  for (const [name, value] of Object.entries(query ?? {})) {
    if (value === undefined || value === null || value === "") continue;
    q.set(name, Array.isArray(value) ? value.join(",") : String(value));
  }
  const text = q.toString();
  return text ? `${path}?${text}` : path;
}

/** Sends a request and returns the response as it came, whatever its status. */
export function request(method: string, path: string, body?: unknown, signal?: AbortSignal, headers: Record<string, string> = {}) {
  if (bearer) headers["Authorization"] = `Bearer ${bearer}`;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  return fetch(path, {
    method,
    headers,
    signal: signal ?? null,
    body: body === undefined ? null : JSON.stringify(body),
    credentials: bearer ? "omit" : "same-origin",
    cache: "no-store",
    redirect: "error",
  });
}

async function faultOf(r: Response): Promise<Fault> {
  let data: { code?: string; detail?: string | Detail[] } = {};
  try {
    data = await r.json();
  } catch {
    // not ours: a proxy in between
  }
  const after = Number(r.headers.get("Retry-After")) || 0;
  if (Array.isArray(data.detail)) {
    const text = data.detail.map((d) => `${d.loc.slice(1).join(".") || "request"}: ${d.msg}`).join("; ");
    return new Fault(r.status, "invalid", text, data.detail, after);
  }
  return new Fault(r.status, data.code ?? "", data.detail ?? `the server answered ${r.status}`, [], after);
}

export async function send<T = void>(method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<T> {
  let r: Response;
  try {
    r = await request(method, path, body, signal);
  } catch (e) {
    if (signal?.aborted) throw e;
    throw new Fault(0, "unreachable", "The server does not answer. Check that it runs, then try again.");
  }
  if (!r.ok) {
    const fault = await faultOf(r);
    if (r.status === 401 && !path.startsWith("/api/v1/auth/session")) refused();
    throw fault;
  }
  if (r.status === 204) return undefined as T;
  return (await r.json()) as T;
}

export const get = <T>(path: string, query?: Query, signal?: AbortSignal) => send<T>("GET", withQuery(path, query), undefined, signal);
export const post = <T = void>(path: string, body?: unknown) => send<T>("POST", path, body);
export const put = <T = void>(path: string, body: unknown) => send<T>("PUT", path, body);
export const patch = <T = void>(path: string, body: unknown) => send<T>("PATCH", path, body);
export const del = (path: string) => send("DELETE", path);

/** Says an error to people. */
export function told(e: unknown): string {
  if (e instanceof Fault) return sentence(e.message);
  return e instanceof Error ? e.message : String(e);
}

export function sentence(text: string) {
  return text ? text[0]!.toUpperCase() + text.slice(1) : text;
}
