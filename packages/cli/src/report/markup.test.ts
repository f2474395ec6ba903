import { expect, test } from "vitest";
import { Html, markup } from "./markup.ts";

test("whatever is put into a template is text, also in attributes", () => {
  const hostile = `<script>alert("1")</script>' onload='x' & \`y\``;
  expect(markup`<b title="${hostile}">${hostile}</b>`.text).not.toMatch(/<script|"1"|'|`/);
  expect(markup`<b>${"a < b & c"}</b>`.text).toBe("<b>a &#60; b &#38; c</b>");
});

test("characters that HTML forbids are replaced", () => {
  expect(markup`${"a\u0000\u001b\u009bb\n\tc"}`.text).toBe("a\ufffd\ufffd\ufffdb\n\tc");
});

test("templates nest, lists are joined, undefined is nothing, and 0 is a number", () => {
  const list = markup`<ul>${["<", "b"].map((name) => markup`<li>${name}</li>`)}</ul>`;
  expect(markup`${list}${undefined}${0}${new Html("<hr />")}`.text).toBe("<ul><li>&#60;</li><li>b</li></ul>0<hr />");
});
