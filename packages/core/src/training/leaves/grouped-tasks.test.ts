/** Steps whose dense gradients a group sums: what comes of them is what the reducer alone computes, whatever happens. */
import { describe, expect, it } from "vitest";
import type { Link } from "../../wire/index.ts";
import { LeafBench, type Tamper, type Volunteer } from "./test-leaves.ts";
import { TestChannels } from "./group/test-channels.ts";

interface Member {
  readonly volunteer: Volunteer;
  /** Frames that it sent, by opcode. */
  readonly frames: Map<string, number>;
}

class GroupBench {
  readonly channels: TestChannels = new TestChannels({ later: (deliver) => this.bench.clock.after(1, deliver) });
  readonly bench: LeafBench;

  constructor({ groups = true, withChannels = true }: { groups?: boolean; withChannels?: boolean } = {}) {
    const dialer = withChannels ? this.channels.dialer() : undefined;
    this.bench = new LeafBench({ groups: groups ? { dialer } : undefined });
  }

  async join(
    volunteer: number,
    o: { inGroup?: boolean; withChannels?: boolean; msPerSample?: number; tamper?: Tamper } = {},
  ): Promise<Member> {
    const { inGroup = true, withChannels = true, tamper = (link) => link, ...rest } = o;
    const frames = new Map<string, number>();
    const counted = (link: Link): Link => ({
      ...bound(tamper(link)),
      sendFrame: (f, onSent) => {
        frames.set(f.opcode, (frames.get(f.opcode) ?? 0) + 1);
        tamper(link).sendFrame(f, onSent);
      },
    });
    const dialer = withChannels ? this.channels.dialer() : undefined;
    const group = inGroup ? { job: 1, volunteer, dialer } : undefined;
    const onTried = (): void => frames.clear();
    return { volunteer: await this.bench.join(volunteer, { ...rest, group, tamper: counted, onTried }), frames };
  }

  /** Steps that come out as the reducer alone computes them, bit for bit. */
  async steps(count: number): Promise<void> {
    for (let step = 0; step < count; step++) {
      const { got, want } = await this.bench.step();
      expect(got).toEqual(want);
      await this.bench.clock.advance(50);
    }
  }
}

function bound(link: Link): Link {
  return {
    name: link.name,
    sendControl: (control) => link.sendControl(control),
    sendFrame: (f, onSent) => link.sendFrame(f, onSent),
    close: (reason) => link.close(reason),
    listen: (events) => link.listen(events),
  };
}

/** Its device gives dense gradients that are no numbers. */
function breakDevice({ model }: Volunteer): void {
  const step = model.step.bind(model);
  model.step = async (at) => {
    const gradients = await step(at);
    return { ...gradients, denseGrads: gradients.denseGrads.map(() => Number.NaN) };
  };
}

describe("a reducer and its group", () => {
  it("sum over data channels what volunteers then do not send", async () => {
    const group = new GroupBench();
    const members = [await group.join(1), await group.join(2)];
    await group.steps(3);
    for (const { frames } of members) frames.clear();
    await group.steps(3);
    expect(group.channels.open).toBe(6);
    for (const { volunteer, frames } of members) {
      expect([...frames]).toEqual([["leafRowGradients", 3]]);
      expect(volunteer.accepted).toHaveLength(5); // those of the newest step when the next one begins
      expect(volunteer.refused).toEqual([]);
    }
  });

  it("do the same by the leaf links where there are no data channels", async () => {
    const group = new GroupBench({ withChannels: false });
    const { frames, volunteer } = await group.join(1);
    await group.join(2, { withChannels: false });
    await group.steps(4);
    expect(frames.get("reduce")).toBeGreaterThan(0);
    expect(frames.get("leafDenseGradients")).toBeUndefined();
    expect(volunteer.accepted).toHaveLength(3);
  });

  it("train with volunteers that are in no group beside them", async () => {
    const group = new GroupBench();
    const inside = await group.join(1);
    const outside = await group.join(2, { inGroup: false });
    await group.steps(4);
    expect(inside.frames.get("leafDenseGradients")).toBeUndefined();
    expect(outside.frames.get("leafDenseGradients")).toBe(4);
    expect([inside, outside].map(({ volunteer }) => volunteer.accepted.length)).toEqual([3, 3]);
  });

  it("come to an end where a volunteer wants a group and the reducer has none", async () => {
    const group = new GroupBench({ groups: false });
    const { volunteer, frames } = await group.join(1);
    await group.steps(4);
    expect(frames.get("leafDenseGradients")).toBe(4);
    expect(volunteer.accepted).toHaveLength(3);
  });

  it("go on by the leaf links when the data channels break in a round", async () => {
    const group = new GroupBench();
    const members = [await group.join(1), await group.join(2)];
    await group.steps(2);
    const step = group.bench.step();
    group.bench.clock.after(5, () => group.channels.cut());
    const { got, want } = await step;
    expect(got).toEqual(want);
    expect(group.channels.open).toBe(0);
    await group.steps(2);
    for (const { volunteer, frames } of members) {
      expect(frames.get("reduce")).toBeGreaterThan(0);
      expect(volunteer.refused).toEqual([]);
      expect(volunteer.accepted).toHaveLength(4);
    }
  });

  it("do without a volunteer that is lost in a step, or that never comes to an end", async () => {
    const group = new GroupBench();
    const [slow, lost, other] = [await group.join(1, { msPerSample: 0.2 }), await group.join(2), await group.join(3)];
    await group.steps(4);
    const step = group.bench.step();
    group.bench.clock.after(3, () => lost.volunteer.session.stop());
    slow.volunteer.model.step = () => new Promise(() => {});
    const { got, want, ms } = await step;
    expect(got).toEqual(want);
    expect(ms).toBeLessThan(1_000);
    await group.steps(3);
    expect(other.volunteer.accepted.length).toBeGreaterThanOrEqual(6);
  });

  it("give up a round whose messages are lost without a word, and take what volunteers send by themselves", async () => {
    const group = new GroupBench();
    const members = [await group.join(1), await group.join(2)];
    await group.steps(5);
    group.channels.mute();
    const { got, want, ms } = await group.bench.step();
    expect(got).toEqual(want);
    expect(ms).toBeLessThan(1_000);
    await group.bench.clock.advance(50);
    await group.steps(1);
    for (const { volunteer, frames } of members) {
      expect(frames.get("leafDenseGradients")).toBe(2);
      expect(volunteer.refused).toEqual([]);
      expect(volunteer.accepted).toHaveLength(6);
    }
  });

  it("find out whose gradients are not finite, and count those of the others", async () => {
    const group = new GroupBench();
    const [bad, good] = [await group.join(1), await group.join(2)];
    breakDevice(bad.volunteer);
    await group.steps(3);
    expect(new Set(bad.volunteer.refused.map(({ code }) => code))).toEqual(new Set(["UPDATE_NOT_FINITE"]));
    expect(bad.volunteer.accepted).toEqual([]);
    expect(good.volunteer.refused).toEqual([]);
    expect(good.volunteer.accepted).toHaveLength(2);
  });
});
