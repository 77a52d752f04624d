// Light, dark, or as the system has it.
export type Theme = "system" | "light" | "dark";

const slot = "sigpost.theme";

class Choice {
  value = $state<Theme>("system");
  constructor() {
    try {
      const kept = localStorage.getItem(slot);
      if (kept === "light" || kept === "dark") this.value = kept;
    } catch {
      // a frame without storage
    }
    this.show();
  }
  set(value: Theme) {
    this.value = value;
    try {
      localStorage.setItem(slot, value);
    } catch {
      // as above
    }
    this.show();
  }
  /** What a page asks for that shows this one in a frame: true is dark. It is not kept. */
  ask(dark: string | null) {
    const asked = ({ true: "dark", false: "light", auto: "system" } as Record<string, Theme>)[dark ?? ""];
    if (!asked) return;
    this.value = asked;
    this.show();
  }
  next() {
    this.set(this.value === "system" ? "light" : this.value === "light" ? "dark" : "system");
  }
  private show() {
    if (this.value === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = this.value;
  }
}

export const theme = new Choice();
