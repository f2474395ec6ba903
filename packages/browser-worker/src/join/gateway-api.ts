/** The gateway's two requests over HTTP: a token for a session, and a session again after a reload. */
import { ClusterError, type ClusterErrorCode } from "@volary/core/errors";
import { admittedSchema, refusedSchema, type Admitted } from "@volary/core/job";

export interface GatewayApi {
  /** @throws {ClusterError} the gateway's code; COORDINATOR_UNAVAILABLE where none answers */
  join(o: { token: string; claim: string }): Promise<Admitted>;
  /** @throws {ClusterError} as {@link join}; SESSION_ENDED */
  session(session: string): Promise<Admitted>;
}

/** @param page address of the page, which lies beside the gateway's `api/` */
export function gatewayApi(page: string, request: typeof fetch = fetch): GatewayApi {
  const post = (path: string, body: object) => admittedBy(request, new URL(path, page).href, body);
  return {
    join: (o) => post("api/join", o),
    session: (session) => post("api/session", { session }),
  };
}

/** Where the page's gateway takes links of volunteers. */
export function leafAddress(page: string): string {
  const url = new URL("leaf", page);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  return url.href;
}

async function admittedBy(request: typeof fetch, address: string, body: object): Promise<Admitted> {
  let status: number;
  let answer: unknown;
  try {
    const headers = { "content-type": "application/json" };
    const response = await request(address, { method: "POST", headers, body: JSON.stringify(body) });
    status = response.status;
    answer = await response.json();
  } catch (cause) {
    throw new ClusterError("COORDINATOR_UNAVAILABLE", `no answer from ${address}: ${String(cause)}`, { cause });
  }
  const admitted = admittedSchema.safeParse(answer);
  if (status === 200 && admitted.success) return admitted.data;
  const refused = refusedSchema.safeParse(answer);
  if (refused.success) throw new ClusterError(refused.data.code as ClusterErrorCode, refused.data.message);
  throw new ClusterError("PROTOCOL_VIOLATION", `${address} answered with status ${status}, and not as a gateway does`);
}
