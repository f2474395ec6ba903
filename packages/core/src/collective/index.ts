export { RingAllReduce, type RingPiece } from "./ring.ts";
