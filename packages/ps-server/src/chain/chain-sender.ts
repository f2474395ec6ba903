/** Records on their way to the nodes behind this one, gathered while one message is handled, and sent as few frames. */
import type { Frame } from "@volary/core/wire";
import { recordFrames, type AddressedRecord, type ChainRecord } from "./chain-record.ts";
import type { Replica } from "./replica.ts";

export class ChainSender {
  readonly #job: number;
  readonly #send: (node: number, frame: Frame) => void;
  readonly #pending = new Map<number, AddressedRecord[]>();

  constructor(o: { job: number; send: (node: number, frame: Frame) => void }) {
    this.#job = o.job;
    this.#send = o.send;
  }

  /** Sends a record to the replica's follower with the next flush. */
  add({ number, generation, follower }: Replica, record: ChainRecord): void {
    const addressed = { partition: number, generation, record };
    const pending = this.#pending.get(follower!.node);
    if (pending) pending.push(addressed);
    else this.#pending.set(follower!.node, [addressed]);
  }

  /** Sends everything once more that the follower has not acknowledged. */
  resend(replica: Replica): void {
    if (!replica.follower?.isSent) return;
    for (const record of replica.unacked) this.add(replica, record);
  }

  flush(): void {
    if (this.#pending.size === 0) return;
    for (const [node, records] of this.#pending) {
      for (const each of recordFrames(this.#job, records)) this.#send(node, each);
    }
    this.#pending.clear();
  }
}
