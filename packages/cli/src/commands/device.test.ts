import { expect, test } from "vitest";
import { installedText } from "./device.ts";

const library = { version: "2.21.0", onGpu: false, folder: "/home/me/.cache/volary", wasThere: false };

test("installedText() says where the library is and which option uses it", () => {
  expect(installedText(library, { gpu: false, seconds: 31.4 })).toBe(
    "TensorFlow 2.21.0 is installed, in 31 s: /home/me/.cache/volary\n" +
      "--device tensorflow uses it; volary doctor shows how fast it is here",
  );
  expect(installedText({ ...library, onGpu: true }, { gpu: true, seconds: 300 })).toContain("--device cuda uses it");
});

test("installedText() says so where nothing had to be done", () => {
  expect(installedText({ ...library, wasThere: true }, { gpu: false, seconds: 1 })).toMatch(
    /^TensorFlow 2\.21\.0 is there already, and computes: /,
  );
});

test("installedText() does not claim a GPU that was not found", () => {
  const text = installedText(library, { gpu: true, seconds: 300 });
  expect(text).toContain("it found no GPU here, so that part was not tried");
  expect(text).not.toContain("uses it");
});
