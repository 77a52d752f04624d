// How the portal is to look: as the page asks that shows it – in the query of the
// address, with the names that AppPortal of the SDK's React package gives them – else
// as its organization wants. What is no colour, or no image that the policy of the page
// lets it show, counts for nothing. A colour goes through the style object, which the
// policy allows, never through a style text.
import { session } from "../../app/session.svelte";

/** Puts the colour in force, and returns the logo if there is one. */
export function look(asked = new URLSearchParams(location.search)): { logo?: string } {
  const own = session.who?.portal;
  const colour = hex(asked.get("primaryColor")) ?? hex(own?.colour);
  if (colour) paint(colour);
  const logo = image(asked.get("icon")) ?? image(own?.logo);
  return logo ? { logo } : {};
}

/** A colour as #rrggbb; it may come short, and without the #. */
function hex(text: string | null | undefined): string | undefined {
  const digits = /^#?([0-9a-f]{6}|[0-9a-f]{3})$/i.exec(text ?? "")?.[1];
  return digits && `#${digits.length === 3 ? digits.replace(/./g, "$&$&") : digits}`;
}

/** An image that is here already: nothing is loaded from elsewhere. */
function image(text: string | null | undefined): string | undefined {
  return /^data:image\/(png|jpeg|gif|webp|svg\+xml);base64,[a-z0-9+/=]+$/i.test(text ?? "") ? text! : undefined;
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
