/**
 * Bundles the volunteer's page, its Web Worker and the operator's dashboard, from the sources of this package and of
 * core: `pnpm build` in this folder. Backends are chunks of their own, so a tab fetches just those that it tries.
 */
import { existsSync, readFileSync } from "node:fs";
import { isBuiltin } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { defaultClientConditions, defineConfig, type Plugin } from "vite";

const root = fileURLToPath(new URL(".", import.meta.url));
const pages = ["volunteer", "dashboard"].filter((page) => existsSync(join(root, `${page}.html`)));

export default defineConfig({
  root,
  base: "./",
  resolve: { conditions: ["volary-source", ...defaultClientConditions] },
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  plugins: [refuseNodeBuiltins()],
  worker: { format: "es", plugins: () => [refuseNodeBuiltins()] },
  build: {
    outDir: "dist/web",
    emptyOutDir: true,
    target: "es2023",
    // An inlined file would be a data: address, which the pages' policy forbids.
    assetsInlineLimit: 0,
    // The worker and its backends are large, each by itself.
    chunkSizeWarningLimit: 800,
    modulePreload: false,
    rolldownOptions: { input: Object.fromEntries(pages.map((page) => [page, join(root, `${page}.html`)])) },
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
