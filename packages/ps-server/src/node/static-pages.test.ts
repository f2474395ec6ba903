/** Files of pages: which there are, how they travel, how long they may be kept. */
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { brotliDecompressSync, gunzipSync } from "node:zlib";
import { beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { openPages, staticFile } from "./static-pages.ts";

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "volary-pages-"));
  onTestFinished(() => rm(folder, { recursive: true }));
});

const text = "<!doctype html><title>page</title>".repeat(20);

describe("openPages()", () => {
  it("says what each file is, and which may be cached for ever", async () => {
    await mkdir(path.join(folder, "assets"));
    await writeFile(path.join(folder, "volunteer.html"), text);
    await writeFile(path.join(folder, "assets", "main-1a2b.js"), "1");
    const pages = await openPages(folder);
    expect(await pages.get("/volunteer.html")).toMatchObject({
      contentType: "text/html; charset=utf-8",
      immutable: false,
    });
    expect(await pages.get("/assets/main-1a2b.js")).toMatchObject({
      contentType: "text/javascript; charset=utf-8",
      immutable: true,
    });
    for (const missing of [
      "/assets",
      "/x.js",
      "/../volunteer.html",
      "/assets/../volunteer.html",
      "volunteer.html",
      "/",
    ])
      expect(await pages.get(missing), missing).toBeUndefined();
  });

  it("says how pages are built where there are none", async () => {
    await expect(openPages(path.join(folder, "web"))).rejects.toThrow(
      "build them with `npx vite build packages/browser-worker`",
    );
    await expect(openPages(folder)).rejects.toThrow("npx vite build packages/browser-worker");
  });
});

describe("staticFile()", () => {
  it("is compressed once, and only where that helps", async () => {
    const page = staticFile("/page.html", Buffer.from(text));
    const [br, gz] = [await page.encoded("br"), await page.encoded("gzip")];
    expect(brotliDecompressSync(br!).toString()).toBe(text);
    expect(gunzipSync(gz!).toString()).toBe(text);
    expect(await page.encoded("br")).toBe(br);
    expect(await staticFile("/x.js", Buffer.from("1")).encoded("gzip")).toBeUndefined();
  });

  it("has a tag of its content", () => {
    const tag = (content: string) => staticFile("/x.js", Buffer.from(content)).etag;
    expect(tag("a")).toMatch(/^"[\w-]{22}"$/);
    expect(tag("a")).toBe(tag("a"));
    expect(tag("a")).not.toBe(tag("b"));
  });
});
