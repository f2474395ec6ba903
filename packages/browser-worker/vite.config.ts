/**
 * Bundles the Web Worker for browsers, from the sources of this package and of core: `pnpm build` in this folder.
 * Backends are chunks of their own, so a tab fetches just the one it uses.
 */
import { readFileSync } from "node:fs";
import { isBuiltin } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { defaultClientConditions, defineConfig, type Plugin } from "vite";

export default defineConfig({
  root: fileURLToPath(new URL(".", import.meta.url)),
  base: "./",
  resolve: { conditions: ["volary-source", ...defaultClientConditions] },
  plugins: [refuseNodeBuiltins()],
  build: {
    outDir: "dist/web",
    target: "es2023",
    // Preloading asks the document, and a Web Worker has none.
    modulePreload: false,
    rolldownOptions: {
      input: { worker: "src/worker.ts" },
      output: {
        entryFileNames: "[name].js",
        chunkFileNames: "[name]-[hash].js",
        assetFileNames: "[name]-[hash][extname]",
      },
    },
  },
});

/** Vite puts an empty module in place of a Node built-in, and what needs it fails in the volunteer's tab. */
function refuseNodeBuiltins(): Plugin {
  return {
    name: "volary:refuse-node-builtins",
    enforce: "pre",
    resolveId(id, importer) {
      if (!isBuiltin(id) || importer === undefined || doesWithout(importer, id)) return;
      this.error(`${importer} imports the Node built-in "${id}", which no browser has`);
    },
    generateBundle(_, files) {
      for (const file of Object.values(files)) {
        if (file.type !== "chunk") continue;
        const outside = [...file.imports, ...file.dynamicImports].find((name) => !(name in files));
        if (outside !== undefined) this.error(`${file.fileName} imports "${outside}", which is not in the bundle`);
      }
    },
  };
}

/** Whether the package of a file says that it runs in browsers without this module. */
function doesWithout(file: string, id: string): boolean {
  for (let folder = dirname(file); folder !== dirname(folder); folder = dirname(folder)) {
    try {
      const { name, browser } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as PackageJson;
      if (name !== undefined) return typeof browser === "object" && browser[id] === false;
    } catch {
      // No package.json here: look further up.
    }
  }
  return false;
}

interface PackageJson {
  name?: string;
  browser?: string | Record<string, string | false>;
}
