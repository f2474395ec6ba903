/**
 * Who may help with which job, or watch it: invitations become tokens, tokens sessions, and a session ends with its job,
 * its time or the volunteer's honesty. Nothing of it is kept over a restart, as no job trains on after one: a token that an
 * earlier coordinator made is unknown.
 *
 * What happens when a peer dies here: a lost gateway costs its volunteers their links, not their sessions, which any
 * gateway takes; a lost reducer is not named any more.
 */
import { ClusterError } from "@volary/core/errors";
import type { ClusterStatus, ControlOf } from "@volary/core/wire";
import type { Effects, LinkId } from "./effects.ts";
import type { Events } from "./events.ts";
import type { Job } from "./job.ts";
import type { Jobs } from "./jobs.ts";
import type { Worker, Workers } from "./workers.ts";
import { Gateways } from "./volunteers/gateways.ts";
import { Sessions, type Session } from "./volunteers/sessions.ts";
import { refusalOfJob, invitationText, type VolunteerKeys } from "./volunteers/signed-invitation.ts";
import { Tokens } from "./volunteers/tokens.ts";

interface VolunteersOptions {
  effects: Effects;
  events: Events;
  jobs: Jobs;
  workers: Workers;
  /** Without them nobody can be invited. */
  keys: VolunteerKeys | undefined;
}

export class Volunteers {
  readonly #o: VolunteersOptions;
  readonly #gateways = new Gateways();
  readonly #tokens: Tokens;
  readonly #sessions: Sessions;
  #invited = 0;
  #redeemed = 0;
  #expelled = 0;

  constructor(o: VolunteersOptions) {
    this.#o = o;
    const secret = () => this.#keys.secret();
    this.#tokens = new Tokens(secret);
    this.#sessions = new Sessions(secret);
  }

  status(): Required<Pick<ClusterStatus, "gateways" | "volunteers">> {
    return {
      gateways: this.#gateways.status(),
      volunteers: {
        invited: this.#invited,
        redeemed: this.#redeemed,
        sessions: this.#sessions.count("volunteer"),
        observers: this.#sessions.count("observer"),
        expelled: this.#expelled,
      },
    };
  }

  /** @throws {ClusterError} BAD_JOB: nobody can help it; BAD_INVITATION: no keys; UNKNOWN_JOB, LIMIT_EXCEEDED */
  invite(link: LinkId, control: ControlOf<"invite">, now: number): void {
    const { uses, validMs, role, trusted, by, about } = control;
    const job = this.#o.jobs.of(control.job);
    if (job.over) throw new ClusterError("BAD_JOB", `${nameOf(job)} is ${job.phase}: nobody can help it any more`);
    const refusal = role === "volunteer" ? refusalOfJob(job.manifest) : undefined;
    if (refusal) throw refusal;
    invitationText(job, { role, by, about, trusted, rows: null });
    const invited = { job: job.job, role, trusted, by, about, expiresAt: now + validMs };
    const { keyId } = this.#keys;
    const tokens = this.#tokens.make(invited, uses, now);
    this.#invited += uses;
    this.#o.effects.log(`${uses} invited to ${nameOf(job)}, for ${Math.ceil(validMs / 1000)} s`);
    this.#o.effects.send(link, { type: "invited", tokens, keyId, urls: this.#gateways.urls });
  }

  // -- gateways ------------------------------------------------------------------------------------------------

  joinGateway(link: LinkId, control: ControlOf<"gateway-join">, now: number): void {
    const { name } = this.#gateways.join(link, control);
    this.#o.effects.log(`gateway ${name} joined at ${control.url}`);
    this.#o.events.add("gateway", `gateway ${name} joined at ${control.url}`, now);
  }

  onReport(link: LinkId, control: ControlOf<"gateway-report">): void {
    const { url, connected, refused, bytesIn, bytesOut } = control;
    this.#gateways.memberOf(link).report = { url, connected, refused, bytesIn, bytesOut };
  }

  onClose(link: LinkId, now: number): void {
    const gateway = this.#gateways.remove(link);
    if (!gateway) return;
    this.#o.effects.log(`gateway ${gateway.name} is lost: its connection closed`);
    this.#o.events.add("gateway", `gateway ${gateway.name} is lost`, now);
  }

  /**
   * @throws {ClusterError} NOT_A_MEMBER; what {@link Tokens.check} throws; SESSION_ENDED: the job is over, or the code
   *   that the session has ended with; TOO_MANY
   */
  redeem(link: LinkId, { request, token, claim }: ControlOf<"redeem">, now: number): void {
    this.#gateways.memberOf(link);
    const claimed = this.#tokens.sessionClaimed(token, claim);
    const session = claimed === undefined ? this.#begin(token, claim, now) : this.#sessions.of(claimed);
    this.#checkNotOver(session.invited);
    this.#answer(link, request, session, now);
  }

