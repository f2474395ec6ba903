// expect: Property 'dim' is missing
import { embedding } from "@volary/core";

export const users = embedding({ table: "user" }); // wrong
