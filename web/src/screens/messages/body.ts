// The exact bytes of a message, and what can be shown of them.
import { pretty } from "../../parts/highlight";

export interface Body {
  bytes: Uint8Array;
  /** Undefined where they are no text. */
  text: string | undefined;
  /** Set out for people; undefined where they are no JSON. */
  json: string | undefined;
}

export function decode(base64: string): Body {
  const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
  let text: string | undefined;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    if (text.includes("\0")) text = undefined;
  } catch {
    // no text
  }
  return { bytes, text, json: text === undefined ? undefined : pretty(text) };
}

/** Bytes as a hex dump, the first of them. */
export function dump(bytes: Uint8Array, most = 4096) {
  const lines: string[] = [];
  for (let i = 0; i < Math.min(bytes.length, most); i += 16) {
    const row = bytes.slice(i, i + 16);
    const hex = [...row].map((b) => b.toString(16).padStart(2, "0")).join(" ");
    const text = [...row].map((b) => (b >= 32 && b < 127 ? String.fromCharCode(b) : "·")).join("");
    lines.push(`${i.toString(16).padStart(6, "0")}  ${hex.padEnd(47)}  ${text}`);
  }
  if (bytes.length > most) lines.push("…");
  return lines.join("\n");
}

const quote = (s: string) => `'${s.replaceAll("'", `'\\''`)}'`;

/** A command that posts the same bytes. What may be a credential is not in it, and that it has no signature is said. */
export function curl(url: string, headers: [string, string][], body: Body): string {
  const lines = [`curl -i ${quote(url)}`, ...headers.filter(([, v]) => v !== "[redacted]").map(([n, v]) => `-H ${quote(`${n}: ${v}`)}`)];
  const said = "# It carries no signature: a receiver that verifies refuses it.\n";
  if (body.text !== undefined && body.bytes.length < 64_000) return said + [...lines, `--data-binary ${quote(body.text)}`].join(" \\\n  ");
  const base64 = btoa(Array.from(body.bytes, (b) => String.fromCharCode(b)).join(""));
  return `${said}base64 -d <<'END' | ${[...lines, "--data-binary @-"].join(" \\\n  ")}\n${base64}\nEND`;
}
