import { hashes, keygen, sign } from "@noble/ed25519";
import { sha256, sha512 } from "@noble/hashes/sha2.js";
import { bsp } from "@volary/core/consistency";
import { ClusterError, type ClusterErrorCode } from "@volary/core/errors";
import type { Admitted, Invitation, JobManifest } from "@volary/core/job";
import { describe, expect, test } from "vitest";
import { checkInvitation } from "./check-invitation.ts";
import { enter as enterWith } from "./enter.ts";
import { takeFragment } from "./fragment.ts";
import { gatewayApi, leafAddress, type GatewayApi } from "./gateway-api.ts";
import { keptClaim } from "./kept-claim.ts";
import { forgetSession, keepSession, keptSession } from "./kept-session.ts";
import type { Stores } from "./stores.ts";

hashes.sha512 = sha512;
const KEY = keygen();
const KEY_ID = base64url(sha256(KEY.publicKey).subarray(0, 16));

describe("a link's fragment", () => {
  test("is taken once, and leaves the address bar", () => {
    const replaced: unknown[] = [];
    const location = { hash: "#t=a-token&k=a-key", pathname: "/join", search: "?device=cpu" };
    const history = { replaceState: (...args: unknown[]) => replaced.push(args) };
    expect(takeFragment({ location, history })).toEqual({ token: "a-token", keyId: "a-key" });
    expect(replaced).toEqual([[null, "", "/join?device=cpu"]]);
  });

  test.each(["", "#", "#t=only", "#k=only", "#anything"])("%j is none", (hash) => {
    const location = { hash, pathname: "/join", search: "" };
    expect(takeFragment({ location, history: { replaceState: () => {} } })).toBeUndefined();
  });
});

describe("an invitation", () => {
  test("signed with the key that its link names is read", () => {
    expect(checkInvitation(signed(INVITATION), KEY_ID)).toEqual(INVITATION);
  });

  test("of which any one byte was changed is refused", () => {
    const { text, ...rest } = signed(INVITATION);
    for (let at = 0; at < text.length; at += 37) {
      const changed = text.slice(0, at) + (text[at] === "x" ? "y" : "x") + text.slice(at + 1);
      expect(() => checkInvitation({ text: changed, ...rest }, KEY_ID)).toThrow("its signature does not fit its text");
    }
  });

  test("signed with another key is refused, though its signature fits", () => {
    const other = keygen();
    expect(() => checkInvitation(signed(INVITATION, other), KEY_ID)).toThrow("another key than the one");
  });

  test.each([
    ["no base64url", { signature: "!".repeat(86) }],
    ["a key that is no point", { publicKey: base64url(new Uint8Array(32).fill(255)) }],
  ])("with %s is refused", (_, broken) => {
    const error = thrownBy(() => checkInvitation({ ...signed(INVITATION), ...broken }, KEY_ID));
    expect(error).toMatchObject({ code: "BAD_INVITATION" });
  });

  test("that holds what an invitation does not is refused by the name of it", () => {
    const more = { ...INVITATION, code: "alert(1)" };
    expect(() => checkInvitation(signed(more), KEY_ID)).toThrow(/cannot be trusted: .*code/);
  });
});

