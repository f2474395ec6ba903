// expect: Argument of type 'number' is not assignable to parameter of type 'bigint'
import { tableOf } from "@volary/core";

export const table = tableOf({ user: BigInt64Array.of(7, 8) }); // wrong
