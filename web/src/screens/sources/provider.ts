// What is known of providers, and secrets made by their rules.
import { at, get, type Schemas } from "../../api/client";

export type Provider = Schemas["ProviderOut"];
/** With its samples. */
export type ProviderDetail = Schemas["ProviderDetailOut"];

export const listProviders = async (): Promise<Provider[]> => (await get<Schemas["ProvidersOut"]>("/api/v1/provider")).data;
export const readProvider = (name: string) => get<ProviderDetail>(at`/api/v1/provider/${name}`);

const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/** Makes a secret that a provider takes: 32 random bytes where it may be a whsec_, else 40 characters of each kind. */
export function makeSecret(p: Provider): string {
  const fits = (s: string) => {
    if (!p.secret.pattern) return true;
    try {
      return new RegExp(p.secret.pattern).test(s);
    } catch {
      return true; // the server has the last word
    }
  };
  const whsec = `whsec_${btoa(String.fromCharCode(...crypto.getRandomValues(new Uint8Array(32))))}`;
  if (p.scheme === "standard-webhooks" && fits(whsec)) return whsec;
  for (let i = 0; i < 100; i++) {
    // Bytes above the last whole multiple are left out, so each letter is as likely.
    const bytes = [...crypto.getRandomValues(new Uint8Array(128))].filter((b) => b < 248).slice(0, 40);
    const s = bytes.map((b) => letters[b % letters.length]).join("");
    if (/[A-Z]/.test(s) && /[a-z]/.test(s) && /\d/.test(s) && fits(s)) return s;
  }
  return whsec;
}

/** Who can post to a URL: everyone, everyone but in the clear, or this machine alone. */
export function reachOf(url: string): "world" | "clear" | "machine" {
  const { protocol, hostname } = new URL(url);
  if (/^(localhost|.*\.localhost|127\..*|\[::1\]|0\.0\.0\.0)$/.test(hostname)) return "machine";
  return protocol === "https:" ? "world" : "clear";
}

/** The sample that tells the most: a decision or a success, else the first. */
export function telling(p: ProviderDetail): string {
  for (const good of [/\.(approved|succeeded|paid)$/, /verification_completed$/, /(completed|created|finalized|opened)$/]) {
    const s = p.samples.find((x) => good.test(x.eventType));
    if (s) return s.name;
  }
  return p.samples[0]?.name ?? "";
}

/** A uid from a name, as the API wants it. */
export const uidOf = (name: string) => name.toLowerCase().replace(/[^a-z0-9_.-]+/g, "-").replace(/^-+|-+$/g, "").slice(0, 60);
