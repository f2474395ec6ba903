/**
 * @file Writes docs/api/ from the docstrings of what `@volary/core` and `volary` export: one page for each package.
 *
 * `--check` writes nothing, and fails where the pages are stale or a public name has no docstring.
 */
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Application, Comment, CommentTag, Converter, LogLevel, ReflectionKind } from "typedoc";

const root = join(import.meta.dirname, "..");
const pages = join(root, "docs/api");

/** The chapters of a page, in order, and the files whose names stand in them: the first that fits. */
const CHAPTERS = /** @type {const} */ ([
  ["Job", /model\/(define-job|fit|job-manifest)\.ts|job\/manifest\.ts|consistency\//],
  ["Plugins", /optimizer\/custom\.ts|model\/tower\/training-function\.ts|plugin-file\.ts/],
  ["Fields", /data\/builders\/field-builders\.ts/],
  ["Labels and held-out rows", /data\/builders\/label-builders\.ts/],
  ["Data", /core\/src\/data\//],
  ["Initializers and vocabularies", /layers\/(weight-)?initializer\.ts|layers\/vocabulary\.ts|table\/table-spec\.ts/],
  ["Inputs and layers", /core\/src\/model\//],
  ["Schedules", /optimizer\/schedule/],
  ["Optimizers", /core\/src\/optimizer\//],
  ["Saved models", /saved-model\//],
  ["Tables", /cluster\/tables\.ts|core\/src\/client\//],
  ["Training", /fit-data\.ts|train-options\.ts|callbacks\.ts|array-table\.ts/],
  ["Runs", /cluster\/run|scoring\//],
  ["Watching", /core\/src\/wire\//],
  ["Errors", /error/],
  ["Cluster", /cli\/src\//],
]);
/** A reader begins with these. */
const FIRST = ["Job", "Cluster", "Training", "Runs", "Data"];
const LAST = ["Plugins", "Errors"];

/** Plain data that functions make: a reader passes it on, and needs no list of what is in it. */
const OPAQUE = ["DataSpec", "DataSource", "ConsistencySpec"];

/** What a reader of the pages may call, build or read, so each needs a docstring. */
const DOCUMENTED = ["Class", "Function", "Interface", "TypeAlias", "Variable", "Method", "Accessor"];

/** @type {[page: string, title: string, entry: string][]} */
const PACKAGES = [
  ["core.md", "@volary/core", "packages/core/src/index.ts"],
  ["volary.md", "volary", "packages/cli/src/index.ts"],
];

/** @satisfies {Partial<import("typedoc").TypeDocOptions>} */
const READING = {
  tsconfig: join(import.meta.dirname, "tsconfig.api.json"),
  readme: "none",
  plugin: [fileURLToPath(import.meta.resolve("typedoc-plugin-markdown"))],
  router: "module",
  disableSources: true,
  excludeExternals: true,
  excludePrivate: true,
  excludeInternal: true,
  skipErrorChecking: true,
  categorizeByGroup: false,
  categoryOrder: [
    ...FIRST,
    ...CHAPTERS.map(([name]) => name).filter((name) => ![...FIRST, ...LAST].includes(name)),
    ...LAST,
  ],
  preservedTypeAnnotationTags: ["@throws"],
  sort: ["source-order"],
  logLevel: LogLevel.Error,
  validation: false,
};

/** @satisfies {Partial<import("typedoc-plugin-markdown").PluginOptions>} */
const MARKDOWN = {
  hidePageHeader: true,
  hideBreadcrumbs: true,
  useCodeBlocks: true,
  parametersFormat: "table",
  interfacePropertiesFormat: "table",
  classPropertiesFormat: "table",
  typeAliasPropertiesFormat: "table",
  formatWithPrettier: false,
  tableColumnSettings: {
    hideDefaults: true,
    hideInherited: true,
    hideOverrides: true,
    hideModifiers: true,
    hideSources: true,
  },
};

const isCheck = process.argv.includes("--check");
let faults = 0;
for (const [page, title, entry] of PACKAGES) {
  const { text, documented, undocumented } = await rendered({ title, entry: join(root, entry) });
  for (const name of undocumented) {
    console.error(`${entry} exports ${name}, which has no docstring`);
    faults++;
  }
  const at = join(pages, page);
  if (!isCheck) {
    await mkdir(pages, { recursive: true });
    await writeFile(at, text);
    console.log(`docs/api/${page}: ${documented} names, ${text.split("\n").length} lines`);
  } else if ((await readFile(at, "utf8").catch(() => "")) !== text) {
    console.error(`docs/api/${page} is stale; write it anew with \`pnpm run api\``);
    faults++;
  }
}
process.exitCode = faults === 0 ? 0 : 1;

/** @param {{ title: string, entry: string }} source */
async function rendered({ title, entry }) {
  // typedoc empties the folder it writes to.
  const out = await mkdtemp(join(tmpdir(), "volary-api-"));
  try {
    const app = await Application.bootstrapWithPlugins({ ...READING, ...MARKDOWN, entryPoints: [entry], name: title });
    app.options.setValue("outputs", [{ name: "markdown", path: out }]);
    app.converter.on(Converter.EVENT_RESOLVE_BEGIN, ({ project }) => arrange(project));
    const project = await app.convert();
    if (!project) throw new Error(`${entry} cannot be read`);
    await app.generateOutputs(project);
    const names = publicNamesIn(project);
    const undocumented = names.filter((name) => !isDocumented(name)).map((name) => name.getFullName());
    const text = forReaders(await readFile(join(out, "README.md"), "utf8"));
    return { text, documented: names.length - undocumented.length, undocumented };
  } finally {
    await rm(out, { recursive: true, force: true });
  }
}

/**
 * Puts every name into its chapter, and what a function throws into one list, with its class.
 *
 * @param {import("typedoc").ProjectReflection} project
 */
function arrange(project) {
  for (const reflection of Object.values(project.reflections)) {
    if (reflection.comment) listThrows(reflection.comment);
    const file = project.getSymbolIdFromReflection(reflection)?.fileName;
    if (reflection.parent !== project || file === undefined) continue;
    if (OPAQUE.includes(reflection.name)) {
      const { children = [] } = /** @type {import("typedoc").DeclarationReflection} */ (reflection);
      for (const child of children.slice()) project.removeReflection(child);
    }
    const chapter = CHAPTERS.find(([, files]) => files.test(file));
    if (!chapter) throw new Error(`${file} belongs to no chapter of the pages: add it to CHAPTERS`);
    reflection.comment ??= new Comment();
    reflection.comment.blockTags.push(new CommentTag("@category", [{ kind: "text", text: chapter[0] }]));
  }
}

/** @param {Comment} comment */
function listThrows(comment) {
  const thrown = comment.getTags("@throws");
  if (thrown.length === 0) return;
  const content = thrown.flatMap(({ typeAnnotation, content }) => [
    {
      kind: /** @type {const} */ ("text"),
      text: typeAnnotation ? `- \`${typeAnnotation.replace(/^\{|\}$/g, "")}\`: ` : "- ",
    },
    ...content,
    { kind: /** @type {const} */ ("text"), text: "\n" },
  ]);
  comment.removeTags("@throws");
  comment.blockTags.push(new CommentTag("@throws", content));
}

/**
 * A page without what is there for the compiler: type parameters, supertypes, and how zod's types are made.
 *
 * @param {string} text
 */
function forReaders(text) {
  const sections =
    /^#+ (?:Type Parameters|Extends|Extended by|Overrides|Inherited from)\n\n(?:[^#\n].*\n|\n)*?(?=#|\*\*\*|[A-Z`])/gm;
  return text
    .replace(sections, "")
    .replace(/`NoInfer`\\<(.*?)\\>/g, "$1")
    .replace(/^```ts\ntype \w+ = Extract<z\.infer<.*\n```\n\n/gm, "");
}

/** @param {import("typedoc").ProjectReflection} project */
function publicNamesIn(project) {
  const kinds = DOCUMENTED.map((name) => ReflectionKind[/** @type {keyof typeof ReflectionKind} */ (name)]);
  return Object.values(project.reflections)
    .filter((reflection) => kinds.includes(reflection.kind) && !reflection.flags.isExternal)
    .filter((reflection) => reflection.parent?.kindOf([ReflectionKind.Project, ReflectionKind.Class]));
}

/** @param {import("typedoc").Reflection} reflection */
function isDocumented(reflection) {
  return [reflection, ...signaturesOf(reflection)].some(({ comment }) => (comment?.summary.length ?? 0) > 0);
}

/** @param {import("typedoc").Reflection} reflection */
function signaturesOf(reflection) {
  const { signatures = [], getSignature } = /** @type {import("typedoc").DeclarationReflection} */ (reflection);
  return getSignature ? [...signatures, getSignature] : signatures;
}
