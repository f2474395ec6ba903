/** A second fault, before the first one has been seen to. */
import { describe, expect, it } from "vitest";
import { Cluster, MANIFEST, training } from "./test-coordinator.ts";

describe("a node that lost its replica of a partition", () => {
  it("and was left as the only one that had it fails the jobs that are open", () => {
    const { c, nodes, client } = training({ replicas: 2 });
    c.close(nodes[0]!);
    expect(c.status(client).phase).toBe("training");
    const { generation } = c.map.entries[0]!;
    const broken = { type: "chain-broken", partition: 0, generation: generation - 1, node: 2 } as const;
    c.say(nodes[1]!, { ...broken, message: "its memory is full" });
    expect(c.status(client)).toMatchObject({ phase: "failed" });
    expect(c.status(client).message).toContain("its memory is full");
    expect(c.types(nodes[1]!)).toContain("close-job");
  });
});

describe("a node that is back over another link", () => {
  it("opens a job that it missed by the map that the others opened it by", () => {
    const c = new Cluster({ replicas: 1 });
    c.ps("ps-1");
    const second = c.ps("ps-2");
    const { node } = c.told(second, "ps-joined");
    const client = c.link();
    c.say(client, { type: "submit", manifest: MANIFEST }); // lost with the link, as the map of before may be
    const back = c.ps("ps-2", node);
    expect(c.types(back)).toEqual(["ps-joined", "map", "open-job"]);
  });

  it("opens one that has rows before a map gives it a part of them", () => {
    const { c } = training();
    const late = c.ps("ps-3");
    const { node } = c.told(late, "ps-joined");
    const back = c.ps("ps-3", node);
    expect(c.types(back)).toEqual(["ps-joined", "open-job", "map"]);
  });
});
