/** A gateway with its real coordinator: an invitation, the way in, and the end. */
import { createHash, createPublicKey, verify } from "node:crypto";
import { expect, it, onTestFinished } from "vitest";
import type { SignedInvitation } from "@volary/core/job";
import type { ClusterStatus, Control, ControlOf, ControlType } from "@volary/core/wire";
import { memoryStore } from "../coordinator/store.ts";
import { manifestWith } from "../testing/test-manifest.ts";
import { startCoordinator } from "./coordinator-server.ts";
import { wsDialer } from "./dial.ts";
import { startGateway } from "./gateway-server.ts";
import { startPsServer } from "./ps-server.ts";
import { staticFile } from "./static-pages.ts";

const MANIFEST = manifestWith({ name: "demo" });

const pages = { get: async (path: string) => staticFile(path, Buffer.from(path)) };

async function openCluster() {
  const store = memoryStore();
  const coordinator = await startCoordinator({ port: 0, store, log: () => {}, partitionsLog2: 2, pages });
  onTestFinished(() => coordinator.stop());
  const ps = await startPsServer({ coordinator: coordinator.address, name: "ps-1", log: () => {} });
  onTestFinished(() => ps.stop());
  const gateway = await startGateway({ coordinator: coordinator.address, port: 0, pages, log: () => {} });
  onTestFinished(() => gateway.stop());
  const link = await wsDialer().dial(coordinator.address, { role: "client", name: "client" });
  const heard: Control[] = [];
  let wake = () => {};
  link.listen({ onControl: (control) => (heard.push(control), wake()), onFrame: () => {}, onClose: () => {} });
  const ask = async <T extends ControlType>(question: Control, type: T): Promise<ControlOf<T>> => {
    link.sendControl(question);
    for (;;) {
      const error = heard.find((control) => control.type === "error");
      if (error) throw new Error(error.message);
      const at = heard.findIndex((control) => control.type === type);
      if (at >= 0) return heard.splice(at, 1)[0] as ControlOf<T>;
      await new Promise<void>((resolve) => (wake = resolve));
    }
  };
  return { coordinator, gateway, ask };
}

const keyIdOf = (key: Buffer) => createHash("sha256").update(key).digest().subarray(0, 16).toString("base64url");

it("lets in whom the coordinator invited, with an invitation that its key has signed, until the job is over", async () => {
  const { coordinator, gateway, ask } = await openCluster();
  const post = async (path: string, body: object) => {
    const headers = { "content-type": "application/json" };
    const response = await fetch(`${gateway.url}${path}`, { method: "POST", headers, body: JSON.stringify(body) });
    return { status: response.status, body: (await response.json()) as Record<string, unknown> };
  };
  const { job } = await ask({ type: "submit", manifest: MANIFEST }, "submitted");
  const about = { by: "Ada", about: "Why?", trusted: false } as const;
  const invite = { type: "invite", job, role: "volunteer", uses: 1, validMs: 60_000, ...about } as const;
  const { tokens, keyId, urls } = await ask(invite, "invited");
  expect(urls).toEqual([gateway.url]);

  const joined = await post("/api/join", { token: tokens[0] });
  expect(joined).toMatchObject({ status: 200, body: { volunteer: 1 } });
  const { text, signature, publicKey } = joined.body["invitation"] as SignedInvitation;
  expect(keyIdOf(Buffer.from(publicKey, "base64url"))).toBe(keyId);
  const key = createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x: publicKey }, format: "jwk" });
  expect(verify(null, Buffer.from(text), key, Buffer.from(signature, "base64url"))).toBe(true);
  expect(JSON.parse(text)).toMatchObject({ job, by: "Ada", data: { files: ["train.parquet"] } });
  expect(text).not.toContain("someone");

  expect(await post("/api/join", { token: tokens[0] })).toMatchObject({ status: 410, body: { code: "TOKEN_USED" } });
  const { session } = joined.body;
  expect(await post("/api/session", { session })).toMatchObject({ status: 200, body: { session, volunteer: 1 } });
  const statusWhen = async (isSo: (status: ClusterStatus) => boolean): Promise<ClusterStatus> => {
    for (;;) {
      const { status } = await ask({ type: "status-request" }, "status");
      if (isSo(status)) return status;
    }
  };
  const { gateways } = await statusWhen((status) => status.gateways?.[0]?.refused["TOKEN_USED"] !== undefined);
  expect(gateways).toMatchObject([{ url: gateway.url, connected: 0, refused: { TOKEN_USED: 1 } }]);
  await ask({ type: "watch", job }, "job-status");
  await ask({ type: "stop-job", job }, "job-status");
  await statusWhen(({ volunteers }) => volunteers?.sessions === 0);
  const late = await post("/api/session", { session });
  expect(late).toMatchObject({ status: 401, body: { code: "SESSION_ENDED" } });
  const dashboard = await fetch(coordinator.address.replace("ws", "http"));
  expect([dashboard.status, await dashboard.text()]).toEqual([200, "/dashboard.html"]);
  expect(dashboard.headers.get("content-security-policy")).toContain("frame-ancestors 'none'");
});
