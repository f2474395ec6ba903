/** What a frame is for. docs/protocol.md says of each who sends it and what its fields mean. */

/** Written numbers, never reused: 4 was one. */
export const OPCODES = {
  pull: 1,
  pullReply: 2,
  push: 3,
  set: 5,
  setReply: 6,
  export: 7,
  exportReply: 8,
  reduce: 9,
  denseState: 10,
  pushDirect: 11,
  pushDirectReply: 12,
  unknownKeys: 13,
  stageRecord: 14,
  commitRecord: 15,
  promiseRecord: 16,
  setRecord: 17,
  pushRecord: 18,
  checkRecord: 19,
  chainAck: 20,
  copyPart: 21,
  copyPartReply: 22,
  stateShare: 23,
  leafDense: 24,
  leafRows: 25,
  leafInputs: 26,
  leafRowGradients: 27,
  leafDenseGradients: 28,
  leafRowNumbers: 29,
} as const;
export type Opcode = keyof typeof OPCODES;

const NAMES = new Map<number, Opcode>(Object.entries(OPCODES).map(([name, id]) => [id, name as Opcode]));

/** In these frames `counts` says how the keys fall into segments and tables. */
const KEYED: ReadonlySet<Opcode> = new Set<Opcode>([
  "pull",
  "push",
  "set",
  "pushDirect",
  "stageRecord",
  "commitRecord",
  "setRecord",
  "pushRecord",
]);

/** What stands in the logs of partitions, each segment with its place there. */
export type RecordOpcode = Extract<Opcode, `${string}Record`>;

const RECORDS: ReadonlySet<Opcode> = new Set<RecordOpcode>([
  "stageRecord",
  "commitRecord",
  "promiseRecord",
  "setRecord",
  "pushRecord",
  "checkRecord",
]);

/** Those, and what says how far a log is: each segment has a sequence number. */
const SEQUENCED: ReadonlySet<Opcode> = new Set<Opcode>([...RECORDS, "chainAck", "copyPart"]);

/** Undefined for a number that stands for none. */
export function opcodeOf(id: number): Opcode | undefined {
  return NAMES.get(id);
}

/** Must the counts of such a frame add up to its keys? */
export function isKeyed(opcode: Opcode): boolean {
  return KEYED.has(opcode);
}

/** Is such a frame an entry in the logs of partitions? */
export function isRecord(opcode: Opcode): opcode is RecordOpcode {
  return RECORDS.has(opcode);
}

/** Must such a frame have sequence numbers, and its keys in it? */
export function isSequenced(opcode: Opcode): boolean {
  return SEQUENCED.has(opcode);
}
