import { ClusterError } from "@volary/core/errors";
import { expect, test } from "vitest";
import { browserDialer } from "./dial.ts";

const dialer = browserDialer();
const hello = { role: "worker", name: "tab" } as const;

test.each(["", "localhost:7000", "http://localhost:7000", "/path"])(
  "dialing %j is a TypeError that says what to give",
  async (address) => {
    const error = await dialer.dial(address, hello).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(TypeError);
    expect((error as TypeError).message).toBe(
      `cannot dial ${JSON.stringify(address)}: it is no WebSocket address; give wss://host, or ws://host:port on a page without TLS`,
    );
  },
);

test("an address the browser does not understand is a TypeError with the browser's reason", async () => {
  const error = await dialer.dial("ws://host:port", hello).catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(TypeError);
  expect((error as TypeError).cause).toBeInstanceOf(DOMException);
});

test("a server that does not answer is a failure that may pass", async () => {
  const error = await dialer.dial("ws://127.0.0.1:9", hello).catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(ClusterError);
  expect(error).toMatchObject({ code: "COORDINATOR_UNAVAILABLE", retryable: true });
});
