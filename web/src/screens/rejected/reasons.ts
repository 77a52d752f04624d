// Why requests are rejected, in words.
const words: Record<string, string> = {
  mismatch: "The signature does not match",
  missing: "There is no signature",
  malformed: "The signature cannot be read",
  stale: "Its time is too old or too new",
  expired: "Its time is too old or too new",
  timestamp: "Its time is too old or too new",
  no_secret: "The source has no secret",
};
export const inWords = (reason: string) => words[reason] ?? reason.replaceAll("_", " ").replace(/^./, (c) => c.toUpperCase());
