/** Links that let volunteers in: which job they are for, how they are made, and what is wrong with an address. */
import { ClusterError } from "@volary/core/errors";
import { fragmentOf, type InvitedRole } from "@volary/core/job";
import { LIMITS } from "@volary/core/limits";
import type { ClusterStatus, ControlOf, JobStatus } from "@volary/core/wire";

/** Options of `cluster.invite`. */
export interface InviteOptions {
  /** Number or name; the job that is under way unless said otherwise. */
  job?: number | string | undefined;
  /** Of whoever opens a link: "volunteer", unless said otherwise, to compute, or "observer", to watch. */
  role?: InvitedRole | undefined;
  /** Links, each good for one person; 1 unless said otherwise. */
  uses?: number | undefined;
  /** How long they are good for; 30 minutes unless said otherwise. */
  forMs?: number | undefined;
  /** Volunteers trust each other: they may connect to each other, and nothing they send is clipped. */
  trusted?: boolean | undefined;
  /** Who asks, for volunteers to read. */
  by?: string | undefined;
  /** For what. */
  about?: string | undefined;
  /** https://host of the gateway, as volunteers know it; that of the cluster's first gateway unless said otherwise. */
  gateway?: string | undefined;
}

/** What is sent to volunteers. */
export interface JoinLinks {
  readonly job: number;
  /** Of the job. */
  readonly name: string;
  /** One for each volunteer: whoever opens it first is let in. */
  readonly links: readonly string[];
  /** Milliseconds from now until when they are good. */
  readonly validMs: number;
}

const FOR_MS = 30 * 60_000;

/** @throws {RangeError} a number, a text or an address that is impossible: which, and what is possible */
export function inviteOf(o: InviteOptions, job: number): ControlOf<"invite"> {
  const { role = "volunteer", uses = 1, forMs: validMs = FOR_MS, trusted = false, by = "", about = "" } = o;
  if (!Number.isInteger(uses) || uses < 1 || uses > LIMITS.invitationUsesMax)
    throw new RangeError(`uses: ${uses} is not possible; give a whole number from 1 to ${LIMITS.invitationUsesMax}`);
  if (!(validMs > 0 && validMs <= LIMITS.invitationMsMax))
    throw new RangeError(`forMs: ${validMs} is not possible; give up to ${LIMITS.invitationMsMax}, which is 30 days`);
  if (trusted && role === "observer")
    throw new RangeError(
      "trusted: not possible for an observer, who sends nothing; leave it out, or invite volunteers",
    );
  if (by.length > 200) throw new RangeError(`by: ${by.length} characters are too many; give up to 200`);
  if (about.length > 2_000) throw new RangeError(`about: ${about.length} characters are too many; give up to 2000`);
  return { type: "invite", job, role, uses, validMs, trusted, by, about };
}

/**
 * The job that is meant.
 *
 * @param wanted its number or name; the only one under way without it
 * @throws {ClusterError} UNKNOWN_JOB: none, or several, with what there is
 */
export function jobToHelp({ jobs }: Pick<ClusterStatus, "jobs">, wanted?: number | string): JobStatus {
  const underWay = jobs.filter(({ phase }) => phase === "waiting" || phase === "training" || phase === "evaluating");
  const all = underWay.map(({ job, name }) => `${job} (${name})`).join(", ");
  if (wanted === undefined) {
    if (underWay.length === 1) return underWay[0]!;
    const message =
      underWay.length === 0
        ? "no job is under way that volunteers could help; start one with `volary train job.ts --coordinator ADDRESS`"
        : `several jobs are under way: ${all}; say which`;
    throw new ClusterError("UNKNOWN_JOB", message);
  }
  const found =
    jobs.find(({ job }) => job === Number(wanted)) ??
    underWay.find(({ name }) => name === wanted) ??
    jobs.findLast(({ name }) => name === wanted);
  if (found) return found;
  const there = underWay.length === 0 ? "and none is under way" : `under way are ${all}`;
  throw new ClusterError("UNKNOWN_JOB", `the coordinator has no job ${JSON.stringify(wanted)}; ${there}`);
}

/**
 * Links for the tokens of an invitation.
 *
 * @throws {ClusterError} NOT_A_MEMBER: the cluster has no gateway
 */
export function linksOf({ tokens, keyId, urls }: ControlOf<"invited">, gateway: string | undefined): string[] {
  const url = gateway ?? urls[0];
  if (url === undefined) {
    const remedy = "start one with `volary gateway --coordinator ADDRESS`, or name its address";
    throw new ClusterError("NOT_A_MEMBER", `the cluster has no gateway that volunteers could reach; ${remedy}`);
  }
  return tokens.map((token) => `${url.replace(/\/+$/, "")}/join${fragmentOf({ token, keyId })}`);
}

/** What a link costs that browsers do not take for a secure context; undefined for one that they do. */
export function insecureWarning(link: string): string | undefined {
  const { protocol, hostname, origin } = new URL(link);
  if (protocol === "https:" || hostname === "localhost" || hostname.endsWith(".localhost")) return undefined;
  if (/^127(\.\d+){3}$/.test(hostname) || hostname === "[::1]") return undefined;
  return (
    `${origin} is no secure context: browsers compute without WebGPU there, and whoever is between could change the ` +
    "page; put a certificate before the gateway and say its address with --gateway-url, see docs/volunteers.md"
  );
}
