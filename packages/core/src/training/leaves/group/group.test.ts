/** A group of a reducer and volunteers: the same sum over data channels, by the leaf links, and after what goes wrong. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { LIMITS } from "../../../limits.ts";
import { SimulatedClock } from "../../../testing/index.ts";
import { copyOfFrame, frame, type ControlOf, type Message } from "../../../wire/index.ts";
import { encodeSignal } from "./channel.ts";
import { GroupLeader, type GroupCall } from "./group-leader.ts";
import { GroupMember } from "./group-member.ts";
import { TestChannels } from "./test-channels.ts";

const JOB = 3;

interface Volunteer {
  readonly member: GroupMember;
  readonly data: Float32Array;
  /** What each round gave it. */
  readonly sums: (Float32Array | undefined)[];
  /** Tasks whose gradients it was told to send instead. */
  readonly plain: number[];
}

interface GroupOptions {
  volunteers: number;
  floats: number;
  /** Those, and the reducer as 0, have no data channels. */
  without?: readonly number[];
  /** Those never bring anything. */
  silent?: readonly number[];
}

/** A reducer and volunteers 1 … n in one process; leaf links deliver in order, when the test lets them. */
class TestGroup {
  readonly clock = new SimulatedClock();
  readonly channels = new TestChannels();
  readonly faults: string[] = [];
  readonly volunteers = new Map<number, Volunteer>();
  readonly leader: GroupLeader;
  /** Frames of rounds that went by leaf links. */
  relayed = 0;
  readonly #links = new Map<string, (() => void)[]>();
  readonly #silent: readonly number[];

  constructor({ volunteers, floats, without = [], silent = [] }: GroupOptions) {
    const onFault = (error: unknown) => this.faults.push(String(error));
    const dialerOf = (member: number) => (without.includes(member) ? undefined : this.channels.dialer());
    this.#silent = silent;
    this.leader = new GroupLeader({
      job: JOB,
      clock: this.clock,
      dialer: dialerOf(0),
      onFault,
      send: (to, message) => this.#deliver(`0 ${to}`, message, (copy) => this.#toVolunteer(to, copy)),
    });
    for (let v = 1; v <= volunteers; v++) {
      const member = new GroupMember({
        job: JOB,
        member: v,
        dialer: dialerOf(v),
        clock: this.clock,
        onFault,
        send: (_, message) => this.#deliver(`${v} 0`, message, (copy) => this.leader.take(v, copy as never)),
      });
      this.volunteers.set(v, { member, data: dataOf(v, floats), sums: [], plain: [] });
      member.signal(0, { kind: "join" });
    }
  }

  /** Calls a round for all volunteers, whose tasks are 100 more than their numbers. */
  call(): GroupCall {
    return this.leader.call(new Map(Array.from(this.volunteers.keys(), (v) => [v, v + 100])))!;
  }

  /** Volunteers open theirs when they hear of a round; this one comes to nothing. */
  async openChannels(): Promise<void> {
    const call = this.call();
    await this.run();
    for (const volunteer of this.volunteers.keys()) call.lose(volunteer);
    await this.run();
  }

  lose(volunteer: number): void {
    this.volunteers.get(volunteer)!.member.close();
    this.volunteers.delete(volunteer);
    this.leader.lose(volunteer);
  }

  /** Lets things arrive until nothing is on its way, or until `stop` says so. */
  async run(o: { pick?: (of: number) => number; stop?: () => boolean } = {}): Promise<void> {
    const { pick = () => 0, stop = () => false } = o;
    for (;;) {
      await settled();
      if (stop()) return;
      const busy = [...this.#links.values()].filter((queue) => queue.length > 0);
      const both = busy.length > 0 && pick(2) === 0;
      if (both || !this.channels.deliver(pick)) {
        if (busy.length === 0) return;
        busy[pick(busy.length)]!.shift()!();
      }
    }
  }

  #deliver(link: string, message: Message, arrive: (copy: Message) => void): void {
    if ("frame" in message) this.relayed++;
    const copy = "frame" in message ? { frame: copyOfFrame(message.frame) } : message;
    const queue = this.#links.get(link) ?? [];
    this.#links.set(link, queue);
    queue.push(() => arrive(copy));
  }

  #toVolunteer(v: number, message: Message): void {
    const volunteer = this.volunteers.get(v);
    if (!volunteer || this.#silent.includes(v)) return;
    if ("frame" in message) return volunteer.member.takeFrame(message.frame);
    const control = message.control as ControlOf<"leaf-signal" | "leaf-group">;
    if (control.type === "leaf-signal") return volunteer.member.takeSignal(control);
    expect(control.task).toBe(v + 100);
    const { round, members } = control;
    if (members.length === 0) {
      volunteer.member.abandon();
      volunteer.plain.push(control.task);
    } else void volunteer.member.sum({ round, members, data: volunteer.data }).then((sum) => volunteer.sums.push(sum));
  }
}

