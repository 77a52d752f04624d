// Why requests are rejected, in words.
const words: Record<string, string> = {
  mismatch: "The signature does not match",
  missing_header: "There is no signature",
  malformed_header: "The signature cannot be read",
  timestamp: "Its time is too old or too new",
  auth_client: "It comes from another account",
  address: "Its address is not allowed",
  flow_id: "It comes from another flow",
};
export const inWords = (reason: string) => words[reason] ?? reason.replaceAll("_", " ").replace(/^./, (c) => c.toUpperCase());
