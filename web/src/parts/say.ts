// How times, sizes and numbers are said.
const steps: [number, Intl.RelativeTimeFormatUnit][] = [
  [60, "second"],
  [60, "minute"],
  [24, "hour"],
  [7, "day"],
  [4.35, "week"],
  [12, "month"],
  [Infinity, "year"],
];
const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto", style: "narrow" });
const exactly = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "medium" });
const day = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
const count = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

export function ago(at: string | number | Date, now = Date.now()): string {
  let left = (new Date(at).getTime() - now) / 1000;
  if (Math.abs(left) < 5) return left > 0 ? "in a moment" : "just now";
  for (const [size, unit] of steps) {
    if (Math.abs(left) < size) return relative.format(Math.round(left), unit);
    left /= size;
  }
  return "";
}
export function exact(at: string | number | Date) {
  const d = new Date(at);
  return `${exactly.format(d)}.${String(d.getMilliseconds()).padStart(3, "0")} (${Intl.DateTimeFormat().resolvedOptions().timeZone}) · ${d.toISOString()}`;
}
export function short(at: string | number | Date) {
  return day.format(new Date(at));
}
export function took(ms: number) {
  if (ms < 1) return "< 1 ms";
  if (ms < 10) return `${ms.toFixed(1)} ms`;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  return ms < 60_000 ? `${(ms / 1000).toFixed(1)} s` : span(ms / 1000);
}
/** A length of time in seconds, in its two largest units. */
export function span(seconds: number) {
  const units: [number, string][] = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const out: string[] = [];
  for (const [size, name] of units) {
    const n = Math.floor(seconds / size);
    if (n > 0) out.push(`${n} ${name}`);
    seconds -= n * size;
    if (out.length === 2) break;
  }
  return out.join(" ") || "0 s";
}
export function bytes(n: number) {
  if (n < 1000) return `${n} B`;
  return n < 1_000_000 ? `${count.format(n / 1000)} kB` : `${count.format(n / 1_000_000)} MB`;
}
export const number = (n: number) => count.format(n);
export const brief = (n: number) => (Math.abs(n) < 10_000 ? count.format(n) : compact.format(n));
export function percent(part: number, of: number) {
  if (of === 0) return "–";
  const p = (100 * part) / of;
  return `${p > 99.9 && p < 100 ? "99.9" : p.toFixed(p === 100 || p === 0 ? 0 : 1)} %`;
}
export const plural = (n: number, one: string, many = `${one}s`) => `${count.format(n)} ${n === 1 ? one : many}`;
/** The end of an id, which is what tells two apart. */
export const tail = (id: string) => (id.length > 14 ? `${id.slice(0, id.indexOf("_") + 1)}…${id.slice(-6)}` : id);
