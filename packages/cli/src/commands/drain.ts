/** `volary drain`: moves what a parameter server holds to the others, so that it can be stopped. */
import { grouped } from "@volary/core/figures";
import type { ClusterStatus } from "@volary/core/wire";
import { Command } from "commander";
import { setTimeout as delay } from "node:timers/promises";
import { Cluster } from "../cluster/cluster.ts";
import { interruptible } from "../cluster/interrupt.ts";
import { coordinatorOption, example } from "../options.ts";
import { UserError } from "../user-error.ts";

interface Options {
  coordinator: string;
  wait?: true;
  json?: true;
}

const LOOK_EVERY_MS = 250;

export function drainCommand(): Command {
  return new Command("drain")
    .description("move all partitions away from a parameter server, so that it can be stopped")
    .argument("<node>", "name of the PS node, as `volary status` shows it")
    .addOption(coordinatorOption())
    .option("--wait", "end only once it holds nothing; until then it must not be stopped")
    .option("--json", "end with one JSON object on stdout")
    .addHelpText("after", example("volary drain ps-3 --wait", "volary drain ps-3 --coordinator ws://10.0.0.1:7171"))
    .action(run);
}

async function run(node: string, { coordinator, wait, json }: Options): Promise<void> {
  await interruptible(
    async (signal) => {
      const cluster = await Cluster.connect(coordinator);
      try {
        await cluster.drain(node);
        let held = heldBy(await cluster.status(), node);
        while (wait && held > 0) {
          await delay(LOOK_EVERY_MS, undefined, { signal });
          const left = heldBy(await cluster.status(), node);
          if (left !== held) console.error(`${node} still holds ${grouped(left)} copies of partitions`);
          held = left;
        }
        if (json) console.log(JSON.stringify({ node, held }));
        else if (held === 0) console.log(`${node} holds nothing; it may be stopped`);
        else
          console.log(
            `${node} is being drained and holds ${grouped(held)} copies of partitions; \`volary status\` shows when it holds none`,
          );
      } finally {
        await cluster.stop();
      }
    },
    { kill: () => {} },
  );
}

/**
 * How many copies of partitions a node holds, as head or behind one.
 *
 * @throws {UserError} it is not in the cluster any more, or has joined it anew and is filled again
 */
export function heldBy({ nodes }: ClusterStatus, name: string): number {
  const node = nodes.find((each) => each.name === name);
  if (node?.draining) return node.partitions + node.replicas;
  if (node) throw new UserError(`PS node ${name} was started again, and takes partitions again; drain it once more`);
  throw new UserError(
    `PS node ${name} left the cluster before it was drained; what it held is on its replicas, as far as there were any`,
  );
}