describe("a volunteer", () => {
  const fragment = { token: "token", keyId: KEY_ID };

  test("comes in by a token, and again by the session", async () => {
    const stores = emptyStores();
    const first = await enter({ fragment, stores, api: api({ join: async () => admitted("secret") }) });
    expect(first).toMatchObject({ session: "secret", volunteer: 3, phase: "training", invitation: INVITATION });
    const asked: string[] = [];
    const session = async (secret: string) => (asked.push(secret), admitted(secret));
    expect(await enter({ fragment: undefined, stores, api: api({ session }) })).toEqual(first);
    expect(asked).toEqual(["secret"]);
  });

  test.each(["volunteer", "observer"] as const)(
    "as %s may not compute a plugin's functions, but watch",
    async (role) => {
      const compile = { ...MANIFEST.compile, loss: { function: "focal", sha256: "a".repeat(64) } };
      const invitation = { ...INVITATION, role, manifest: { ...MANIFEST, compile } };
      const join = async () => admitted("secret", invitation);
      const entering = enter({ fragment, stores: emptyStores(), api: api({ join }) });
      if (role === "observer") expect(await entering).toMatchObject({ session: "secret", invitation: { role } });
      else await expect(entering).rejects.toMatchObject({ code: "BAD_JOB" });
    },
  );

  test("comes in by a used link where it was used in this browser, and nowhere else", async () => {
    const stores = emptyStores();
    const used = api({ join: refuse("TOKEN_USED"), session: async (secret) => admitted(secret) });
    await expect(enter({ fragment, stores, api: used })).rejects.toMatchObject({ code: "TOKEN_USED" });
    keepSession(stores, { session: "secret", keyId: KEY_ID });
    expect(await enter({ fragment, stores, api: used })).toMatchObject({ session: "secret" });
    keepSession(stores, { session: "secret", keyId: "of another job" });
    await expect(enter({ fragment, stores, api: used })).rejects.toMatchObject({ code: "TOKEN_USED" });
  });

  test("whose answer was lost asks again with the same claim, by a reload and by the link", async () => {
    const stores = emptyStores();
    const asked: string[] = [];
    const lost = api({ join: async ({ token, claim }) => (asked.push(`${token} ${claim}`), refuse(LOST)()) });
    await expect(enter({ fragment, stores, api: lost })).rejects.toMatchObject({ code: LOST });
    await expect(enter({ fragment: undefined, stores, api: lost })).rejects.toMatchObject({ code: LOST });
    const anotherTab = { ...stores, tab: emptyStores().tab };
    await expect(enter({ fragment, stores: anotherTab, api: lost })).rejects.toMatchObject({ code: LOST });
    const found = api({ join: async ({ token, claim }) => (asked.push(`${token} ${claim}`), admitted("secret")) });
    expect(await enter({ fragment: undefined, stores, api: found })).toMatchObject({ session: "secret" });
    expect(new Set(asked)).toEqual(new Set([asked[0]]));
    expect(asked).toHaveLength(4);
    expect(keptClaim(stores, fragment)).toBeUndefined();
  });

  test("claims each link with a secret of its own, and what was refused for good no more", async () => {
    const stores = emptyStores();
    const claims: string[] = [];
    const asking = (token: string, code: ClusterErrorCode) =>
      enter({
        fragment: { token, keyId: KEY_ID },
        stores,
        api: api({ join: ({ claim }) => (claims.push(claim), refuse(code)()) }),
      }).catch(() => {});
    await asking("token", LOST);
    await asking("another", LOST);
    await asking("another", "TOKEN_EXPIRED");
    await asking("another", LOST);
    expect(new Set(claims).size).toBe(3);
    expect(claims[2]).toBe(claims[1]);
    const without = enter({ fragment: undefined, stores: emptyStores(), api: api({}) });
    await expect(without).rejects.toMatchObject({ code: "TOKEN_UNKNOWN" });
  });

  test("without link and session is told so", async () => {
    const entering = enter({ fragment: undefined, stores: emptyStores(), api: api({}) });
    await expect(entering).rejects.toMatchObject({ code: "TOKEN_UNKNOWN" });
  });

  test("whose session has ended loses it; one that the gateway did not answer keeps it", async () => {
    const stores = emptyStores();
    const kept = { session: "secret", keyId: KEY_ID };
    keepSession(stores, kept);
    const entering = (code: ClusterErrorCode) =>
      enter({ fragment: undefined, stores, api: api({ session: refuse(code) }) }).catch(() => {});
    await entering("COORDINATOR_UNAVAILABLE");
    expect(keptSession(stores)).toEqual(kept);
    await entering("SESSION_ENDED");
    expect(keptSession(stores)).toBeUndefined();
  });

  test("is not let into a job that needs code", async () => {
    const loss = { function: "bpr", sha256: "a".repeat(64) };
    const compile = { ...MANIFEST.compile, loss };
    const join = async () => admitted("secret", { ...INVITATION, manifest: { ...MANIFEST, compile } });
    const entering = enter({ fragment, stores: emptyStores(), api: api({ join }) });
    await expect(entering).rejects.toMatchObject({ code: "BAD_JOB" });
  });
});

describe("a kept session", () => {
  test("of the tab goes before that of the browser", () => {
    const stores = emptyStores();
    keepSession({ ...stores, tab: emptyStores().tab }, { session: "newest", keyId: "k" });
    expect(keptSession(stores)).toEqual({ session: "newest", keyId: "k" });
    keepSession(stores, { session: "mine", keyId: "k" });
    keepSession({ ...stores, tab: emptyStores().tab }, { session: "another tab's", keyId: "k" });
    expect(keptSession(stores)).toEqual({ session: "mine", keyId: "k" });
    forgetSession(stores, { session: "mine" });
    expect(keptSession(stores)).toEqual({ session: "another tab's", keyId: "k" });
  });

  test.each(["", "null", "{", '{"session":1,"keyId":"k"}'])("that reads %j is none", (json) => {
    const stores = emptyStores();
    stores.tab.setItem("volary.session", json);
    expect(keptSession(stores)).toBeUndefined();
  });
});

