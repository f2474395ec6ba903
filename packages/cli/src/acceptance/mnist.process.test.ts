/** A plain tfjs model without embeddings: its gradients are all-reduced, and the trained model runs in plain tfjs. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import * as tf from "@tensorflow/tfjs";
import { expect, test } from "vitest";
import { Cluster } from "../cluster/cluster.ts";
import { predictFile } from "../saved-model/predict-file.ts";
import { loadModel } from "../saved-model/saved-model.ts";
import { dataSet } from "./data-set.ts";

const digits = dataSet("mnist-10k");
const ROWS = 10_000;
const HELD_OUT = 1_000;
const PIXELS = 28 * 28;

/** Where a row's pixels lie. */
const pixelsOf = (row: number): [from: number, to: number] => [row * PIXELS, (row + 1) * PIXELS];

/** The digits lie by class in their files; here every tenth row is of one class. */
function mixedDigits(): { x: Float32Array; y: Int32Array } {
  const images = digits.bytes("images.idx3-ubyte.gz").subarray(16);
  const labels = digits.bytes("labels.idx1-ubyte.gz").subarray(8);
  const x = new Float32Array(ROWS * PIXELS);
  const y = new Int32Array(ROWS);
  for (let row = 0; row < ROWS; row++) {
    // 7,919 is a prime that does not divide the rows, so this is a permutation.
    const from = (row * 7_919) % ROWS;
    y[row] = labels[from]!;
    for (let i = 0; i < PIXELS; i++) x[row * PIXELS + i] = images[from * PIXELS + i]! / 255;
  }
  return { x, y };
}

test.skipIf(digits.isAbsent)(
  `a convolutional model of tfjs trains on a cluster by the data it would be fitted to ${digits.needs}`,
  async () => {
    const { x, y } = mixedDigits();
    const [xs, ys] = [tf.tensor4d(x, [ROWS, 28, 28, 1]), tf.tensor1d(y, "int32")];
    const kernelInitializer = tf.initializers.glorotNormal({ seed: 1 });
    const activation = "relu";
    const convolution = { filters: 6, kernelSize: 5, strides: 2, activation, kernelInitializer } as const;
    const model = tf.sequential({
      layers: [
        tf.layers.conv2d({ inputShape: [28, 28, 1], ...convolution }),
        tf.layers.maxPooling2d({ poolSize: 2 }),
        tf.layers.flatten(),
        tf.layers.dense({ units: 32, activation, kernelInitializer }),
        tf.layers.dense({ units: 10, activation: "softmax", kernelInitializer }),
      ],
    });
    model.compile({ optimizer: tf.train.adam(0.01), loss: "sparseCategoricalCrossentropy", metrics: ["accuracy"] });
    const cluster = await Cluster.local({ ps: 1, workers: 2, device: "wasm" });
    try {
      const run = await cluster.fit(
        model,
        { x: xs, y: ys },
        { epochs: 1, batchSize: 64, validationSplit: HELD_OUT / ROWS },
      );
      // Seen in five runs: .90 to .94.
      expect(run.metrics["accuracy"]).toBeGreaterThan(0.85);
      expect(run.status.testRows).toBe(HELD_OUT);

      const held = xs.slice(ROWS - HELD_OUT);
      const trained = await run.model();
      const theirs = trained.predict(held) as tf.Tensor;
      const { values, shape } = await run.predict(held, { device: "cpu" });
      expect(shape).toEqual([HELD_OUT, 10]);
      const [scores, classes] = [await theirs.data(), await theirs.argMax(-1).data()];
      values.forEach((value, i) => expect(Math.abs(value - scores[i]!)).toBeLessThan(1e-5));
      const right = classes.filter((digit, i) => digit === y[ROWS - HELD_OUT + i]).length;
      // The workers' device may round another way, so a digit in doubt may fall on either side.
      expect(Math.abs(run.metrics["accuracy"]! * HELD_OUT - right)).toBeLessThan(1.5);
      const folder = await mkdtemp(path.join(tmpdir(), "volary-digits-"));
      await run.save(folder);
      const name = model.inputs[0]!.sourceLayer.name;
      const few = Array.from({ length: 20 }, (_, row) =>
        JSON.stringify({ [name]: [...x.subarray(...pixelsOf(ROWS - HELD_OUT + row))] }),
      );
      await writeFile(path.join(folder, "few.jsonl"), few.join("\n"));
      const saved = await loadModel(folder);
      const file = await predictFile({ saved, file: path.join(folder, "few.jsonl"), rows: 5, device: "cpu" });
      expect(file).toEqual({
        predictions: values.slice(0, 50),
        badRows: { count: 0, first: [] },
        outputs: 10,
        rowsInFile: 20,
      });
      await rm(folder, { recursive: true });
      run.close();
      tf.dispose([xs, ys, held, theirs]);
      trained.dispose();
    } finally {
      await cluster.stop();
      model.dispose();
    }
  },
);