  #begin(token: string, claim: string | undefined, now: number): Session {
    const invited = this.#tokens.check(token, now);
    const job = this.#checkNotOver(invited);
    this.#sessions.checkRoom();
    const volunteer = this.#o.effects.newId("volunteer");
    const session = this.#sessions.begin(volunteer, invited, now);
    this.#tokens.use(token, { claim, session: session.secret });
    this.#redeemed++;
    this.#o.events.add("volunteer", `${invited.role} ${volunteer} was let in to ${nameOf(job)}`, now);
    return session;
  }

  /** @throws {ClusterError} NOT_A_MEMBER; NAME_TAKEN; SESSION_ENDED, or the code that the session has ended with */
  onSessionRequest(link: LinkId, { request, session, state }: ControlOf<"session-request">, now: number): void {
    this.#gateways.memberOf(link);
    const found = this.#sessions.of(session);
    this.#checkNotOver(found.invited);
    if (state !== "enters") this.#connect(found, link, state);
    this.#answer(link, request, found, now);
  }

  /** A volunteer has one connection, whatever gateways it knows: the newest. */
  #connect(session: Session, link: LinkId, state: "connects" | "connected"): void {
    const { gateway: before, volunteer } = session;
    const isElsewhere = before !== undefined && before !== link && this.#gateways.has(before);
    if (isElsewhere && state === "connected") throw new ClusterError("NAME_TAKEN", ELSEWHERE);
    session.gateway = link;
    if (isElsewhere)
      this.#o.effects.send(before, { type: "revoked", volunteer, code: "NAME_TAKEN", reason: ELSEWHERE });
  }

  #checkNotOver(invited: { job: number }): Job {
    const job = this.#o.jobs.of(invited.job);
    if (job.over) throw new ClusterError("SESSION_ENDED", overText(job));
    return job;
  }

  #answer(link: LinkId, request: number, session: Session, now: number): void {
    const { secret, volunteer, expiresAt, invited } = session;
    const job = this.#o.jobs.of(invited.job);
    const rows = job.data?.trainRows ?? null;
    this.#o.effects.send(link, {
      type: "session",
      request,
      session: secret,
      volunteer,
      job: job.job,
      phase: job.phase,
      expiresInMs: Math.max(0, expiresAt - now),
      invitation: this.#keys.sign(invitationText(job, { ...invited, rows })),
      reducers: invited.role === "volunteer" ? this.#o.workers.reducersOf(job.job) : [],
    });
  }

  // -- ends of sessions ------------------------------------------------------------------------------------------

  /** A reducer has caught a volunteer of its job. */
  expel({ name, job }: Worker, { volunteer, reason }: ControlOf<"expel">, now: number): void {
    const session = this.#sessions.ofVolunteer(volunteer);
    if (!session || session.invited.job !== job) return; // it has ended already
    this.#expelled++;
    this.#o.effects.log(`volunteer ${volunteer} is expelled by worker ${name}: ${reason}`);
    this.#o.events.add("volunteer", `volunteer ${volunteer} was expelled by worker ${name}: ${reason}`, now);
    this.#end(session, { code: "UPDATE_DIFFERS", reason });
  }

  /** Ends what is over; after the jobs' news, so that volunteers hear how it went. */
  tick(now: number): void {
    for (const session of this.#sessions.past(now))
      this.#end(session, { code: "SESSION_ENDED", reason: "this session's time is up; thank you for your help" });
    for (const session of this.#sessions.all) {
      const job = this.#o.jobs.of(session.invited.job);
      if (job.over) this.#end(session, { code: "SESSION_ENDED", reason: overText(job) });
    }
  }

  #end(session: Session, end: { code: "SESSION_ENDED" | "UPDATE_DIFFERS"; reason: string }): void {
    this.#sessions.end(session, end);
    for (const link of this.#gateways.links)
      this.#o.effects.send(link, { type: "revoked", volunteer: session.volunteer, ...end });
  }

  /** @throws {ClusterError} BAD_INVITATION */
  get #keys(): VolunteerKeys {
    const { keys } = this.#o;
    if (keys) return keys;
    throw new ClusterError("BAD_INVITATION", "this coordinator has no key to sign invitations with");
  }
}

const ELSEWHERE = "you have connected from another page";
const nameOf = ({ job, manifest }: Job): string => `job ${job} (${manifest.name})`;
const overText = (job: Job): string => `training has ended: ${nameOf(job)} is ${job.phase}; thank you for your help`;
