/**
 * Files of web servers (RFC 9110): pieces by range requests where the server has them, and the ETag, or where there
 * is none the date and length, to notice that the file has become another one.
 */
import { RemoteFailure, attempted, remoteFile, type RemoteObject } from "./remote-file.ts";
import { badFile, type SourceFile } from "./source-file.ts";

/** @throws {ClusterError} BAD_DATA: no such address, no such file there, or access is denied */
export async function httpFile(address: string): Promise<SourceFile> {
  const url = URL.parse(address);
  if (url === null || (url.protocol !== "http:" && url.protocol !== "https:")) {
    throw badFile(address, "no http(s) address; write it as https://host/path/file.csv");
  }
  const first = await attempted(address, async (signal) => {
    const response = await request(address, { range: "bytes=0-0" }, signal);
    await response.body?.cancel();
    return response;
  });
  const hasRanges = first.status === 206;
  const total = hasRanges ? first.headers.get("content-range")?.split("/")[1] : first.headers.get("content-length");
  const bytes = total === undefined || total === null || !/^\d+$/.test(total) ? undefined : Number(total);
  const identity = identityOf(first);
  const object: RemoteObject = {
    name: address,
    bytes: first.status === 416 ? 0 : bytes,
    version: identity,
    hasRanges: hasRanges && bytes !== undefined,
    async open(from, to, signal) {
      const isWhole = !object.hasRanges || (from === 0 && to === undefined);
      const response = await request(address, isWhole ? {} : { range: `bytes=${from}-${(to ?? bytes!) - 1}` }, signal);
      const now = identityOf(response);
      if (now !== identity) throw new RemoteFailure("changed", `${identity} to ${now}`);
      if (response.status !== (isWhole ? 200 : 206)) {
        throw new RemoteFailure("again", `status ${response.status} to a request of bytes ${from} to ${to ?? bytes}`);
      }
      return (response.body ?? []) as AsyncIterable<Uint8Array>;
    },
  };
  if (object.bytes === 0) object.open = async () => emptyStream();
  return remoteFile(object);
}

async function request(address: string, headers: Record<string, string>, signal: AbortSignal): Promise<Response> {
  // Packed on the way, lengths and ranges would be of other bytes than the file's.
  const response = await fetch(address, { headers: { "accept-encoding": "identity", ...headers }, signal });
  if (response.ok || response.status === 416) return response;
  await response.body?.cancel();
  const { status } = response;
  const remedy =
    status === 404 || status === 410
      ? "no such file there; check the address"
      : status === 401 || status === 403
        ? "the server denies access; make the file public, or download it first"
        : "the server cannot give it";
  const isPassing = status === 408 || status === 429 || status >= 500;
  throw new RemoteFailure(isPassing ? "again" : "refused", `status ${status}: ${remedy}`);
}

function identityOf({ headers }: Response): string {
  return headers.get("etag") ?? headers.get("last-modified") ?? "unnamed version";
}

async function* emptyStream(): AsyncGenerator<Uint8Array> {}
