export { Requests } from "./requests.ts";
export { retry } from "./retry.ts";
export { TableClient, type ExportedRows } from "./table-client.ts";
