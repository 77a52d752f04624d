var e=`// A receiver in Node that verifies what it gets, with no packages.
// WEBHOOK_SECRET=whsec_… node receiver.mjs
import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";

function verify(secret, headers, body) {
  const id = headers["webhook-id"];
  const at = headers["webhook-timestamp"];
  if (!(Math.abs(Date.now() / 1000 - Number(at)) < 300)) throw new Error("the timestamp is missing or too old");
  const key = Buffer.from(secret.replace(/^whsec_/, ""), "base64");
  const want = "v1," + createHmac("sha256", key).update(\`\${id}.\${at}.\`).update(body).digest("base64");
  const matches = (headers["webhook-signature"] ?? "")
    .split(" ")
    .some((given) => given.length === want.length && timingSafeEqual(Buffer.from(given), Buffer.from(want)));
  if (!matches) throw new Error("no signature matches");
}

createServer((req, res) => {
  const chunks = [];
  req.on("data", (chunk) => chunks.push(chunk));
  req.on("end", () => {
    const body = Buffer.concat(chunks); // the exact bytes, before any parser
    try {
      verify(process.env.WEBHOOK_SECRET, req.headers, body);
    } catch (e) {
      return res.writeHead(401).end(e.message);
    }
    // Keep it before you answer; the same webhook-id may come again.
    console.log(\`\${req.headers["webhook-id"]}: \${body.length} bytes\`);
    res.writeHead(204).end();
  });
}).listen(process.env.PORT ?? 3000, "127.0.0.1");
`;export{e as default};