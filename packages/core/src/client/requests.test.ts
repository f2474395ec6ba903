/** Requests and their replies: in parts, by name, refused and lost. */
import { describe, expect, it } from "vitest";
import { ProtocolError } from "../errors.ts";
import { LIMITS } from "../limits.ts";
import { frame, OPCODES, type Frame, type Link } from "../wire/index.ts";
import { PulledRows } from "./pulled-rows.ts";
import { Requests } from "./requests.ts";

const N = LIMITS.keyListKeysMin;
const SECTIONS = {
  tables: Uint32Array.of(1),
  partitions: Uint32Array.of(0),
  generations: Uint32Array.of(1),
  counts: Uint32Array.of(N),
  keys: Uint32Array.from({ length: 2 * N }, (_, i) => (i % 2 === 0 ? i : 0)),
};

function linkTo(sent: Frame[]): Link {
  return { name: "ps-1", sendControl() {}, close() {}, listen() {}, sendFrame: (f) => void sent.push(f) };
}

function rowsOf(floats: number): PulledRows {
  return new PulledRows({ rows: new Float32Array(floats), counts: Uint32Array.of(floats), dims: Uint32Array.of(1) });
}

describe("Requests", () => {
  it("resolves with the last part, when all rows are there", async () => {
    const sent: Frame[] = [];
    const requests = new Requests();
    const rows = rowsOf(3);
    const reply = requests.ask(linkTo(sent), frame({ opcode: "pull" }), rows);
    const { requestId } = sent[0]!;
    const first = frame({ opcode: "pullReply", requestId, partial: true, values: Float32Array.of(1, 2) });
    expect(requests.takeFrame(first)).toBe(true);
    requests.takeFrame(frame({ opcode: "pullReply", requestId, cursor: 2, values: Float32Array.of(3) }));
    expect(await reply).toMatchObject({ cursor: 2, partial: false });
    expect([...rows.rows]).toEqual([1, 2, 3]);
    expect(requests.takeFrame(first)).toBe(false);
  });

  it("sends the keys again whole where the node has forgotten their name", async () => {
    const sent: Frame[] = [];
    const link = linkTo(sent);
    const requests = new Requests();
    const answer = (f: Frame) => requests.takeFrame(frame({ opcode: "setReply", requestId: f.requestId }));
    const whole = requests.ask(link, frame({ opcode: "set", ...SECTIONS, values: new Float32Array(N) }));
    answer(sent[0]!);
    await whole;
    const named = requests.ask(link, frame({ opcode: "set", ...SECTIONS, values: new Float32Array(N).fill(2) }));
    const { requestId, keyList } = sent[1]!;
    expect([keyList.length, sent[1]!.keys.length]).toEqual([16, 0]);
    requests.takeFrame(frame({ opcode: "unknownKeys", requestId, cursor: OPCODES.set, keyList }));
    expect(sent[2]).toMatchObject({ requestId, keyList, keys: SECTIONS.keys, values: new Float32Array(N).fill(2) });
    answer(sent[2]!);
    expect((await named).opcode).toBe("setReply");
    expect(sent).toHaveLength(3);
  });

  it("does not go on with a node that does not know what it was sent whole", () => {
    const sent: Frame[] = [];
    const requests = new Requests();
    void requests.ask(linkTo(sent), frame({ opcode: "pull", ...SECTIONS }));
    const { requestId, keyList } = sent[0]!;
    expect(() => requests.takeFrame(frame({ opcode: "unknownKeys", requestId, keyList }))).toThrow(ProtocolError);
  });

  it("names nothing that another link was sent", () => {
    const sent: Frame[] = [];
    const requests = new Requests();
    for (const link of [linkTo(sent), linkTo(sent)]) void requests.ask(link, frame({ opcode: "pull", ...SECTIONS }));
    expect(sent.map(({ keys }) => keys.length)).toEqual([2 * N, 2 * N]);
  });

  it("rejects what a link that closed still owes, and what is asked of it later", async () => {
    const requests = new Requests();
    const link = linkTo([]);
    const before = requests.ask(link, frame({ opcode: "pull" }));
    requests.failLink(link, "it broke");
    await expect(before).rejects.toMatchObject({ code: "PARTITION_UNAVAILABLE", message: "ps-1 is gone: it broke" });
    await expect(requests.ask(link, frame({ opcode: "pull" }))).rejects.toMatchObject({
      code: "PARTITION_UNAVAILABLE",
    });
  });
});
