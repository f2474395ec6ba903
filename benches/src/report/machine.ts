/** What a bench ran on, so that its figures can be compared. */
import { availableParallelism, cpus, totalmem } from "node:os";

export interface Machine {
  cpu: string;
  cores: number;
  memoryBytes: number;
  platform: string;
  arch: string;
  node: string;
}

export function machine(): Machine {
  const { platform, arch, versions } = process;
  return {
    cpu: cpus()[0]?.model ?? "unknown",
    cores: availableParallelism(),
    memoryBytes: totalmem(),
    platform,
    arch,
    node: versions.node,
  };
}
