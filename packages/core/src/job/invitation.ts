/**
 * What a volunteer reads before pressing Start, and what then runs in its browser: data, never code; or what an observer
 * reads of the job that it watches. The coordinator signs the text as it is; the link that brings either names the key,
 * so nobody between can change a byte.
 */
import { z } from "zod";
import { jobManifestSchema } from "./manifest.ts";

/** What a token is good for: to compute, or to watch. */
export const invitedRoleSchema = z.enum(["volunteer", "observer"]);
export type InvitedRole = z.infer<typeof invitedRoleSchema>;

export const invitationSchema = z.strictObject({
  version: z.literal(1),
  job: z.number().int().nonnegative(),
  role: invitedRoleSchema,
  /** Who asks, and for what, in their own words. */
  by: z.string().max(200),
  about: z.string().max(2_000),
  data: z.strictObject({
    /** File names, without their folders. */
    files: z.array(z.string().max(500)).max(100),
    /** Of training, where the job's workers have counted them. */
    rows: z.number().nonnegative().nullable(),
  }),
  /** May volunteers connect to each other? */
  trusted: z.boolean(),
  /** What is trained. Its data files are named without their folders: a volunteer does not read them. */
  manifest: jobManifestSchema,
});
export interface Invitation extends z.infer<typeof invitationSchema> {}

/** An {@link Invitation} as JSON, and its Ed25519 signature (RFC 8032) over the UTF-8 bytes of that text. */
export const signedInvitationSchema = z.strictObject({
  text: z.string().max(8_000_000),
  /** 64 bytes, base64url. */
  signature: z.string().length(86),
  /** 32 bytes, base64url. */
  publicKey: z.string().length(43),
});
export interface SignedInvitation extends z.infer<typeof signedInvitationSchema> {}

/** What a gateway answers to a token, or to a session that goes on. Newer gateways may tell more. */
export const admittedSchema = z.object({
  /** What lets this volunteer in until it expires. */
  session: z.string(),
  volunteer: z.number(),
  expiresInMs: z.number(),
  /** Of the job. */
  phase: z.string(),
  invitation: signedInvitationSchema,
});
export interface Admitted extends z.infer<typeof admittedSchema> {}

/** What it answers where it lets nobody in: a `ClusterErrorCode`, and why, for people. */
export const refusedSchema = z.object({ code: z.string(), message: z.string() });

/** A join link's fragment: what the page needs, and what no server is sent. */
export interface LinkFragment {
  token: string;
  /** The first 16 bytes of the SHA-256 of the raw public key, base64url. */
  keyId: string;
}

/** `#t=TOKEN&k=KEYID`, to be put behind the address of a gateway's page `/join`. */
export function fragmentOf({ token, keyId }: LinkFragment): string {
  return `#${new URLSearchParams({ t: token, k: keyId }).toString()}`;
}

/** @returns undefined where it is no fragment of a join link */
export function parseFragment(hash: string): LinkFragment | undefined {
  const fields = new URLSearchParams(hash.replace(/^#/, ""));
  const [token, keyId] = [fields.get("t"), fields.get("k")];
  return token && keyId ? { token, keyId } : undefined;
}
