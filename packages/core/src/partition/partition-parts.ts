/** What a partition is made of: what its part in a step, its copies and its digest work on. */
import type { Arena } from "../table/arena.ts";
import type { Rows } from "../table/rows.ts";
import type { PushIdentities } from "./push-identities.ts";
import type { Room } from "./room.ts";
import type { TableSet } from "./segment.ts";
import type { Staging } from "./staging.ts";
import type { StepState } from "./step-state.ts";
import type { Vocabulary } from "./vocabulary.ts";

export interface PartitionParts {
  readonly partition: number;
  readonly tables: TableSet;
  readonly arena: Arena;
  /** In the order of the tables. */
  readonly rows: readonly Rows[];
  readonly vocabulary: Vocabulary;
  readonly identities: PushIdentities;
  readonly staging: Staging;
  readonly room: Room;
  readonly state: StepState;
}
