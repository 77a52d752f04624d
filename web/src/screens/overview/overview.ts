// The figures of an organization, as the API counts them by the minute.
import type { Schemas } from "../../api/client";

export type Overview = Schemas["OverviewOut"];
export type Trouble = Schemas["TroubleOut"];

export const ranges: Record<string, [string, number]> = {
  "1h": ["Last hour", 3_600],
  "24h": ["Last 24 hours", 86_400],
  "7d": ["Last 7 days", 604_800],
  "30d": ["Last 30 days", 2_592_000],
};
