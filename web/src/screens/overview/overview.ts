// The figures of an organization, as the API counts them by the minute.
export interface Bucket {
  at: string;
  received: number;
  rejected: number;
  delivered: number;
  failed: number;
  p50Ms: number | null;
  p99Ms: number | null;
}
export interface Trouble {
  endpointId: string;
  appId?: string | null;
  sourceId?: string | null;
  name: string;
  url: string;
  reason: string;
  failingSince?: string | null;
  successRate?: number | null;
}
export interface Overview {
  buckets: Bucket[];
  totals: { received: number; rejected: number; delivered: number; failed: number; p50Ms?: number | null; p99Ms?: number | null };
  oldestPending: { at: string; messageId: string; endpointId: string } | null;
  pending: number;
  endpointsInTrouble: Trouble[];
  rejectedBySource: { sourceId: string; name: string; count: number }[];
}

export const ranges: Record<string, [string, number]> = {
  "1h": ["Last hour", 3_600],
  "24h": ["Last 24 hours", 86_400],
  "7d": ["Last 7 days", 604_800],
  "30d": ["Last 30 days", 2_592_000],
};
