/** @file The volunteer's page: an invitation, a button, and what comes of it. */
import type { Invitation } from "@volary/core/job";
import { useEffect, useState } from "preact/hooks";
import type { Entry } from "../join/enter.ts";
import { InvitationCard, TrustCard } from "./invitation-card.tsx";
import { LimitsForm } from "./limits-form.tsx";
import { isDone } from "./job-view.ts";
import { keepLimits, keptLimits, pauseFor, type Limits, type Surroundings } from "./limits.ts";
import type { ObserverState } from "./observer.ts";
import { JobProgress, Progress } from "./progress.tsx";
import { Refusal } from "./refusal.tsx";
import { watchSurroundings } from "./surroundings.ts";
import { TEXT } from "./text.ts";
import type { Volunteer, VolunteerState } from "./volunteer.ts";
import { Watching } from "./watching.tsx";

export type Opened =
  | { kind: "opening" }
  | { kind: "refused"; code: string; message: string }
  | { kind: "entered"; entry: Entry; volunteer: Volunteer }
  | { kind: "watching"; invitation: Invitation; state: ObserverState };

export function App({ opened }: { opened: Opened }) {
  switch (opened.kind) {
    case "opening":
      return (
        <main>
          <p role="status">{TEXT.loading}</p>
        </main>
      );
    case "refused":
      return (
        <main>
          <Refusal {...opened} />
        </main>
      );
    case "entered":
      return <Visit {...opened} />;
    case "watching":
      return <Watching {...opened} />;
    default:
      opened satisfies never;
  }
}

function Visit({ entry, volunteer }: { entry: Entry; volunteer: Volunteer }) {
  const state = useVolunteer(volunteer);
  const [limits, setLimits] = useLimits(volunteer, { state, trusted: entry.invitation.trusted });
  const { ended } = state;
  const hasBegun = state.activity !== "idle" || state.device !== undefined;
  return (
    <main>
      <InvitationCard invitation={entry.invitation} />
      {hasBegun ? null : <TrustCard invitation={entry.invitation} />}
      <section class="card action" aria-label={TEXT.start}>
        <Button volunteer={volunteer} state={state} />
        <p class="status" role="status">
          {statusText(state)}
        </p>
        {ended && !isDone(state) ? (
          <p class="note">
            {TEXT.refusedDetail(ended.reason)} <code>{ended.code}</code>
          </p>
        ) : null}
      </section>
      {hasBegun ? <Progress state={state} /> : null}
      {hasBegun ? <JobProgress view={state} /> : null}
      <LimitsForm limits={limits} trusted={entry.invitation.trusted} onChange={setLimits} />
      {hasBegun ? <TrustCard invitation={entry.invitation} /> : null}
    </main>
  );
}

function Button({ volunteer, state }: { volunteer: Volunteer; state: VolunteerState }) {
  const isStopped = state.activity === "idle" || state.activity === "ended";
  const again = state.device === undefined ? TEXT.start : TEXT.startAgain;
  return (
    <button
      type="button"
      class={isStopped ? "button button-main" : "button button-stop"}
      onClick={() => (isStopped ? volunteer.start() : volunteer.stop())}
    >
      {isStopped ? again : TEXT.stop}
    </button>
  );
}

function statusText(state: VolunteerState): string {
  const { activity, pause, device, ended } = state;
  if (activity === "ended") return isDone(state) ? TEXT.done : ended ? TEXT.refusal(ended.code) : TEXT.status.ended;
  if (activity === "idle") return device === undefined ? TEXT.status.idle : TEXT.stopped;
  if (pause !== undefined && (activity === "waiting" || activity === "working")) return TEXT.paused[pause];
  return TEXT.status[activity];
}

function useVolunteer(volunteer: Volunteer): VolunteerState {
  const [state, setState] = useState(volunteer.state);
  useEffect(() => volunteer.subscribe(() => setState(volunteer.state)), [volunteer]);
  return state;
}

/** Limits as they were kept; together with what surrounds the tab they say whether the volunteer pauses. */
function useLimits(
  volunteer: Volunteer,
  { state: { traffic }, trusted }: { state: VolunteerState; trusted: boolean },
): [Limits, (limits: Limits) => void] {
  const [limits, setLimits] = useState(() => keptLimits(localStorage));
  const [around, setAround] = useState<Surroundings | undefined>(undefined);
  useEffect(() => watchSurroundings({ onChange: setAround, onReturn: () => volunteer.hurry() }), [volunteer]);
  useEffect(() => {
    keepLimits(localStorage, limits);
    volunteer.setShare(limits.sharePercent / 100);
    volunteer.setMayConnect(trusted && limits.mayConnect);
  }, [volunteer, limits, trusted]);
  useEffect(() => {
    if (around) volunteer.setPause(pauseFor(limits, around, traffic.sent + traffic.received));
  }, [volunteer, limits, around, traffic]);
  return [limits, setLimits];
}
