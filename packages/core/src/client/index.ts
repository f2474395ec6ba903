export { headsOf, NodeLinks, type NodeEvents, type NodeLinksOptions, type TableLinks } from "./node-links.ts";
export { PlainTable, type ReadOptions } from "./plain-table.ts";
export { PulledRows, type PulledRowsOptions } from "./pulled-rows.ts";
export { Requests } from "./requests.ts";
export { retry } from "./retry.ts";
export { TableClient, type ExportedRows, type TableClientOptions } from "./table-client.ts";
export type { Keys } from "./table-keys.ts";
