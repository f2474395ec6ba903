/** @file What a volunteer reads before pressing Start: who asks, for what, what is trained, and what that means. */
import { grouped, short } from "@volary/core/figures";
import type { Invitation } from "@volary/core/job";
import { Figure, Figures } from "../ui/figure.tsx";
import { modelFacts } from "./model-facts.ts";
import { TEXT } from "./text.ts";

/** Names of tables that are shown. */
const TABLES_SHOWN = 4;

export function InvitationCard({ invitation }: { invitation: Invitation }) {
  const { by, about, data, manifest, role } = invitation;
  const { layers, parameters, tables, steps } = modelFacts(invitation);
  const { epochs, batchSize } = manifest.fit;
  return (
    <>
      <header class="asks">
        <h1>{role === "observer" ? TEXT.shows(by) : TEXT.asks(by)}</h1>
        {about === "" ? null : <p class="about">{about}</p>}
      </header>
      <section class="card" aria-labelledby="facts">
        <h2 id="facts">{TEXT.facts}</h2>
        <Figures>
          <Figure
            label={TEXT.model}
            value={manifest.name}
            hint={TEXT.modelHint({ layers, parameters: short(parameters) })}
          />
          <Figure
            label={TEXT.tables}
            value={tables.length === 0 ? TEXT.noTables : grouped(tables.length)}
            hint={
              tables.length === 0
                ? undefined
                : TEXT.tablesHint({
                    names: tables.slice(0, TABLES_SHOWN),
                    more: Math.max(0, tables.length - TABLES_SHOWN),
                  })
            }
          />
          <Figure
            label={TEXT.data}
            value={data.files.join(", ")}
            hint={TEXT.dataHint(data.rows === null ? undefined : grouped(data.rows))}
          />
          <Figure
            label={TEXT.training}
            value={steps === undefined ? TEXT.noSteps : TEXT.steps(grouped(steps))}
            hint={TEXT.trainingHint({ batch: grouped(batchSize), epochs })}
          />
        </Figures>
      </section>
    </>
  );
}

export function TrustCard({ invitation: { trusted } }: { invitation: Invitation }) {
  return (
    <section class="card" aria-labelledby="trust">
      <h2 id="trust">{TEXT.trust}</h2>
      <ul class="points">
        {[...TEXT.trustPoints, ...(trusted ? [TEXT.trusted] : [])].map((point) => (
          <li key={point}>{point}</li>
        ))}
      </ul>
    </section>
  );
}
