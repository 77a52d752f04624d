// Lists of the API come by the page, with a cursor; a page may be short or empty
// and still not be the last.
import { Fault, get, type Query } from "./client";

interface Page<T> {
  data: T[];
  iterator?: string | null;
  done: boolean;
  scanned?: number;
}

/** A list that grows as it is read. */
export class Pages<T extends { id?: string }> {
  items = $state.raw<T[]>([]);
  done = $state(false);
  /** How many were looked at, where the API says so. */
  scanned = $state(0);
  loading = $state(false);
  /** True until the first answer. */
  fresh = $state(true);
  fault = $state<Fault | undefined>();
  private iterator: string | undefined;
  private run = new AbortController();

  constructor(
    private path: string,
    private query: Query = {},
    private size = 50,
  ) {}

  /** Reads until there are enough for a screen, or no more. */
  async more(least = 1): Promise<void> {
    if (this.loading || this.done) return;
    this.loading = true;
    this.fault = undefined;
    const run = this.run;
    try {
      for (let found = 0, asked = 0; found < least && asked < 20 && !this.done; asked++) {
        const page = await get<Page<T>>(this.path, { limit: this.size, ...this.query, iterator: this.iterator }, run.signal);
        found += page.data.length;
        this.scanned += page.scanned ?? 0;
        if (page.data.length) this.items = [...this.items, ...page.data];
        this.iterator = page.iterator ?? undefined;
        this.done = page.done || !this.iterator;
      }
      this.fresh = false;
    } catch (e) {
      if (run.signal.aborted) return;
      this.fault = e instanceof Fault ? e : new Fault(0, "", String(e));
      this.fresh = false;
    } finally {
      if (run === this.run) this.loading = false;
    }
  }

  /** Begins anew; what is shown stays until the answer is there. */
  async again(query: Query = this.query): Promise<void> {
    this.stop();
    this.query = query;
    this.run = new AbortController();
    const run = this.run;
    this.loading = true;
    this.fault = undefined;
    try {
      const page = await get<Page<T>>(this.path, { limit: this.size, ...query }, run.signal);
      this.items = page.data;
      this.scanned = page.scanned ?? 0;
      this.iterator = page.iterator ?? undefined;
      this.done = page.done || !this.iterator;
    } catch (e) {
      if (run.signal.aborted) return;
      this.fault = e instanceof Fault ? e : new Fault(0, "", String(e));
    } finally {
      if (run === this.run) {
        this.loading = false;
        this.fresh = false;
      }
    }
    if (run === this.run && !this.fault && this.items.length === 0 && !this.done) await this.more();
  }

  /**
   * Puts the newest in front, without those that are there. Returns which were
   * read and which of them were new; nothing when they may no longer be shown:
   * the list was begun anew, or `may` says that something must not move now.
   */
  async newest(may = () => true): Promise<{ read: Set<T["id"]>; added: Set<T["id"]> } | undefined> {
    const run = this.run;
    const page = await get<Page<T>>(this.path, { limit: this.size, ...this.query }, run.signal);
    if (run !== this.run || !may()) return undefined;
    const came = new Map(page.data.map((x) => [x.id, x]));
    const known = new Set(this.items.map((x) => x.id));
    const added = page.data.filter((x) => !known.has(x.id));
    const result = { read: new Set(came.keys()), added: new Set(added.map((x) => x.id)) };
    if (added.length > 0 && added.length === page.data.length && this.items.length > 0 && !page.done) {
      this.stop(); // what is being read belongs behind the rows that go now
      this.run = new AbortController();
      this.items = page.data; // more came than a page holds
      this.iterator = page.iterator ?? undefined;
      this.done = false;
      return result;
    }
    this.items = [...added, ...this.items.map((x) => came.get(x.id) ?? x)];
    return result;
  }

  /**
   * Reads some rows again: with one request the first of them and what follows it on a
   * page. Returns those that are still to be read.
   */
  async reread(ids: Set<T["id"]>): Promise<Set<T["id"]>> {
    const [run, rows] = [this.run, this.items];
    const first = rows.findIndex((x) => ids.has(x.id));
    if (first < 0) return new Set();
    const page = await get<Page<T>>(this.path, { limit: this.size, ...this.query, iterator: rows[first - 1]?.id }, run.signal);
    if (run !== this.run) return new Set();
    this.replace(page.data);
    const read = new Set(page.data.map((x) => x.id));
    return new Set(rows.slice(first + 1).map((x) => x.id).filter((id) => ids.has(id) && !read.has(id)));
  }

  replace(changed: T[]) {
    if (changed.length === 0) return;
    const by = new Map(changed.map((x) => [x.id, x]));
    this.items = this.items.map((x) => by.get(x.id) ?? x);
  }

  stop() {
    this.run.abort();
    this.loading = false;
  }
}

/** Reads a whole list that is known to be short (endpoints, applications to choose from). */
export async function whole<T>(path: string, query: Query = {}, most = 1000): Promise<T[]> {
  const all: T[] = [];
  let iterator: string | undefined;
  for (;;) {
    const page = await get<Page<T>>(path, { limit: 250, ...query, iterator });
    all.push(...page.data);
    iterator = page.iterator ?? undefined;
    if (page.done || !iterator || all.length >= most) return all;
  }
}
