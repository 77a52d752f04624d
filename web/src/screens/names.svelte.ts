// What sources and applications are called; lists of messages have their ids.
import type { Schemas } from "../api/client";
import { whole } from "../api/pages.svelte";
import { session } from "../app/session.svelte";

type Source = Schemas["IngestSourceOut"];
type App = Schemas["ApplicationOut"];

class Names {
  sources = $state.raw<Source[]>([]);
  apps = $state.raw<App[]>([]);
  private asked = "";

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
    return this.apps.find((a) => a.id === id)?.name;
  }
  source(id: string) {
    return this.sources.find((s) => s.id === id || s.uid === id || s.name === id);
  }
}

export const names = new Names();
