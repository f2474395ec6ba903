/** `volary predict`: a saved model's predictions for the rows of a file. */
import type { DeviceName } from "@volary/node-worker";
import { Command } from "commander";
import { grouped } from "../screen/figures.ts";
import { deviceOption, example, rowsOf } from "../options.ts";
import { loadModel } from "../saved-model/saved-model.ts";
import { textTable } from "../screen/text-table.ts";

interface Options {
  data: string;
  rows: number;
  device: DeviceName | "auto";
  json?: true;
}

export function predictCommand(): Command {
  return new Command("predict")
    .description("predict the rows of a file with a saved model")
    .argument("<model-folder>", "folder that `volary train` saved a model to")
    .requiredOption("--data <file>", "Parquet file with the columns the model reads")
    .option("--rows <count>", 'predict this many rows from the first, or "all"', rowsOf, 10)
    .addOption(deviceOption())
    .option("--json", "print one JSON object")
    .addHelpText("after", example("volary predict runs/flights --data flights.parquet --rows 5"))
    .action(run);
}

async function run(folder: string, { data, rows, device, json }: Options): Promise<void> {
  const saved = await loadModel(folder);
  const { predictFile } = await import("../saved-model/predict-file.ts");
  const { predictions, rowsInFile } = await predictFile({
    saved,
    file: data,
    rows,
    ...(device === "auto" ? {} : { device }),
  });
  if (json) {
    const { name } = saved.manifest;
    console.log(JSON.stringify({ model: folder, job: name, data, rowsInFile, predictions: [...predictions] }));
    return;
  }
  console.log(
    textTable(
      ["ROW", "PREDICTION"],
      Array.from(predictions, (value, row) => [row, value.toFixed(4)]),
    ),
  );
  const left = rowsInFile - predictions.length;
  if (left > 0) console.error(`${grouped(left)} more rows in ${data}; --rows all predicts them`);
}
