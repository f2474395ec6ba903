import { createHash, createPublicKey, verify } from "node:crypto";
import { expect, it } from "vitest";
import { signedInvitationSchema, type SignedInvitation } from "@volary/core/job";
import { memoryStore } from "../coordinator/store.ts";
import { openSigningKey } from "./signing-key.ts";

function isGenuine({ text, signature, publicKey }: SignedInvitation): boolean {
  const key = createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x: publicKey }, format: "jwk" });
  return verify(null, Buffer.from(text, "utf8"), key, Buffer.from(signature, "base64url"));
}

it("signs texts of any letters, and a byte that was changed is noticed", async () => {
  const keys = await openSigningKey(memoryStore(), new Map());
  const signed = keys.sign("Für alle: 🦜");
  expect(signedInvitationSchema.parse(signed)).toEqual(signed);
  expect(isGenuine(signed)).toBe(true);
  expect(isGenuine({ ...signed, text: "Für alle: 🦢" })).toBe(false);
});

it("has an id that is made of its public key alone", async () => {
  const keys = await openSigningKey(memoryStore(), new Map());
  const raw = Buffer.from(keys.sign("").publicKey, "base64url");
  expect(raw).toHaveLength(32);
  expect(keys.keyId).toBe(createHash("sha256").update(raw).digest().subarray(0, 16).toString("base64url"));
});

it("is the same after a restart, and another one in another store", async () => {
  const store = memoryStore();
  const first = await openSigningKey(store, await store.load());
  const again = await openSigningKey(store, await store.load());
  expect(again.keyId).toBe(first.keyId);
  expect(isGenuine(again.sign("x"))).toBe(true);
  expect((await openSigningKey(memoryStore(), new Map())).keyId).not.toBe(first.keyId);
});

it("refuses a record that is no key, with the remedy", async () => {
  const records = new Map([["signing-key", "abc"]]);
  await expect(openSigningKey(memoryStore(), records)).rejects.toThrow(/cannot be read; begin with an empty store/);
});

it("makes secrets that a link can carry, each another one", async () => {
  const { secret } = await openSigningKey(memoryStore(), new Map());
  const secrets = Array.from({ length: 100 }, secret);
  expect(new Set(secrets).size).toBe(100);
  for (const each of secrets) expect(each).toMatch(/^[\w-]{22}$/);
});
