import { expect, test } from "vitest";
import { doctorText } from "./doctor.ts";

test("doctorText() shows what works, how well and how fast, what does not and why, and what is fastest", () => {
  const text = doctorText(
    [
      { what: "Node", ok: true, detail: "v24.21.0" },
      { what: "disk", ok: false, detail: "full" },
    ],
    [
      { device: "cuda", found: false, detail: "no NVIDIA driver", parity: null, stepMs: null },
      {
        device: "webgpu",
        found: true,
        detail: "a GPU",
        parity: 0.02,
        stepMs: 3,
        refused: "its gradients differ by 2.0e-2",
      },
      { device: "wasm", found: true, detail: "WebAssembly, SIMD", parity: 1.234e-6, stepMs: 9.26 },
      { device: "cpu", found: true, detail: "plain JavaScript", parity: 0, stepMs: 120.2 },
    ],
    "wasm",
  );
  expect(text.split("\n").filter((line) => !/^(PARITY|STEP) /.test(line))).toEqual([
    "DEVICE           PARITY  STEP      DETAIL",
    "cuda    no                         no NVIDIA driver",
    "webgpu  refused  2.0e-2  3.0 ms    a GPU; its gradients differ by 2.0e-2",
    "wasm    works    1.2e-6  9.3 ms    WebAssembly, SIMD; fastest here",
    "cpu     works    0.0e+0  120.2 ms  plain JavaScript",
    "",
    "",
    "✓ Node: v24.21.0",
    "✗ disk: full",
  ]);
});