describe("the gateway's API", () => {
  const answering = (status: number, body: unknown) =>
    gatewayApi("https://host/sub/join", async (address, init) => {
      expect([address, init!.method, init!.body]).toEqual([
        "https://host/sub/api/join",
        "POST",
        '{"token":"token","claim":"mine"}',
      ]);
      return new Response(JSON.stringify(body), { status });
    });

  test("lies beside the page", async () => {
    expect(await answering(200, { ...admitted("secret"), more: 1 }).join({ token: "token", claim: "mine" })).toEqual(
      admitted("secret"),
    );
    expect(leafAddress("https://host/sub/join?device=cpu")).toBe("wss://host/sub/leaf");
    expect(leafAddress("http://127.0.0.1:80/join")).toBe("ws://127.0.0.1/leaf");
  });

  test("refuses with a code", async () => {
    const refusing = answering(403, { code: "TOKEN_USED", message: "it was used" });
    await expect(refusing.join({ token: "token", claim: "mine" })).rejects.toMatchObject({
      code: "TOKEN_USED",
      message: "it was used",
    });
  });

  test("that answers in other ways is no gateway's", async () => {
    await expect(answering(200, {}).join({ token: "token", claim: "mine" })).rejects.toMatchObject({
      code: "PROTOCOL_VIOLATION",
    });
    await expect(answering(502, "bad").join({ token: "token", claim: "mine" })).rejects.toMatchObject({
      code: "PROTOCOL_VIOLATION",
    });
  });

  test("that does not answer may do so later", async () => {
    const silent = gatewayApi("https://host/join", () => Promise.reject(new TypeError("no network")));
    await expect(silent.session("secret")).rejects.toMatchObject({ code: "COORDINATOR_UNAVAILABLE" });
  });
});

const MANIFEST: JobManifest = {
  name: "flights",
  seed: 1,
  model: { embeddings: [], numbers: [], variables: [], outputs: 1 },
  tables: [],
  data: {
    format: { kind: "csv", delimiter: ",", header: true, types: {}, missing: [] },
    files: [{ kind: "file", path: "flights.csv" }],
    fields: {},
    badRowsMax: 0,
  },
  compile: { optimizer: { kind: "none" }, loss: "binaryCrossentropy", metrics: [] },
  fit: {
    epochs: 1,
    batchSize: 256,
    consistency: bsp(),
    shuffle: true,
    validate: "end",
  },
  workersMin: 1,
};

const INVITATION: Invitation = {
  version: 1,
  job: 1,
  role: "volunteer",
  by: "The Flight Institute",
  about: "We learn which flights are late.",
  data: { files: ["flights.csv"], rows: 1_000 },
  trusted: false,
  manifest: MANIFEST,
};

function signed(invitation: object, { secretKey, publicKey } = KEY): Admitted["invitation"] {
  const text = JSON.stringify(invitation);
  const signature = base64url(sign(new TextEncoder().encode(text), secretKey));
  return { text, signature, publicKey: base64url(publicKey) };
}

function admitted(session: string, invitation = INVITATION): Admitted {
  return { session, volunteer: 3, expiresInMs: 1_000, phase: "training", invitation: signed(invitation) };
}

function api(methods: Partial<GatewayApi>): GatewayApi {
  const unasked = () => Promise.reject(new Error("this was not to be asked"));
  return { join: unasked, session: unasked, ...methods };
}

let secrets = 0;
const enter = (o: Omit<Parameters<typeof enterWith>[0], "secret">) =>
  enterWith({ ...o, secret: () => `the secret ${++secrets}` });

/** No answer came. */
const LOST = "COORDINATOR_UNAVAILABLE";

const refuse = (code: ClusterErrorCode) => () => Promise.reject(new ClusterError(code, "refused"));

function emptyStores(): Stores {
  const store = (): Storage => {
    const items = new Map<string, string>();
    return {
      getItem: (key: string) => items.get(key) ?? null,
      setItem: (key: string, value: string) => void items.set(key, value),
      removeItem: (key: string) => void items.delete(key),
    } as Storage;
  };
  return { tab: store(), browser: store() };
}

function thrownBy(run: () => unknown): unknown {
  try {
    run();
  } catch (error) {
    return error;
  }
  throw new Error("nothing was thrown");
}

function base64url(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("base64url");
}
