/** @file What an observer sees: who trains what, and how far it is. Nothing is computed here, and nothing to be set. */
import type { Invitation } from "@volary/core/job";
import { InvitationCard } from "./invitation-card.tsx";
import { isDone } from "./job-view.ts";
import type { ObserverState } from "./observer.ts";
import { JobProgress } from "./progress.tsx";
import { TEXT } from "./text.ts";

export function Watching({ invitation, state }: { invitation: Invitation; state: ObserverState }) {
  const { ended } = state;
  return (
    <main>
      <InvitationCard invitation={invitation} />
      <section class="card" aria-labelledby="watch">
        <h2 id="watch">{TEXT.watch}</h2>
        <p role="status">{statusText(state)}</p>
        <p class="note">{TEXT.watchNote}</p>
        {ended && !isDone(state) ? (
          <p class="note">
            {TEXT.refusedDetail(ended.reason)} <code>{ended.code}</code>
          </p>
        ) : null}
      </section>
      <JobProgress view={state} />
    </main>
  );
}

function statusText(state: ObserverState): string {
  if (state.ended) return isDone(state) ? TEXT.watchDone : TEXT.watchRefusal(state.ended.code);
  return state.activity === "connecting" ? TEXT.status.connecting : TEXT.watching;
}
