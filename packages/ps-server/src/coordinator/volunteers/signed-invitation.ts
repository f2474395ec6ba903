/**
 * What a volunteer is told of a job before it starts: the manifest without what is no business of a browser's, and a
 * refusal of jobs that no browser can serve.
 */
import type { DataSpec, FileSpec } from "@volary/core/data";
import { ClusterError } from "@volary/core/errors";
import {
  foreignClassOf,
  signedInvitationSchema,
  type Invitation,
  type JobManifest,
  type SignedInvitation,
} from "@volary/core/job";
import { LIMITS } from "@volary/core/limits";

/** Secrets and a signature, which come from outside: a pure machine has neither. */
export interface VolunteerKeys {
  /** A new secret that nobody can guess, of at least 16 characters. */
  secret: () => string;
  /** Ed25519 over the UTF-8 bytes of the text. */
  sign: (text: string) => SignedInvitation;
  /** The first 16 bytes of the SHA-256 of the raw public key, base64url. */
  keyId: string;
}

/** Who asks for what, in an invitation. */
export type Request = Pick<Invitation, "role" | "by" | "about" | "trusted">;

/**
 * Why no browser can serve a job, if none can: functions never travel, and nobody could check what they push; and dense
 * weights go to a volunteer in one frame.
 */
export function refusalOfJob({ name, compile, tables, model }: JobManifest): ClusterError | undefined {
  const { loss } = compile;
  if (typeof loss !== "string") return refusal(name, `trains with the function "${loss.function}" of a plugin file`);
  for (const { name: table, optimizer } of tables) {
    if (optimizer.kind === "custom")
      return refusal(name, `has the server update "${optimizer.update}" of a plugin file for table "${table}"`);
  }
  const bytes = FRAME_HEAD_BYTES + 4 * model.variables.reduce((sum, { shape }) => sum + floatsOf(shape), 0);
  if (bytes > LIMITS.leafFrameBytesMax)
    return refusal(name, `has ${bytes} bytes of dense weights, over the limit of ${LIMITS.leafFrameBytesMax}`);
  const foreign = foreignClassOf(model.topology);
  return foreign === undefined ? undefined : refusal(name, `has the layer class "${foreign}" of a plugin file`);
}

const floatsOf = (shape: readonly number[]): number => shape.reduce((floats, size) => floats * size, 1);
/** More than a frame has before its values. */
const FRAME_HEAD_BYTES = 1024;

const refusal = (job: string, why: string): ClusterError =>
  new ClusterError("BAD_JOB", `job "${job}" ${why}, which volunteers cannot run; train it on \`volary worker\`s alone`);

/**
 * The text that is signed.
 *
 * @param rows of training, once a worker has counted them
 * @throws {ClusterError} BAD_JOB: its model is too large for a browser
 */
export function invitationText(
  job: { job: number; manifest: JobManifest },
  { role, by, about, trusted, rows }: Request & { rows: number | null },
): string {
  const data = withoutFolders(job.manifest.data);
  const files = data.files.map(nameOf);
  const manifest = { ...job.manifest, data };
  const invitation: Invitation = {
    version: 1,
    job: job.job,
    role,
    by,
    about,
    data: { files, rows },
    trusted,
    manifest,
  };
  const text = JSON.stringify(invitation);
  if (text.length <= TEXT_MAX) return text;
  const message = `job "${manifest.name}" is described by ${text.length} characters, over ${TEXT_MAX}: no browser takes it`;
  throw new ClusterError("BAD_JOB", message);
}

/** As much as a signed invitation holds. */
const TEXT_MAX = signedInvitationSchema.shape.text.maxLength!;
const FILES_MAX = 100;
const NAME_MAX = 500;

/** Where data lies, and what opens it, a volunteer need not know. */
function withoutFolders(data: DataSpec): DataSpec {
  const { test } = data;
  return {
    ...data,
    files: named(data.files),
    ...(test?.kind === "files" ? { test: { ...test, files: named(test.files) } } : {}),
  };
}

/** The first few, each name once. */
function named(files: readonly FileSpec[]): { kind: "file"; path: string }[] {
  const names = new Set(files.map(nameOf));
  return [...names].slice(0, FILES_MAX).map((path) => ({ kind: "file", path }));
}

/** The last part of a path or an address, without what may be asked of it. */
function nameOf(file: FileSpec): string {
  const path = file.kind === "http" ? (URL.parse(file.url)?.pathname ?? "") : file.kind === "s3" ? file.key : file.path;
  const name = path.split(/[/\\]/).findLast((part) => part !== "") ?? "data";
  return name.slice(0, NAME_MAX);
}
