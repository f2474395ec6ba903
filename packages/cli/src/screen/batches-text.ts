/** In words, how the batches fared of a job whose coordinator gives them out. */
import { grouped, plural } from "@volary/core/figures";
import type { JobStatus } from "@volary/core/wire";

/** As "1,234 batches", "12 dropped", "14 rounds": how many are finished, then what is not 0. Nothing for other jobs. */
export function batchesTexts({ batches }: Pick<JobStatus, "batches">): string[] {
  if (!batches) return [];
  const { finished, dropped, repeated, stalenessMax, rounds, cachedRows, rows } = batches;
  const kept = rows > 0 ? Math.round((100 * cachedRows) / rows) : 0;
  return [
    plural(finished, "batch", "batches"),
    ...(dropped > 0 ? [`${grouped(dropped)} dropped`] : []),
    ...(repeated > 0 ? [`${grouped(repeated)} repeated`] : []),
    ...(stalenessMax > 0 ? [`a worker up to ${grouped(stalenessMax)} ahead`] : []),
    ...(rounds > 0 ? [plural(rounds, "round")] : []),
    ...(kept > 0 ? [`${kept} % of rows cached`] : []),
  ];
}
