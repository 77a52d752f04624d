// What sources and applications are called; lists of messages have their ids.
import { at, get } from "../api/client";
import type { Schemas } from "../api/client";
import { whole } from "../api/pages.svelte";
import { session } from "../app/session.svelte";

type Source = Schemas["IngestSourceOut"];
type App = Schemas["ApplicationOut"];

class Names {
  sources = $state.raw<Source[]>([]);
  apps = $state.raw<App[]>([]);
  private asked = "";
  // Those that are not in the list, because they were made since it was read.
  private later = $state.raw<App[]>([]);
  private looked = new Set<string>();

  /** Reads them once for whoever is signed in; again when told to. */
  async read(anew = false) {
    const who = session.who?.organization.id ?? "";
    if ((this.asked === who && !anew) || session.portal) return;
    this.asked = who;
    try {
      [this.sources, this.apps] = await Promise.all([whole<Source>("/ingest/api/v1/source"), whole<App>("/api/v1/app")]);
    } catch {
      this.asked = ""; // the screen says what is wrong; names are an extra
    }
  }
  app(id: string) {
    const known = [...this.apps, ...this.later].find((a) => a.id === id);
    if (!known && id) void this.look(id);
    return known?.name;
  }
  /** Asks for an application by itself, once; the list may be on its way yet. */
  private async look(id: string) {
    if (this.apps.length === 0 || this.looked.has(id)) return;
    this.looked.add(id);
    try {
      this.later = [...this.later, await get<App>(at`/api/v1/app/${id}`)];
    } catch {
      // it was deleted; its id says as much
    }
  }
  source(id: string) {
    return this.sources.find((s) => s.id === id || s.uid === id || s.name === id);
  }
}

export const names = new Names();
