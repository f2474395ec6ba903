export { Requests } from "./requests.ts";
export { TableClient, type ExportedRows } from "./table-client.ts";
