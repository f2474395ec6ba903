import { expect, test } from "vitest";
import { inviteText, timeOf } from "./invite.ts";

const INVITED = { job: 3, name: "flights", validMs: 60_000 };
const until = new Date(2026, 10, 22, 12, 30);

test("inviteText() shows a single link as text and as a code for phones", async () => {
  const link = "https://help.example/join#t=abcdefghijklmnopqrstuv&k=abcdefghijklmnopqrstuv";
  const lines = (await inviteText({ ...INVITED, links: [link] }, { role: "volunteer", until })).split("\n");
  expect(lines[0]).toBe(`1 volunteer may help train flights; good until ${until.toLocaleString()}, once`);
  expect(lines[2]).toBe(link);
  const code = lines.slice(4);
  expect(new Set(code.join(""))).toEqual(new Set(" ▀▄█"));
  // Two rows of squares a line, and a border: as square as characters are.
  expect(code.length).toBe(Math.ceil(code[0]!.length / 2));
});

test("inviteText() shows several links line by line, without codes", async () => {
  const links = ["https://a/join#1", "https://a/join#2"];
  const text = await inviteText({ ...INVITED, links }, { role: "volunteer", until });
  expect(text).toMatch(/^2 volunteers may help train flights; good until .*, each once\n\nhttps:.*#1\nhttps:.*#2$/);
});

test("inviteText() says that observers watch", async () => {
  const text = await inviteText({ ...INVITED, links: ["https://a/join#1"] }, { role: "observer", until });
  expect(text).toMatch(/^1 observer may watch flights train; good until .*, once\n/);
});

test.each([
  ["90s", 90_000],
  ["30m", 1_800_000],
  ["8h", 28_800_000],
  ["30d", 2_592_000_000],
])("timeOf(%s)", (text, ms) => expect(timeOf(text)).toBe(ms));

test.each(["31d", "0s", "30", "m", "-1h", "1.5h", "1w"])("timeOf(%s) is refused with what is possible", (text) => {
  expect(() => timeOf(text)).toThrow("Give a time up to 30d, as 90s, 30m, 8h or 2d.");
});
