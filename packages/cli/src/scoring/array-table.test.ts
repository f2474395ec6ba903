import { describe, expect, test } from "vitest";
import {
  arraysOf,
  arrayTable,
  LABEL_COLUMN,
  tableRows,
  WEIGHT_COLUMN,
  type ArrayData,
  type TensorLike,
} from "./array-table.ts";

const tensor = (shape: number[], values: number[], dtype = "float32"): TensorLike & { disposed?: boolean } => ({
  shape,
  dtype,
  data: async () => (dtype === "int32" ? Int32Array.from(values) : Float32Array.from(values)),
  dispose() {
    this.disposed = true;
  },
});

describe("arrayTable()", () => {
  test("refuses what does not fit, naming the array", async () => {
    for (const data of [
      [1, 2],
      [
        [1, 2],
        [0, 1],
      ],
      {},
    ])
      await expect(arrayTable(data as unknown as ArrayData, ["a"])).rejects.toThrow("give arrays as { x, y }");
    await expect(arrayTable({ x: { a: [1] } }, ["a", "b"])).rejects.toThrow(
      `x has no values for the model's input "b"; it has "a"`,
    );
    await expect(arrayTable({ x: [1, 2] }, ["a", "b"])).rejects.toThrow(
      "the model has 2 inputs; give x by their names, as { a: …, b: … }",
    );
    await expect(arrayTable({ x: [1, 2], sampleWeight: [1] }, ["a"])).rejects.toThrow(
      `sampleWeight has 1 rows and x["a"] 2; they must agree`,
    );
    await expect(arrayTable({ x: tensor([], [1]) }, ["a"])).rejects.toThrow("is a scalar");
    await expect(arrayTable({ x: [] }, ["a"])).rejects.toThrow("the data has no rows");
    await expect(arrayTable({ x: [2 ** 60] }, ["a"])).rejects.toThrow(/bigint/);
  });

  test("refuses strings for labels and weights, saying where they can be labels", async () => {
    await expect(arrayTable({ x: [1, 2], y: ["yes", "no"] }, ["a"])).rejects.toThrow(
      'y holds strings (the first is "yes"): give numbers, as 0 and 1 or the numbers of classes; a source, as csv(…), makes them of strings with label: equals("y", "yes") or classes("y", ["a", "b"])',
    );
    await expect(arrayTable({ x: [1, 2], y: [0, 1], sampleWeight: ["1", "2"] }, ["a"])).rejects.toThrow(
      'sampleWeight holds strings (the first is "1"): give numbers',
    );
  });

  test("makes a column of each array; lists of one are their element", async () => {
    const table = await arrayTable(
      {
        x: { id: [7n, 8n], name: ["a", "b"], one: [[1], [2]], tags: [["x"], []] },
        y: [
          [0, 1],
          [1, 0],
        ],
        sampleWeight: [1, 2],
      },
      ["id"],
    );
    expect(table.rows).toBe(2);
    expect([...table.columns].map(([name, { kind }]) => [name, kind])).toEqual([
      ["id", "int64"],
      ["name", "string"],
      ["one", expect.stringMatching(/number|int64/)],
      ["tags", "list"],
      [LABEL_COLUMN, "list"],
      [WEIGHT_COLUMN, expect.stringMatching(/number|int64/)],
    ]);
  });

  test("takes tensors of any shape, the first axis being the row", async () => {
    const { columns } = await arrayTable(
      { x: { image: tensor([2, 2, 2], [1, 2, 3, 4, 5, 6, 7, 8]), n: tensor([2, 1], [3, 4]) } },
      ["image"],
    );
    expect(columns.get("image")).toMatchObject({ kind: "list", offsets: Uint32Array.of(0, 4, 8) });
    expect(columns.get("n")).toMatchObject({ values: expect.objectContaining({ length: 2 }) });
  });
});

test("tableRows() cuts every kind of column", async () => {
  const table = await arrayTable({ x: { a: [1.5, 2.5, 3.5], s: ["x", "y", "z"], l: [[1], [2, 3], [4]] } }, []);
  const { rows, columns } = tableRows(table, 1, 3);
  expect(rows).toBe(2);
  expect(columns.get("a")).toMatchObject({ values: Float64Array.of(2.5, 3.5) });
  expect(columns.get("s")).toMatchObject({ codes: Uint32Array.of(1, 2) });
  expect(columns.get("l")).toMatchObject({ offsets: Uint32Array.of(0, 2, 3) });
});

describe("arraysOf()", () => {
  const datasetOf = (values: unknown[]) => ({
    iterator: async () => {
      const rest = [...values];
      return { next: async () => ({ done: rest.length === 0, value: rest.shift() }) };
    },
  });

  test("joins the batches of a tf.data data set, and disposes them", async () => {
    const batches = [
      { xs: tensor([2, 2], [1, 2, 3, 4]), ys: tensor([2], [0, 1], "int32") },
      { xs: tensor([1, 2], [5, 6]), ys: tensor([1], [2], "int32") },
    ];
    const table = await arrayTable(await arraysOf(datasetOf(batches), ["x"]), ["x"]);
    expect(table.rows).toBe(3);
    expect(table.columns.get("x")).toMatchObject({ kind: "list", offsets: Uint32Array.of(0, 2, 4, 6) });
    expect(batches.every(({ xs, ys }) => xs.disposed && ys.disposed)).toBe(true);
  });

  test("refuses other elements, saying what to do", async () => {
    await expect(arraysOf(datasetOf([7]), ["x"])).rejects.toThrow("gives no { xs, ys }; map it to them, and batch it");
    await expect(arraysOf(datasetOf([{ xs: tensor([], [1]), ys: tensor([], [1]) }]), ["x"])).rejects.toThrow(
      "batch the data set",
    );
    await expect(arraysOf(datasetOf([]), ["x"])).rejects.toThrow("is empty");
  });
});