/** Lets promises go on that can: none waits for more than a few others. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 10; turn++) await Promise.resolve();
}

/** Whole numbers, so that any order gives the same sum. */
function dataOf(member: number, floats: number): Float32Array {
  return Float32Array.from({ length: floats }, (_, i) => ((i * 7 + member * 13) % 64) - 31);
}

function sumOf(members: readonly number[], floats: number): Float32Array {
  const sum = new Float32Array(floats);
  for (const member of members) dataOf(member, floats).forEach((value, i) => (sum[i]! += value));
  return sum;
}

describe("a round of a group", () => {
  it.each([
    ["over data channels", [], [0]],
    ["by the leaf links where nobody has channels", [0, 1, 2, 3], [1]],
    ["both ways where one volunteer has none", [2], [1]],
  ])("gives every member the sum of all, %s", async (_, without, relays) => {
    const floats = 100_003;
    const group = new TestGroup({ volunteers: 3, floats, without });
    await group.run();
    await group.openChannels();
    const before = group.relayed;

    const call = group.call();
    const sum = call.sum(dataOf(0, floats));
    await group.run();
    expect(await sum).toEqual({ sum: sumOf([0, 1, 2, 3], floats), volunteers: [1, 2, 3] });
    for (const { sums } of group.volunteers.values()) expect(sums.at(-1)).toEqual(sumOf([0, 1, 2, 3], floats));
    expect(Math.min(1, group.relayed - before)).toBe(relays[0]);
    expect(group.channels.bufferedMax).toBeLessThan(LIMITS.groupBufferedBytesMax + LIMITS.groupChunkBytes);
  });

  it("gives the same sum whatever arrives first", async () => {
    await fc.assert(
      fc.asyncProperty(fc.infiniteStream(fc.nat()), fc.subarray([0, 1, 2]), async (draw, without) => {
        const pick = (of: number) => (draw.next().value as number) % of;
        const group = new TestGroup({ volunteers: 2, floats: 50, without });
        await group.run({ pick });
        const sum = group.call().sum(dataOf(0, 50));
        await group.run({ pick });
        expect((await sum)?.sum).toEqual(sumOf([0, 1, 2], 50));
      }),
      { numRuns: 30 },
    );
  });

  it("is called again, by the leaf links, when its data channels break", async () => {
    const floats = 500_000;
    const group = new TestGroup({ volunteers: 2, floats });
    await group.run();
    await group.openChannels();
    expect(group.channels.open).toBe(6);

    const sum = group.call().sum(dataOf(0, floats));
    await group.run({ stop: () => group.channels.bufferedMax > LIMITS.groupChunkBytes });
    const before = group.relayed;
    group.channels.cut();
    await group.run();
    expect(await sum).toEqual({ sum: sumOf([0, 1, 2], floats), volunteers: [1, 2] });
    expect(group.relayed).toBeGreaterThan(before);
    expect(group.faults.some((fault) => /the network is gone/.test(fault))).toBe(true);
  });

  it("goes on without a volunteer that is lost in it", async () => {
    const floats = 40_000;
    const group = new TestGroup({ volunteers: 3, floats, silent: [2] });
    await group.run();
    const sum = group.call().sum(dataOf(0, floats));
    await group.run();
    group.lose(2);
    await group.run();
    expect(await sum).toEqual({ sum: sumOf([0, 1, 3], floats), volunteers: [1, 3] });
  });

  it("leaves a volunteer out whose task is given up, which stays in the group", async () => {
    const group = new TestGroup({ volunteers: 2, floats: 10, silent: [2] });
    await group.run();
    const call = group.call();
    const sum = call.sum(dataOf(0, 10));
    await group.run();
    call.lose(2);
    await group.run();
    expect(await sum).toEqual({ sum: sumOf([0, 1], 10), volunteers: [1] });
    expect([...group.leader.volunteers]).toEqual([1, 2]);
  });

  it("comes to nothing when the last volunteer is lost, or when it is dissolved", async () => {
    const group = new TestGroup({ volunteers: 1, floats: 10, silent: [1] });
    await group.run();
    const alone = group.call().sum(dataOf(0, 10));
    group.lose(1);
    await group.run();
    expect(await alone).toBeUndefined();
    expect(group.leader.call(new Map([[1, 101]]))).toBeUndefined();

    const other = new TestGroup({ volunteers: 2, floats: 10, silent: [2] });
    await other.run();
    const call = other.call();
    const sum = call.sum(dataOf(0, 10));
    await other.run();
    call.dissolve();
    await other.run();
    expect(await sum).toBeUndefined();
    expect(other.volunteers.get(1)).toMatchObject({ sums: [undefined], plain: [101] });
    expect(other.leader.call(new Map([[1, 101]]))).toBeUndefined();
    await other.clock.advance(LIMITS.groupRestMs);
    expect(other.leader.call(new Map([[1, 101]]))?.volunteers).toEqual([1]);
  });

  it("rests longer after each round in a row that came to nothing, and not after one with a sum", async () => {
    const group = new TestGroup({ volunteers: 1, floats: 10 });
    await group.run();
    let call = group.call();
    const restOf = async () => {
      call.dissolve();
      await group.run();
      for (let rests = 0; ; rests++) {
        const next = group.leader.call(new Map([[1, 101]]));
        if (next) {
          call = next;
          return rests;
        }
        await group.clock.advance(LIMITS.groupRestMs);
      }
    };
    const rests: number[] = [];
    for (let i = 0; i < 8; i++) rests.push(await restOf());
    expect(rests).toEqual([1, 2, 4, 8, 16, 32, 60, 60]);
    const sum = call.sum(dataOf(0, 10));
    await group.run();
    expect((await sum)?.volunteers).toEqual([1]);
    call = group.call();
    expect(await restOf()).toBe(1);
  });

  it("is dissolved when its sum is not finite, so that it shows whose values are not", async () => {
    const group = new TestGroup({ volunteers: 2, floats: 10 });
    await group.run();
    group.volunteers.get(2)!.data[3] = Number.POSITIVE_INFINITY;
    const sum = group.call().sum(dataOf(0, 10));
    await group.run();
    expect(await sum).toBeUndefined();
    expect(group.volunteers.get(1)!.plain).toEqual([101]);
  });

  it("is dissolved after too many rounds that were broken", async () => {
    const group = new TestGroup({ volunteers: 2, floats: 10, silent: [2] });
    await group.run();
    const sum = group.call().sum(dataOf(0, 10));
    for (let round = 1; round <= LIMITS.groupRoundsMax; round++) {
      group.volunteers.get(1)!.member.signal(0, { kind: "broken", round });
      await group.run();
    }
    expect(await sum).toBeUndefined();
    expect(group.volunteers.get(1)!.plain).toEqual([101]);
  });
});

