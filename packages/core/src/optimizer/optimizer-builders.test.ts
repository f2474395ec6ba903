import { describe, expect, test } from "vitest";
import {
  adagrad,
  adam,
  adamw,
  ftrl,
  momentum,
  optimizerOf,
  optimizerSpecFrom,
  optimizerSpecSchema,
  rowwiseAdagrad,
  sgd,
  type OptimizerSpec,
} from "./index.ts";

describe("bad numbers", () => {
  test("a negative learning rate is refused with the value, the limit and a remedy", () => {
    expect(() => sgd({ learningRate: -1 })).toThrow(
      new RangeError(
        "sgd: learningRate is -1 and must be a finite float32 number of at least 0; 0.01 is a usual value",
      ),
    );
  });

  const refused: [string, () => OptimizerSpec, RegExp][] = [
    ["a NaN learning rate", () => adam({ learningRate: NaN }), /adam: learningRate is NaN/],
    ["a learning rate beyond float32", () => sgd({ learningRate: 1e39 }), /sgd: learningRate is 1e\+39/],
    ["a momentum of 1", () => momentum({ momentum: 1 }), /momentum: momentum is 1 and must be .* below 1; 0.9/],
    ["a beta that is 1 in float32", () => adam({ beta2: 0.99999999 }), /adam: beta2 is 0.99999999 .* in float32/],
    ["an Adam without epsilon", () => adam({ epsilon: 0 }), /adam: epsilon is 0 and must be .* above 0; 1e-7/],
    ["an FTRL that does not learn", () => ftrl({ learningRate: 0 }), /ftrl: learningRate is 0/],
    ["a negative weight decay", () => adamw({ weightDecay: -1 }), /adamw: weightDecay is -1/],
    ["a negative l1", () => ftrl({ l1: -0.1 }), /ftrl: l1 is -0.1/],
    ["an Adagrad that may divide 0 by 0", () => adagrad({ initialAccumulator: 0, epsilon: 0 }), /would give NaN; set/],
    ["a row-wise Adagrad that may divide 0 by 0", () => rowwiseAdagrad({ epsilon: 0 }), /would give NaN; set/],
  ];
  test.each(refused)("%s is refused", (_, build, message) => {
    expect(build).toThrow(RangeError);
    expect(build).toThrow(message);
  });

  test("optimizerOf() and optimizerSpecFrom() refuse what the builders refuse", () => {
    const spec: OptimizerSpec = { kind: "sgd", learningRate: -1 };
    expect(() => optimizerOf(spec)).toThrow(/sgd: learningRate is -1/);
    expect(() => optimizerSpecFrom(spec)).toThrow(/sgd: learningRate is -1/);
  });
});

test("an option that does not exist is refused, naming those that do", () => {
  const misspelt: object = { lr: 0.1 };
  expect(() => adagrad(misspelt)).toThrow(
    new TypeError('adagrad has no option "lr": it takes learningRate, initialAccumulator, epsilon'),
  );
});

test("an unknown name is refused, naming those that exist", () => {
  expect(() => optimizerSpecFrom("rmsprop")).toThrow(
    new RangeError(
      'unknown optimizer "rmsprop": use one of sgd, momentum, adagrad, rowwise-adagrad, adam, adamw, ftrl',
    ),
  );
});

test("names have the learning rates of tfjs compile and may be capitalised", () => {
  expect(optimizerSpecFrom("adam")).toEqual(adam({ learningRate: 0.001 }));
  expect(optimizerSpecFrom("SGD")).toEqual(sgd({ learningRate: 0.01 }));
  expect(optimizerSpecFrom("Adagrad")).toEqual(adagrad({ learningRate: 0.01, initialAccumulator: 0.1, epsilon: 1e-7 }));
});

test("a spec is taken as it is", () => {
  const spec = adagrad({ learningRate: 0.05 });
  expect(optimizerSpecFrom(spec)).toBe(spec);
});

test("what builders give passes the schema of the wire", () => {
  for (const spec of [
    sgd(),
    momentum({ nesterov: true }),
    adagrad(),
    rowwiseAdagrad(),
    adam(),
    adamw(),
    ftrl({ l1: 1 }),
  ]) {
    expect(optimizerSpecSchema.parse(spec)).toEqual(spec);
  }
});
