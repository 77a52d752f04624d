// What the API says of a source beyond its settings.
export interface LiveSecret {
  id?: string;
  masked: string;
  createdAt?: string | null;
  expiresAt?: string | null;
}
export interface SourceStatus {
  lastRequestAt?: string | null;
  lastMessageAt?: string | null;
  lastRejected?: { id: string; at: string; reason: string } | null;
  secrets?: LiveSecret[];
}
