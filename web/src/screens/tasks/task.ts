// What background tasks are called, and how far they are.
import type { Schemas } from "../../api/client";

export type Task = Schemas["BackgroundTaskOut"];
export interface Data {
  kind?: string;
  state?: "running" | "paused" | "canceled" | "finished" | "failed";
  appId?: string;
  sourceId?: string;
  endpointId?: string;
  dryRun?: boolean;
  pace?: number;
  examples?: string[];
  messagesSent?: number;
  messagesCanceled?: number;
  wouldSend?: number;
  wouldCancel?: number;
  underWay?: number;
  error?: string;
  progress?: { looked: number; sent: number; total?: number };
}

const words: Record<string, string> = {
  "endpoint.recover": "Recover failed messages",
  "endpoint.replay": "Replay missing messages",
  "endpoint.replay-missing": "Replay missing messages",
  "endpoint.bulk-replay": "Replay messages",
  "endpoint.cancel-pending": "Cancel pending deliveries",
  "application.stats": "Count usage",
  "event-type.aggregate": "Count event types",
  "application.purge_content": "Delete all payloads",
  "message.broadcast": "Broadcast",
};

export const dataOf = (t: Task) => (t.data ?? {}) as Data;
export const stateOf = (t: Task) => dataOf(t).state ?? t.status;
export function titleOf(t: Task) {
  const d = dataOf(t);
  return `${words[d.kind ?? t.task] ?? d.kind ?? t.task}${d.dryRun ? " (count only)" : ""}`;
}
export const over = (t: Task) => ["finished", "failed", "canceled"].includes(stateOf(t));
/** How many it would send, or cancel. */
export const found = (t: Task) => dataOf(t).wouldSend ?? dataOf(t).wouldCancel ?? 0;
