/** What a gateway counts, for Prometheus. */
import { Gauge, Registry, Counter } from "prom-client";
import type { Gateway } from "../gateway/gateway.ts";

export function gatewayMetrics(gateway: Gateway): Registry {
  const registry = new Registry();
  const connected: Gauge = new Gauge({
    name: "volary_gateway_connected",
    help: "Volunteers and observers that are connected",
    registers: [registry],
    collect: () => connected.set(gateway.status.connected),
  });
  const refused: Counter<"code"> = new Counter({
    name: "volary_gateway_refused_total",
    help: "What was refused, by code",
    labelNames: ["code"],
    registers: [registry],
    collect: () => {
      refused.reset();
      for (const [code, times] of Object.entries(gateway.status.refused)) refused.inc({ code }, times);
    },
  });
  const bytes: Counter<"way"> = new Counter({
    name: "volary_gateway_bytes_total",
    help: "Bytes of messages from volunteers (in), and to them (out)",
    labelNames: ["way"],
    registers: [registry],
    collect: () => {
      const { bytesIn, bytesOut } = gateway.status;
      bytes.reset();
      bytes.inc({ way: "in" }, bytesIn);
      bytes.inc({ way: "out" }, bytesOut);
    },
  });
  return registry;
}
