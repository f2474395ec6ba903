export { Combiner, type CombineRule, type Combined, type Part } from "./combine.ts";