describe("data channels of a group", () => {
  it("that do not open are given up after a while, and tried again after another", async () => {
    const group = new TestGroup({ volunteers: 2, floats: 10, silent: [2] });
    await group.run();
    await group.openChannels();
    expect(group.leader.channels).toEqual([1]);
    await group.clock.advance(LIMITS.groupOpenMs);
    expect(group.faults.filter((fault) => /did not open/.test(fault))).toHaveLength(2);
    await group.openChannels();
    await group.clock.advance(LIMITS.groupOpenMs);
    expect(group.faults).toHaveLength(2);
    await group.clock.advance(LIMITS.groupRestMs);
    await group.openChannels();
    await group.clock.advance(LIMITS.groupOpenMs);
    expect(group.faults.length).toBeGreaterThan(2);
  });

  it("of a volunteer that comes again take the place of the earlier ones", async () => {
    const group = new TestGroup({ volunteers: 2, floats: 10 });
    await group.run();
    group.leader.lose(1);
    const { member } = group.volunteers.get(1)!;
    member.signal(0, { kind: "join" });
    await group.run();
    expect([...group.leader.volunteers]).toEqual([2, 1]);
    const sum = group.call().sum(dataOf(0, 10));
    await group.run();
    expect((await sum)?.sum).toEqual(sumOf([0, 1, 2], 10));
    expect([...group.leader.channels].toSorted((a, b) => a - b)).toEqual([1, 2]);
  });
});

describe("GroupLeader.take()", () => {
  const group = () => new TestGroup({ volunteers: 2, floats: 10 }).leader;
  const signalled = (from: number, data: string) => ({ control: { type: "leaf-signal", from, to: 0, data } }) as const;

  it("refuses what a volunteer says in another's name, and what makes no sense", () => {
    const join = encodeSignal({ kind: "join" });
    expect(() => group().take(1, signalled(2, join))).toThrow("volunteer 1 signs a signal as 2");
    expect(() => group().take(1, signalled(1, "{"))).toThrow("is not JSON");
    expect(() => group().take(1, signalled(1, '{"kind":"dance"}'))).toThrow("a group's signal");
    expect(() => group().take(1, { frame: frame({ opcode: "reduce", generation: 2 }) })).toThrow(
      "came from volunteer 1",
    );
    expect(() => group().take(1, { frame: frame({ opcode: "push", generation: 1 }) })).toThrow("a push frame");
  });

  it("lets no more volunteers in than a group may have, and passes nothing on for others", () => {
    const sent: Message[] = [];
    const leader = new GroupLeader({ job: JOB, clock: new SimulatedClock(), send: (_, message) => sent.push(message) });
    for (let v = 1; v <= LIMITS.groupVolunteersMax + 1; v++) {
      leader.take(v, signalled(v, encodeSignal({ kind: "join" })));
    }
    expect(leader.volunteers.size).toBe(LIMITS.groupVolunteersMax);
    const outside = LIMITS.groupVolunteersMax + 1;
    leader.take(outside, { frame: frame({ opcode: "reduce", generation: outside, term: 1 }) });
    expect(sent.filter((message) => "frame" in message)).toEqual([]);
  });
});
