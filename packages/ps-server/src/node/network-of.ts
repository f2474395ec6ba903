/** Whom a rate is counted for. */
import { isIPv6 } from "node:net";

/** The first four of an address's eight groups of 16 bits. */
const NETWORK_GROUPS = 4;

/**
 * Of an IPv6 address its first 64 bits, all of which one household may have to itself (RFC 6177); any other address, and
 * an IPv4 address in an IPv6 one, as it is.
 */
export function networkOf(address: string): string {
  if (!isIPv6(address) || /^::ffff:[\d.]+$/i.test(address)) return address;
  const [before, after] = address.split("%", 1)[0]!.split("::").map(groupsOf) as [string[], string[]?];
  const missing = after ? 8 - before.length - after.length : 0;
  const groups = [...before, ...Array<string>(missing).fill("0"), ...(after ?? [])];
  const network = groups.slice(0, NETWORK_GROUPS).map((group) => Number.parseInt(group, 16).toString(16));
  return `${network.join(":")}::/64`;
}

/** A dotted end stands for two groups. */
function groupsOf(part: string): string[] {
  return part.split(":").flatMap((group) => (group === "" ? [] : group.includes(".") ? [group, ""] : [group]));
}
