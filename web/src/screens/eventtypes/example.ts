// An example of a JSON Schema: the one that it has, else one made of its parts.
type Schema = Record<string, unknown>;

export function exampleOf(s: Schema, depth = 0): unknown {
  if (depth > 8 || typeof s !== "object" || s === null) return undefined;
  if (Array.isArray(s.examples) && s.examples.length) return s.examples[0];
  if (s.example !== undefined) return s.example;
  if (s.const !== undefined) return s.const;
  if (s.default !== undefined) return s.default;
  if (Array.isArray(s.enum)) return s.enum[0];
  const type = Array.isArray(s.type) ? s.type[0] : s.type;
  if (type === "object" || s.properties) {
    const parts = Object.entries((s.properties ?? {}) as Record<string, Schema>);
    return Object.fromEntries(parts.map(([name, p]) => [name, exampleOf(p, depth + 1) ?? null]));
  }
  if (type === "array") return [exampleOf((s.items ?? {}) as Schema, depth + 1) ?? null];
  if (type === "string") return s.format === "date-time" ? "2026-01-31T12:00:00Z" : s.format === "email" ? "ada@example.com" : "text";
  if (type === "integer" || type === "number") return s.minimum ?? 1;
  if (type === "boolean") return true;
  return undefined;
}
