// The waits between tries as people write them: 5s, 5m, 1h30m.
import { Fault } from "../../api/client";

// The API's bounds.
const mostWaits = 64;
const longest = 7 * 86_400;

/** Those of an endpoint that has none of its own. */
export const usual = "5s, 5m, 30m, 2h, 5h, 10h, 14h, 20h, 24h";
export const bounds = `At most ${mostWaits}, from 1s to 7d each.`;

/** Seconds as they are written. */
export function written(waits: readonly number[]): string {
  return waits.map((n) => {
    const units: [number, string][] = [[Math.floor(n / 3600), "h"], [Math.floor(n / 60) % 60, "m"], [n % 60, "s"]];
    return units.map(([many, unit]) => (many ? many + unit : "")).join("");
  }).join(", ");
}

/** What is written as seconds; nothing is the usual ones. Throws a Fault of the field. */
export function waitsOf(text: string): number[] {
  // A comma is not needed where another wait begins.
  const words = text.replace(/([a-z])\s+(?=\d)/gi, "$1,").split(",").map((w) => w.replace(/\s+/g, "")).filter(Boolean);
  if (words.length > mostWaits) throw wrong(`These are ${words.length} waits; at most ${mostWaits} are taken.`);
  return words.map(seconds);
}

function seconds(word: string): number {
  if (/^\d+$/.test(word)) throw wrong(`${word} has no unit: write ${word}s, ${word}m or ${word}h.`);
  const parts = /^(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?$/i.exec(word)?.slice(1).map((n) => Number(n ?? 0));
  if (!parts) throw wrong(`“${word.slice(0, 40)}” is no duration: write seconds, minutes, hours or days as in 30s, 5m, 1h30m or 1d.`);
  const n = parts[0]! * 86_400 + parts[1]! * 3600 + parts[2]! * 60 + parts[3]!;
  if (n < 1) throw wrong(`${word} is too short: a wait has at least 1s.`);
  if (n > longest) throw wrong(`${word} is too long: a wait has at most 7d.`);
  return n;
}

const wrong = (msg: string) => new Fault(422, "invalid", `Retries: ${msg}`, [{ loc: ["body", "retries"], msg }]);
