/**
 * Is this the invitation of whoever made the link? The link names a key, and the key signs the text, so nobody between
 * can change what is trained: Ed25519 (RFC 8032). Without the browser's own cryptography, which only pages by https have.
 */
import { hashes, verify } from "@noble/ed25519";
import { sha256, sha512 } from "@noble/hashes/sha2.js";
import { ClusterError } from "@volary/core/errors";
import { invitationSchema, type Invitation, type SignedInvitation } from "@volary/core/job";

hashes.sha512 = sha512;

const KEY_ID_BYTES = 16;

/** @throws {ClusterError} BAD_INVITATION: another key, a changed byte, or text of another version of Volary */
export function checkInvitation({ text, signature, publicKey }: SignedInvitation, keyId: string): Invitation {
  const key = bytesOf(publicKey);
  if (textOf(sha256(key).subarray(0, KEY_ID_BYTES)) !== keyId)
    throw refusal("it is signed with another key than the one that the link names");
  if (!isSigned({ key, signature: bytesOf(signature), text })) throw refusal("its signature does not fit its text");
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw refusal("it is not JSON", cause);
  }
  const parsed = invitationSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0]!;
  throw refusal(`${issue.path.join(".")}: ${issue.message}`, parsed.error);
}

function isSigned({ key, signature, text }: { key: Uint8Array; signature: Uint8Array; text: string }): boolean {
  try {
    return verify(signature, new TextEncoder().encode(text), key);
  } catch {
    return false; // no point of the curve
  }
}

function refusal(why: string, cause?: unknown): ClusterError {
  return new ClusterError("BAD_INVITATION", `the invitation cannot be trusted: ${why}; ask for a new link`, { cause });
}

/** The bytes of base64url; none where it is something else. */
function bytesOf(text: string): Uint8Array {
  try {
    return Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
  } catch {
    return new Uint8Array(0);
  }
}

function textOf(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes))
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replaceAll("=", "");
}
