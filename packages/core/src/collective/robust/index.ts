export { COMBINE_RULES, Combiner, lowerMedian, type CombineRule, type Combined, type Part } from "./combine.ts";
