import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vite";

// The result is committed and compared (make web-check), so it must not depend
// on where and when it is built.
export default defineConfig({
  plugins: [svelte()],
  base: "/",
  build: {
    target: "es2022",
    outDir: process.env.WEB_OUT ?? "dist",
    emptyOutDir: true,
    assetsInlineLimit: 0, // the policy of the page allows no data: but images
    cssCodeSplit: false, // one style sheet
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    sourcemap: false,
  },
  server: {
    proxy: {
      "/api": { target: process.env.SIGPOST ?? "http://127.0.0.1:8080" },
      "/ingest": { target: process.env.SIGPOST ?? "http://127.0.0.1:8080" },
    },
  },
});
