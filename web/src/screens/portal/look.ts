// How the organization wants its portal to look. Its colour goes through the
// style object, which the policy of the page allows, never through a style text.
import { session } from "../../app/session.svelte";

/** Puts the colour in force, and returns the logo if there is one. */
export function look(): { logo?: string } {
  const { colour, logo } = session.who?.portal ?? {};
  if (colour && /^#[0-9a-f]{6}$/i.test(colour)) paint(colour);
  return logo?.startsWith("data:image/") ? { logo } : {};
}

/** Puts a colour in the place of ours, as far as it can be read. */
function paint(colour: string) {
  const style = document.documentElement.style;
  style.setProperty("--accent", colour);
  style.setProperty("--accent-hover", `color-mix(in srgb, ${colour} 85%, #000)`);
  style.setProperty("--accent-text", "light-dark(" + `color-mix(in srgb, ${colour} 80%, #000), color-mix(in srgb, ${colour} 55%, #fff))`);
  style.setProperty("--accent-soft", `color-mix(in srgb, ${colour} 12%, var(--bg))`);
  style.setProperty("--on-accent", brightness(colour) > 0.45 ? "#16191f" : "#ffffff");
}

/** Relative luminance, WCAG 2. */
function brightness(hex: string) {
  const [r, g, b] = [1, 3, 5].map((i) => {
    const c = parseInt(hex.slice(i, i + 2), 16) / 255;
    return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  }) as [number, number, number];
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}
