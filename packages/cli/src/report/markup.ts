/**
 * HTML that cannot be broken out of: `markup` escapes whatever is put into its template, except what `markup` made. So a
 * value is safe as text and inside a quoted attribute, and nowhere else (script, style, an unquoted attribute).
 */

/** HTML that is whole and safe. */
export class Html {
  readonly text: string;

  /** @param text HTML of our own, with nothing in it that comes from elsewhere */
  constructor(text: string) {
    this.text = text;
  }
}

/** Nothing comes of `undefined`. */
export type HtmlPart = string | number | Html | undefined | readonly HtmlPart[];

/**
 * @example
 * markup`<td title="${name}">${cells.map((cell) => markup`<b>${cell}</b>`)}</td>`
 */
export function markup(strings: TemplateStringsArray, ...parts: readonly HtmlPart[]): Html {
  return new Html(strings.map((string, i) => string + (i < parts.length ? textOf(parts[i]) : "")).join(""));
}

function textOf(part: HtmlPart): string {
  if (part === undefined) return "";
  if (part instanceof Html) return part.text;
  if (typeof part === "object") return part.map(textOf).join("");
  return escaped(String(part));
}

/** As text or a quoted attribute. Characters that HTML forbids become U+FFFD. */
function escaped(text: string): string {
  // oxlint-disable-next-line no-control-regex
  const allowed = text.replaceAll(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]/g, "\ufffd");
  return allowed.replaceAll(/[&<>"'`]/g, (character) => `&#${character.codePointAt(0)};`);
}
