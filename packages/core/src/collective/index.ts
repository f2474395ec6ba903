export {
  allReduce,
  type AllReduce,
  type OwnDone,
  type ReduceForm,
  type ReduceOptions,
  type ReducePiece,
} from "./all-reduce.ts";
export { RingAllReduce } from "./ring.ts";
export { stateHash } from "./state-hash.ts";
