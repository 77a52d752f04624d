// JSON in colours, as parts of text – never as HTML.
export interface Piece {
  text: string;
  kind: "" | "key" | "text" | "number" | "word";
}
const token = /("(?:\\.|[^"\\])*")(\s*:)?|\b(true|false|null)\b|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;

export function pieces(source: string): Piece[] {
  const out: Piece[] = [];
  let end = 0;
  for (const m of source.matchAll(token)) {
    if (m.index > end) out.push({ text: source.slice(end, m.index), kind: "" });
    if (m[1] && m[2] !== undefined) out.push({ text: m[1], kind: "key" }, { text: m[2], kind: "" });
    else out.push({ text: m[0], kind: m[1] ? "text" : m[3] ? "word" : "number" });
    end = m.index + m[0].length;
  }
  if (end < source.length) out.push({ text: source.slice(end), kind: "" });
  return out;
}

/** Sets JSON out without reading numbers, so that none of them changes. */
export function pretty(source: string): string | undefined {
  try {
    JSON.parse(source);
  } catch {
    return undefined;
  }
  let out = "";
  let depth = 0;
  const line = () => `\n${"  ".repeat(depth)}`;
  const text = /"(?:\\.|[^"\\])*"|[{}[\],:]|[^\s{}[\],:"]+/g;
  let before = "";
  for (const [t] of source.matchAll(text)) {
    if (t === "}" || t === "]") {
      depth--;
      out += before === "{" || before === "[" ? t : line() + t;
    } else {
      if (before === "{" || before === "[" || before === ",") out += line();
      out += t === ":" ? ": " : t;
      if (t === "{" || t === "[") depth++;
    }
    before = t;
  }
  return out;
}
