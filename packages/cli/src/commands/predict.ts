/** `volary predict`: a saved model's predictions for the rows of a file. */
import type { DeviceName } from "@volary/node-worker";
import { Command } from "commander";
import { grouped } from "../screen/figures.ts";
import { deviceOption, example, pluginOption, rowsOf } from "../options.ts";
import { loadPlugins } from "../plugin-file.ts";
import { loadModel } from "../saved-model/saved-model.ts";
import { textTable } from "../screen/text-table.ts";

interface Options {
  data: string;
  rows: number;
  device: DeviceName | "auto";
  plugin?: string[];
  json?: true;
}

export function predictCommand(): Command {
  return new Command("predict")
    .description("predict the rows of a file with a saved model")
    .argument("<model-folder>", "folder that `volary train` saved a model to")
    .requiredOption("--data <file>", "Parquet file with the columns the model reads")
    .option("--rows <count>", 'predict this many rows from the first, or "all"', rowsOf, 10)
    .addOption(deviceOption())
    .addOption(pluginOption("the training function or layers of the model"))
    .option("--json", "print one JSON object")
    .addHelpText("after", example("volary predict runs/flights --data flights.parquet --rows 5"))
    .action(run);
}

async function run(folder: string, { data, rows, device, plugin = [], json }: Options): Promise<void> {
  const saved = await loadModel(folder);
  const { predictFile } = await import("../saved-model/predict-file.ts");
  const { predictions, outputs, rowsInFile } = await predictFile({
    saved,
    file: data,
    rows,
    plugins: await loadPlugins(plugin),
    ...(device === "auto" ? {} : { device }),
  });
  if (json) {
    const { name } = saved.manifest;
    console.log(
      JSON.stringify({ model: folder, job: name, data, rowsInFile, predictions: byRow(predictions, outputs) }),
    );
    return;
  }
  console.log(
    textTable(
      ["ROW", "PREDICTION"],
      byRow(predictions, outputs).map((values, row) => [
        row,
        [values]
          .flat()
          .map((value) => value.toFixed(4))
          .join(" "),
      ]),
    ),
  );
  const left = rowsInFile - predictions.length / outputs;
  if (left > 0) console.error(`${grouped(left)} more rows in ${data}; --rows all predicts them`);
}

/** One number a row, or a list of them where the model gives several. */
function byRow(values: Float32Array, outputs: number): number[] | number[][] {
  if (outputs === 1) return [...values];
  return Array.from({ length: values.length / outputs }, (_, row) => [
    ...values.subarray(row * outputs, (row + 1) * outputs),
  ]);
}
