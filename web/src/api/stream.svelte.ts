// The live stream, read with fetch because an EventSource cannot send a token.
// There is one for all who listen; it is open while somebody does.
import { request, withQuery } from "./client";

export interface StreamEvent {
  kind: "message" | "attempt";
  data: Record<string, unknown> & { id: string; appId: string; msgId?: string; endpointId?: string };
}
type Listener = (e: StreamEvent) => void;

class Live {
  state = $state<"off" | "connecting" | "on" | "lost">("off");
  private listeners = new Set<Listener>();
  private run: AbortController | undefined;
  private last = "";
  /** Only this application's events: a portal's. */
  app = "";

  listen(then: Listener): () => void {
    this.listeners.add(then);
    if (!this.run) void this.follow();
    return () => {
      this.listeners.delete(then);
      if (this.listeners.size === 0) this.close();
    };
  }

  close() {
    this.run?.abort();
    this.run = undefined;
    this.state = "off";
    this.last = "";
  }

  private async follow() {
    const run = (this.run = new AbortController());
    let wait = 500;
    while (!run.signal.aborted) {
      this.state = this.state === "lost" ? "lost" : "connecting";
      try {
        const path = withQuery("/api/v1/stream", { app_id: this.app, last_event_id: this.last });
        const r = await request("GET", path, undefined, run.signal, { Accept: "text/event-stream" });
        if (r.status === 401 || r.status === 403) break;
        if (!r.ok || !r.body) throw new Error(String(r.status));
        this.state = "on";
        wait = 500;
        await this.read(r.body);
      } catch {
        if (run.signal.aborted) return;
      }
      if (run.signal.aborted) return;
      this.state = "lost";
      await new Promise((done) => setTimeout(done, wait));
      wait = Math.min(wait * 2, 15_000);
    }
    if (this.run === run) this.state = "lost";
  }

  private async read(body: ReadableStream<Uint8Array>) {
    const reader = body.pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>).getReader();
    let rest = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      rest += value;
      const blocks = rest.split("\n\n");
      rest = blocks.pop() ?? "";
      for (const block of blocks) this.block(block);
    }
  }

  private block(text: string) {
    let kind = "";
    let data = "";
    for (const line of text.split("\n")) {
      const [name, value] = [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 1).trimStart()];
      if (name === "id") this.last = value;
      if (name === "event") kind = value;
      if (name === "data") data += value;
    }
    if (!data || (kind !== "message" && kind !== "attempt")) return;
    const event = { kind, data: JSON.parse(data) } as StreamEvent;
    for (const l of this.listeners) l(event);
  }
}

export const live = new Live();
