// The keyboard. A screen with a list says how to walk it; everything else is
// the same everywhere.
import { go } from "./router.svelte";

export interface Walk {
  next(): void;
  previous(): void;
  open(): void;
}
export interface Shortcut {
  keys: string;
  does: string;
}

class Keys {
  palette = $state(false);
  help = $state(false);
  /** The shortcuts of the screen that is shown, for the list of them. */
  here = $state.raw<Shortcut[]>([]);
  private walks: Walk[] = [];
  private actions = new Map<string, () => void>();
  private places = new Map<string, string>();
  private waiting = 0;

  constructor() {
    addEventListener("keydown", (e) => this.pressed(e));
  }

  /** Where `g` and a letter lead. */
  setPlaces(list: { key: string; path: string }[]) {
    this.places = new Map(list.map((p) => [p.key, p.path]));
  }
  walk(w: Walk): () => void {
    this.walks.push(w);
    return () => {
      this.walks = this.walks.filter((x) => x !== w);
    };
  }
  /** Binds single keys while a screen is shown. */
  bind(list: { key: string; does: string; run: () => void }[]): () => void {
    for (const b of list) this.actions.set(b.key, b.run);
    this.here = list.map((b) => ({ keys: b.key, does: b.does }));
    return () => {
      for (const b of list) if (this.actions.get(b.key) === b.run) this.actions.delete(b.key);
      this.here = [];
    };
  }

  private pressed(e: KeyboardEvent) {
    if ((e.ctrlKey || e.metaKey) && !e.altKey && e.key.toLowerCase() === "k") {
      e.preventDefault();
      this.palette = !this.palette;
      return;
    }
    if (e.ctrlKey || e.metaKey || e.altKey || e.defaultPrevented) return;
    const on = e.target as HTMLElement;
    if (on.closest("input, textarea, select, [contenteditable]")) {
      if (e.key === "Escape") on.blur();
      return;
    }
    if (document.querySelector("dialog[open]")) return;
    if (this.waiting && Date.now() - this.waiting < 1500) {
      this.waiting = 0;
      const to = this.places.get(e.key);
      if (to) {
        e.preventDefault();
        go(to);
      }
      return;
    }
    this.single(e, on);
  }

  private single(e: KeyboardEvent, on: HTMLElement) {
    const w = this.walks.at(-1);
    const run: Record<string, (() => void) | undefined> = {
      g: () => (this.waiting = Date.now()),
      "?": () => (this.help = true),
      "/": () => {
        const field = document.querySelector<HTMLElement>("[data-search]");
        if (field) field.focus();
        else this.palette = true;
      },
      j: w && (() => w.next()),
      k: w && (() => w.previous()),
    };
    const does = run[e.key] ?? this.actions.get(e.key) ?? (e.key === "Enter" && w && !on.closest("a[href], button, summary, [role=button], [role=tab], [role=option], [role=menuitem]") ? () => w.open() : undefined);
    if (!does) return;
    e.preventDefault();
    does();
  }
}

export const keys = new Keys();
