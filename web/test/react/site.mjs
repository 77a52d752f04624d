// The product's web site: the page of page.jsx, bundled as its makers would, at an
// origin of its own.
import { createServer } from "node:http";
import { fileURLToPath } from "node:url";
import { build } from "vite";

const root = fileURLToPath(new URL(".", import.meta.url));

/** Bundles the page in memory, with the SDK that a package is. */
export async function bundle(svix) {
  const { output } = await build({
    root, configFile: false, logLevel: "error",
    resolve: { alias: { svix } },
    define: { process: "undefined" }, // the SDK 1.x asks it for its version, without asking whether it is there
    build: { write: false, minify: false, reportCompressedSize: false, rolldownOptions: { input: `${root}page.jsx` } },
  });
  return { script: output.find((o) => o.type === "chunk").code, style: output.find((o) => o.fileName.endsWith(".css")).source };
}

/** Serves a bundle at an origin of its own. */
export async function startSite({ script, style }) {
  const files = {
    "/": ["text/html; charset=utf-8", `<!doctype html><html lang="en"><title>Acme</title><link rel="icon" href="data:,"><link rel="stylesheet" href="/page.css"><div id="root"></div><script type="module" src="/page.js"></script>`],
    "/page.js": ["text/javascript; charset=utf-8", script],
    "/page.css": ["text/css; charset=utf-8", style],
  };
  const server = createServer((req, res) => {
    const [kind, body] = files[req.url] ?? ["text/plain", ""];
    res.writeHead(body ? 200 : 404, { "content-type": kind }).end(body);
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  return {
    origin: `http://localhost:${server.address().port}`,
    stop: () => new Promise((done) => { server.closeAllConnections(); server.close(done); }),
  };
}
