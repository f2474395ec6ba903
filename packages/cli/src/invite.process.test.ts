/** How a volunteer comes to a job, with real processes: from `volary invite` to a session, without a browser. */
import { createHash, createPublicKey, verify } from "node:crypto";
import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { invitationSchema, parseFragment, type SignedInvitation } from "@volary/core/job";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Cluster } from "./cluster/cluster.ts";
import { clicksJob, writeClicks } from "./testing/clicks.ts";
import { volaryCommand } from "./testing/fault-cluster.ts";

interface Joined {
  session: string;
  volunteer: number;
  phase: string;
  expiresInMs: number;
  invitation: SignedInvitation;
}

const EPOCHS = 10_000;
let folder = "";
let cluster: Cluster;
const ending = new AbortController();
let training: Promise<unknown>;

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "volary-invite-"));
  await writeClicks(folder);
  cluster = await Cluster.local({ ps: 1, workers: 1, device: "cpu", onWarning: () => {} });
  await new Promise<void>((resolve, reject) => {
    training = cluster.train(clicksJob(folder, { epochs: EPOCHS }), {
      signal: ending.signal,
      onStatus: ({ step }) => step > 0 && resolve(),
    });
    training.catch(reject);
  });
});

afterAll(async () => {
  await cluster.stop();
  await rm(folder, { recursive: true });
});

/** What the gateway of a join link says to a token, or a session. */
async function ask(link: string, at: "join" | "session", body: object): Promise<{ status: number; answer: unknown }> {
  const response = await fetch(new URL(`/api/${at}`, link), {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  return { status: response.status, answer: await response.json() };
}

const tokenOf = (link: string) => parseFragment(new URL(link).hash)!;

test("a link lets one volunteer in, with an invitation that is signed by the key it names", async () => {
  const { links, name } = await cluster.invite({ by: "Ada", about: "What do they click on?" });
  expect(name).toBe("clicks");
  const [link] = links;
  expect(link!.startsWith(`${cluster.gateway}/join#`)).toBe(true);
  const { token, keyId } = tokenOf(link!);
  const { status, answer } = await ask(link!, "join", { token });
  expect(status).toBe(200);
  const { session, volunteer, phase, expiresInMs, invitation } = answer as Joined;
  expect(phase).toBe("training");
  expect(expiresInMs).toBeGreaterThan(0);

  const publicKey = Buffer.from(invitation.publicKey, "base64url");
  expect(createHash("sha256").update(publicKey).digest().subarray(0, 16).toString("base64url")).toBe(keyId);
  const key = createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x: invitation.publicKey }, format: "jwk" });
  expect(verify(null, Buffer.from(invitation.text), key, Buffer.from(invitation.signature, "base64url"))).toBe(true);
  const said = invitationSchema.parse(JSON.parse(invitation.text));
  expect(said).toMatchObject({ by: "Ada", about: "What do they click on?", data: { files: ["clicks.parquet"] } });
  expect(invitation.text).not.toContain(folder);

  expect(await ask(link!, "join", { token })).toMatchObject({ status: 410, answer: { code: "TOKEN_USED" } });
  expect(await ask(link!, "session", { session })).toMatchObject({ status: 200, answer: { session, volunteer } });
  const unknown = await ask(link!, "join", { token: "0123456789abcdefghijkl" });
  expect(unknown).toMatchObject({ status: 401, answer: { code: "TOKEN_UNKNOWN" } });
});

test("`volary invite` and `volary status` tell programs and people of it", async () => {
  const at = ["--coordinator", cluster.address];
  const volary = async (...args: string[]) => {
    const [program = "", ...rest] = volaryCommand(...args);
    return (await promisify(execFile)(program, rest)).stdout;
  };
  const text = await volary("invite", "clicks", ...at, "--uses", "2", "--for", "8h", "--json");
  const { links, until, warning } = JSON.parse(text) as { links: string[]; until: string; warning?: string };
  expect(links).toHaveLength(2);
  expect(Date.parse(until)).toBeGreaterThan(Date.now() + 7 * 3_600_000);
  expect(warning).toBeUndefined();

  const status = await volary("status", ...at);
  expect(status).toMatch(/VOLUNTEERS {2}\d+ invited, \d+ came/);
  expect(status).toContain(cluster.gateway);
});

test("a session ends with its job, and so do its links", async () => {
  const { links } = await cluster.invite({ uses: 2 });
  const [first, second] = links.map((link) => tokenOf(link).token);
  const { answer } = await ask(links[0]!, "join", { token: first });
  const { session } = answer as Joined;
  ending.abort(new Error("enough"));
  await expect(training).rejects.toThrow();
  const ended = await ask(links[0]!, "session", { session });
  expect(ended).toMatchObject({ status: 401, answer: { code: "SESSION_ENDED" } });
  expect(await ask(links[1]!, "join", { token: second })).toMatchObject({ answer: { code: "SESSION_ENDED" } });
  await expect(cluster.invite()).rejects.toThrow(/no job is under way/);
});
