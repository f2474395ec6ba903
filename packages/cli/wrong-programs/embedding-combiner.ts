// expect: Type '"average"' is not assignable to type '"mean" | "sqrtn" | "sum"'
import { embedding } from "@volary/core";

export const tags = embedding({ table: "tag", dim: 8, combiner: "average" }); // wrong
