/** `volary predict`: a saved model's predictions for the rows of a file. */
import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { grouped, plural } from "@volary/core/figures";
import type { DeviceName } from "@volary/node-worker";
import { Command } from "commander";
import { deviceOption, example, pluginOption, badRowsOf, rowsOf } from "../options.ts";
import { loadPlugins } from "../plugin-file.ts";
import { loadModel } from "../saved-model/saved-model.ts";
import { textTable } from "../screen/text-table.ts";
import { messageOf, UserError } from "../user-error.ts";

const ROWS_SHOWN = 10;

interface Options {
  data: string;
  rows?: number;
  out?: string;
  badRowsMax: number;
  device: DeviceName | "auto";
  plugin?: string[];
  json?: true;
}

export function predictCommand(): Command {
  return new Command("predict")
    .description("predict the rows of a file with a saved model")
    .argument("<model-folder>", "folder that `volary train` saved a model to")
    .requiredOption("--data <file>", "file with the columns the model reads, in the format it was trained on")
    .option(
      "--rows <count>",
      `predict this many rows from the first, or "all" (default: ${ROWS_SHOWN}; all with --out)`,
      rowsOf,
    )
    .option("--out <file>", "write the predictions to this CSV file, a row for each row of the data")
    .option(
      "--bad-rows-max <count>",
      "rows that may lack a value or be broken; their predictions are left empty (null in JSON)",
      badRowsOf,
      0,
    )
    .addOption(deviceOption())
    .addOption(pluginOption("the training function or layers of the model"))
    .option("--json", "print one JSON object")
    .addHelpText(
      "after",
      example(
        "volary predict runs/flights --data flights.parquet --rows 5",
        "volary predict my/model --data new.csv --out predictions.csv",
      ),
    )
    .action(run);
}

async function run(folder: string, { data, rows, out, badRowsMax, device, plugin = [], json }: Options): Promise<void> {
  const saved = await loadModel(folder);
  if (out !== undefined) await mkdir(path.dirname(out), { recursive: true }).catch((cause) => cannotWrite(out, cause));
  const { predictFile } = await import("../saved-model/predict-file.ts");
  const { predictions, outputs, rowsInFile, badRows } = await predictFile({
    saved,
    file: data,
    rows: rows ?? (out === undefined ? ROWS_SHOWN : Infinity),
    badRowsMax,
    plugins: await loadPlugins(plugin),
    ...(device === "auto" ? {} : { device }),
  });
  const predicted = predictions.length / outputs;
  if (out !== undefined) await writeFile(out, csvText(predictions, outputs)).catch((cause) => cannotWrite(out, cause));
  if (json) {
    const { name } = saved.manifest;
    const values = out === undefined ? { predictions: byRow(predictions, outputs) } : { out, rows: predicted };
    console.log(JSON.stringify({ model: folder, job: name, data, rowsInFile, badRows: badRows.count, ...values }));
    return;
  }
  if (out === undefined) console.log(tableText(predictions, outputs));
  else console.log(`${out}: the predictions of ${plural(predicted, "row")}`);
  const [bad] = badRows.first;
  if (bad !== undefined)
    console.error(`${plural(badRows.count, "row")} of ${data} without a prediction, as ${bad.place}: ${bad.fault}`);
  const left = rowsInFile - predicted;
  if (left > 0) console.error(`${grouped(left)} more rows in ${data}; --rows all predicts them`);
}

function cannotWrite(out: string, cause: unknown): never {
  throw new UserError(`cannot write the predictions to ${out}: ${messageOf(cause)}`, { cause });
}

function tableText(values: Float32Array, outputs: number): string {
  const rows = byRow(values, outputs).map((row) =>
    [row].flat().map((value) => (Number.isNaN(value) ? "" : value.toFixed(4))),
  );
  return textTable(
    ["ROW", "PREDICTION"],
    rows.map((row, i) => [i, row.join(" ")]),
  );
}

/** With a header: the row's number, from 0 as on the screen, and what the model gives, in float32's digits; nothing for a bad row. */
function csvText(values: Float32Array, outputs: number): string {
  const names = outputs === 1 ? ["prediction"] : Array.from({ length: outputs }, (_, i) => `prediction_${i}`);
  const rows = byRow(values, outputs).map((row) =>
    [row].flat().map((value) => (Number.isNaN(value) ? "" : Number(value.toPrecision(8)))),
  );
  return [["row", ...names], ...rows.map((row, i) => [i, ...row])].map((line) => `${line.join(",")}\n`).join("");
}

/** One number a row, or a list of them where the model gives several. */
function byRow(values: Float32Array, outputs: number): number[] | number[][] {
  if (outputs === 1) return [...values];
  return Array.from({ length: values.length / outputs }, (_, row) => [
    ...values.subarray(row * outputs, (row + 1) * outputs),
  ]);
}
