// Sources are replaced, not patched: what is not said again would be at its
// default, so everything goes along but what changes.
import { at, put, type Schemas } from "../../api/client";

export type Source = Schemas["IngestSourceOut"];

export function changeSource(s: Source, fields: Record<string, unknown>) {
  const kept = { name: s.name, uid: s.uid, provider: s.provider, metadata: s.metadata, allowIps: s.allowIps, forwardHeaders: s.forwardHeaders, maxBody: s.maxBody, onBadSignature: s.onBadSignature, onDuplicate: s.onDuplicate, providerIps: s.providerIps };
  const body = Object.fromEntries(Object.entries({ ...kept, ...fields }).filter(([, v]) => v !== undefined && v !== null));
  return put<Source>(at`/ingest/api/v1/source/${s.id}`, body);
}
