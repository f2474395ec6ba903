/**
 * A strict reader of HTML pages for tests: every tag is closed, every attribute value is quoted. What a browser would
 * mend is an error here, so text that breaks out of its place is seen.
 */
export interface Page {
  /** Opening tags with the names of their attributes, closing tags, in order. */
  shape: string[];
  attributes: { name: string; value: string }[];
  /** Pieces of text between tags, unescaped and trimmed. */
  texts: string[];
  scripts: string[];
}

const VOID = new Set(["meta"]);
const RAW = new Set(["script", "style"]);
const TAG = /<(\/?)([a-z][a-z0-9]*)((?:\s+[a-zA-Z-]+(?:="[^"<]*")?)*)\s*(\/?)>/y;
const ATTRIBUTE = /([a-zA-Z-]+)(?:="([^"]*)")?/g;

/** @throws {Error} the page is not well-formed: where */
export function pageOf(html: string): Page {
  const doctype = "<!doctype html>";
  if (!html.startsWith(doctype)) throw new Error("the page has no doctype");
  const page: Page = { shape: [], attributes: [], texts: [], scripts: [] };
  const open: string[] = [];
  for (let at = doctype.length; at < html.length;) {
    if (html[at] !== "<") {
      const end = html.indexOf("<", at);
      const text = html.slice(at, end < 0 ? undefined : end);
      if (text.trim() !== "") page.texts.push(unescaped(text).trim());
      at += text.length;
      continue;
    }
    TAG.lastIndex = at;
    const match = TAG.exec(html);
    if (!match) throw new Error(`no tag at ${at}: ${html.slice(at, at + 60)}`);
    const [whole, closing, name = "", rest = "", selfClosing] = match;
    at += whole.length;
    if (closing) {
      if (open.pop() !== name) throw new Error(`</${name}> at ${at} closes another tag`);
      page.shape.push(`/${name}`);
      continue;
    }
    const attributes = [...rest.matchAll(ATTRIBUTE)].map(([, key = "", value = ""]) => ({
      name: key,
      value: unescaped(value),
    }));
    page.attributes.push(...attributes);
    page.shape.push([name, ...attributes.map((attribute) => attribute.name)].join(" "));
    if (selfClosing || VOID.has(name)) continue;
    open.push(name);
    if (RAW.has(name)) {
      const end = html.indexOf(`</${name}`, at);
      if (name === "script") page.scripts.push(html.slice(at, end));
      at = end;
    }
  }
  if (open.length > 0) throw new Error(`<${open.at(-1)}> is never closed`);
  return page;
}

const unescaped = (text: string): string =>
  text.replaceAll(/&(?:#(\d+);)?/g, (entity, code: string | undefined) => {
    if (code === undefined) throw new Error(`a bare & in ${text.slice(0, 60)}`);
    return String.fromCodePoint(Number(code)) || entity;
  });
