import { expect, test } from "vitest";
import { doctorText } from "./doctor.ts";

test("doctorText() shows what works, what does not and why, and what is fastest", () => {
  const text = doctorText(
    [
      { what: "Node", ok: true, detail: "v24.21.0" },
      { what: "disk", ok: false, detail: "full" },
    ],
    [
      { device: "cuda", found: false, detail: "no NVIDIA driver", stepMs: null },
      { device: "wasm", found: true, detail: "WebAssembly, SIMD", stepMs: 9.26 },
      { device: "cpu", found: true, detail: "plain JavaScript", stepMs: 120.2 },
    ],
  );
  expect(text.split("\n")).toEqual([
    "DEVICE         STEP      DETAIL",
    "cuda    no               no NVIDIA driver",
    "wasm    works  9.3 ms    WebAssembly, SIMD (fastest here)",
    "cpu     works  120.2 ms  plain JavaScript",
    "✓ Node: v24.21.0",
    "✗ disk: full",
  ]);
});
