import { InvalidArgumentError } from "commander";
import { expect, test } from "vitest";
import { gpusOf } from "../options.ts";
import { withoutDevices } from "./gpu-workers.ts";

test.each([
  [["--devices", "0,1", "--host", "10.0.0.3"]],
  [["--host", "10.0.0.3", "--devices=0,1"]],
  [["--host", "--machine", "10.0.0.3", "--devices", "0"]],
])("withoutDevices() leaves a worker of one GPU what it was told beside: %j", (args) => {
  expect(withoutDevices(args)).toEqual(["--host", "10.0.0.3"]);
});

test("gpusOf() takes the numbers of different GPUs", () => {
  expect(gpusOf("0,1")).toEqual([0, 1]);
  for (const text of ["", "0,", "0,0", "a", "-1", "0;1"]) expect(() => gpusOf(text)).toThrow(InvalidArgumentError);
});
