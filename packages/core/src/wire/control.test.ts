/** What a control message may say: nothing unknown, nothing of another type, nothing that takes the receiver down. */
import { describe, expect, it } from "vitest";
import { ProtocolError } from "../errors.ts";
import { LIMITS } from "../limits.ts";
import { decodeControl, encodeControl, negotiate, PROTOCOL_MAX, PROTOCOL_MIN, versionRefusal } from "./control.ts";

const COMMIT = { type: "commit", job: 1, step: 2, attempt: 3, term: 4, heads: 5 } as const;

function refusalOf(json: string): string {
  let message = "";
  expect(() => {
    try {
      decodeControl(json);
    } catch (error) {
      message = (error as Error).message;
      throw error;
    }
  }).toThrow(ProtocolError);
  return message;
}

describe("decodeControl()", () => {
  it("names an unknown type", () => {
    expect(refusalOf('{"type":"comit"}')).toBe('unknown control message "comit"');
    expect(refusalOf('{"type":"toString"}')).toBe('unknown control message "toString"');
    expect(refusalOf('{"type":"__proto__"}')).toBe('unknown control message "__proto__"');
  });

  it("refuses what is no message at all", () => {
    for (const json of ["", "{", "null", "7", '"commit"', "[]", "{}", '{"type":7}', '{"type":null}']) refusalOf(json);
    expect(refusalOf("{nonsense")).toBe("control message is not JSON: {nonsense");
  });

  it("names an unknown key", () => {
    expect(refusalOf(JSON.stringify({ ...COMMIT, urgent: true }))).toContain("urgent");
    expect(
      refusalOf('{"type":"commit","job":1,"step":2,"attempt":3,"term":4,"heads":5,"__proto__":{"x":1}}'),
    ).toContain("commit");
  });

  it("names a field of the wrong type, and one that is missing", () => {
    expect(refusalOf(JSON.stringify({ ...COMMIT, step: "2" }))).toMatch(/"commit": step /);
    expect(refusalOf(JSON.stringify({ ...COMMIT, term: undefined }))).toMatch(/"commit": term /);
    expect(refusalOf('{"type":"promise","job":1,"term":1,"heads":1,"committed":{"step":1},"whole":true}')).toMatch(
      /committed\.attempt/,
    );
  });

  it("refuses numbers outside 32 bits, and what is no whole number", () => {
    for (const step of [-1, 1.5, 2 ** 32, 1e300])
      expect(refusalOf(JSON.stringify({ ...COMMIT, step }))).toMatch(/"commit": step /);
    refusalOf('{"type":"commit","job":1,"step":1e999,"attempt":3,"term":4,"heads":5}');
  });

  it("refuses more than the limits allow", () => {
    const members = Array.from({ length: LIMITS.workersPerJobMax + 1 }, (_, worker) => worker);
    expect(
      refusalOf(JSON.stringify({ type: "start", job: 1, step: 1, attempt: 1, term: 1, heads: 1, slots: 1, members })),
    ).toMatch(/"start": members /);
    refusalOf(" ".repeat(LIMITS.controlBytesMax + 1));
  });

  it("refuses fields nested so deep that checking them would end the stack", () => {
    const depth = 200_000;
    const field = '{"kind":"hash","of":'.repeat(depth) + "7" + "}".repeat(depth);
    const manifest = `{"name":"x","data":{"format":"parquet","fields":{"f":${field}}}}`;
    expect(refusalOf(`{"type":"submit","manifest":${manifest}}`)).toBe('control message "submit": nested too deeply');
    refusalOf(`{"type":"heartbeat","rows":${"[".repeat(depth)}${"]".repeat(depth)}}`);
  });

  it("lets a hello, welcome and refusal of a later version say more than this one knows", () => {
    const hello = { type: "hello", protocol: { min: 1, max: 9, draft: 2 }, role: "worker", name: "w", region: "eu" };
    expect(decodeControl(JSON.stringify(hello))).toEqual({
      type: "hello",
      protocol: { min: 1, max: 9 },
      role: "worker",
      name: "w",
    });
    decodeControl('{"type":"welcome","protocol":1,"name":"s","motd":"hi"}');
    decodeControl('{"type":"refuse","code":"X","message":"m","retryAfterMs":5}');
  });
});

describe("encodeControl()", () => {
  it("refuses what no receiver would take", () => {
    const message = "x".repeat(LIMITS.controlBytesMax);
    expect(() => encodeControl({ type: "error", code: "JOB_FAILED", message })).toThrow(
      /cannot send control message "error"/,
    );
  });
});

describe("negotiate()", () => {
  it("takes the highest version both speak", () => {
    expect(negotiate({ min: PROTOCOL_MIN, max: PROTOCOL_MAX })).toBe(PROTOCOL_MAX);
    expect(negotiate({ min: 0, max: PROTOCOL_MAX + 5 })).toBe(PROTOCOL_MAX);
  });

  it("finds none where the ranges do not meet", () => {
    expect(negotiate({ min: PROTOCOL_MAX + 1, max: PROTOCOL_MAX + 9 })).toBeUndefined();
    expect(negotiate({ min: 0, max: PROTOCOL_MIN - 1 })).toBeUndefined();
    expect(negotiate({ min: PROTOCOL_MAX, max: PROTOCOL_MIN - 1 })).toBeUndefined();
  });
});

describe("versionRefusal()", () => {
  it("names both ranges and who should upgrade", () => {
    const newer = versionRefusal({ min: PROTOCOL_MAX + 1, max: PROTOCOL_MAX + 1, name: "worker w1" });
    expect(newer).toMatchObject({ type: "refuse", code: "PROTOCOL_VERSION" });
    expect(newer.message).toBe(
      `worker w1 speaks protocol ${PROTOCOL_MAX + 1}, this side ${PROTOCOL_MAX}; upgrade this side so that both run the same Volary release`,
    );
    const older = versionRefusal({ min: 0, max: 0, name: "worker w1" });
    expect(older.message).toContain("upgrade worker w1");
  });
});
