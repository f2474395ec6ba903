/**
 * The coordinator's Ed25519 key (RFC 8032): it signs invitations, and join links name it. It is made at the first start
 * and kept in the store, so that links stay good over a restart.
 */
import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, randomBytes, sign } from "node:crypto";
import type { KeyObject } from "node:crypto";
import type { CoordinatorStore } from "../coordinator/store.ts";
import type { VolunteerKeys } from "../coordinator/volunteers/signed-invitation.ts";

const RECORD = "signing-key";
const SECRET_BYTES = 16;
const KEY_ID_BYTES = 16;

/**
 * The key that the store has, or a new one, which it then has.
 *
 * @param records what the store was found to have
 * @throws {Error} what the store has is no key
 */
export async function openSigningKey(
  store: CoordinatorStore,
  records: ReadonlyMap<string, unknown>,
): Promise<VolunteerKeys> {
  const saved = records.get(RECORD);
  const key = saved === undefined ? generateKeyPairSync("ed25519").privateKey : keyOf(saved);
  if (saved === undefined) await store.save(new Map([[RECORD, pkcs8Of(key)]]));
  const publicKey = rawPublicKey(key);
  return {
    secret: () => randomBytes(SECRET_BYTES).toString("base64url"),
    sign: (text) => ({
      text,
      signature: sign(null, Buffer.from(text, "utf8"), key).toString("base64url"),
      publicKey: publicKey.toString("base64url"),
    }),
    keyId: createHash("sha256").update(publicKey).digest().subarray(0, KEY_ID_BYTES).toString("base64url"),
  };
}

const pkcs8Of = (key: KeyObject): string => key.export({ format: "der", type: "pkcs8" }).toString("base64url");

function keyOf(saved: unknown): KeyObject {
  try {
    const key = createPrivateKey({ key: Buffer.from(String(saved), "base64url"), format: "der", type: "pkcs8" });
    if (key.asymmetricKeyType === "ed25519") return key;
  } catch (cause) {
    throw new Error("the saved key for invitations cannot be read; begin with an empty store", { cause });
  }
  throw new Error("the saved key for invitations is not an Ed25519 key; begin with an empty store");
}

/** 32 bytes: the x coordinate that a JWK names. */
function rawPublicKey(key: KeyObject): Buffer {
  const { x = "" } = createPublicKey(key).export({ format: "jwk" });
  return Buffer.from(x, "base64url");
}
