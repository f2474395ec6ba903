/**
 * S3 through a server of its own. The reader runs in processes of its own as well: the SDK has a build for bundlers
 * beside the one for Node, and a test runner that resolves as bundlers do would load the wrong one.
 */
import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import path from "node:path";
import { text } from "node:stream/consumers";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

/** It has no types of its own. */
const S3rver = createRequire(import.meta.url)("s3rver") as new (o: object) => {
  run(): Promise<{ port: number }>;
  close(): Promise<void>;
};

const CSV = `a,b\n${Array.from({ length: 2000 }, (_, i) => `${i},${i}\n`).join("")}`;

let folder: string;
let endpoint: string;
let server: InstanceType<typeof S3rver>;

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "volary-s3-"));
  const configureBuckets = [{ name: "flights", configs: [] }];
  server = new S3rver({ directory: folder, port: 0, address: "127.0.0.1", silent: true, configureBuckets });
  const { port } = await server.run();
  endpoint = `http://127.0.0.1:${port}`;
  await inNode(
    `const { S3Client, PutObjectCommand } = await import("@aws-sdk/client-s3");
     const client = new S3Client({ endpoint: given.endpoint, region: "us-east-1", forcePathStyle: true,
       requestChecksumCalculation: "WHEN_REQUIRED", responseChecksumValidation: "WHEN_REQUIRED" });
     for (const [Key, body] of Object.entries(given.objects))
       await client.send(new PutObjectCommand({ Bucket: "flights", Key, Body: Buffer.from(body, "base64") }));`,
    {
      objects: Object.fromEntries(
        Object.entries({ "days/1.csv": CSV, "days/2.csv.gz": gzipSync(CSV), "other.csv": "x\n1\n" }).map(
          ([key, body]) => [key, Buffer.from(body).toString("base64")],
        ),
      ),
    },
  );
});

afterAll(async () => {
  await server.close();
  await rm(folder, { recursive: true });
});

/** Runs `code`, which sees `given`, and gives what it sets `found` to. */
async function inNode(code: string, given: object, { user = "S3RVER" } = {}): Promise<unknown> {
  const program = `const given = ${JSON.stringify({ ...given, endpoint })}; let found; ${code}; console.log(JSON.stringify(found ?? null));`;
  const child = spawn(process.execPath, ["--conditions=volary-source", "--input-type=module", "-e", program], {
    cwd: import.meta.dirname,
    stdio: ["ignore", "pipe", "pipe"],
    env: { PATH: process.env["PATH"], AWS_ACCESS_KEY_ID: user, AWS_SECRET_ACCESS_KEY: "S3RVER" },
  });
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
  expect(stdout, stderr).not.toBe("");
  return JSON.parse(stdout.trim()) as unknown;
}

const OPEN = `
  const { openFiles } = await import("./open-files.ts");
  const { contentsOf } = await import("./unpack.ts");
  const open = (key, bucket = "flights") => openFiles([{ kind: "s3", bucket, key, endpoint: given.endpoint }], []);
  const failure = (key, bucket) => open(key, bucket).then(() => "opened", ({ code, message }) => [code, message]);`;

describe("s3 files", () => {
  it("that are missing, or in a bucket that is, end with the remedy", async () => {
    const failures = await inNode(
      `${OPEN} found = [await failure("none.csv"), await failure("none/"), await failure("days/", "fligths")];`,
      {},
    );
    expect(failures).toEqual([
      [
        "BAD_DATA",
        's3://flights/none.csv: no object "none.csv" in bucket "flights", or no such bucket; a prefix ends in "/"',
      ],
      ["BAD_DATA", "s3://flights/none/: no object lies under this prefix; check its name"],
      ["BAD_DATA", 's3://fligths/days/: no bucket "fligths"; check its name and region'],
    ]);
  });

  it("that are denied say so", async () => {
    expect(await inNode(`${OPEN} found = await failure("other.csv");`, {}, { user: "nobody" })).toEqual([
      "BAD_DATA",
      "s3://flights/other.csv: access denied (status 403); the credentials need s3:GetObject, for a prefix s3:ListBucket too",
    ]);
  });

  it("are read whole, in pieces, packed, and all under a prefix", async () => {
    const found = await inNode(
      `${OPEN}
       found = [];
       for (const key of ["other.csv", "days/"]) {
         const chunks = [];
         for (const file of await open(key)) for await (const chunk of contentsOf(file)) chunks.push(chunk);
         found.push(Buffer.concat(chunks).toString());
       }
       const [file] = await open("days/1.csv");
       found.push(Buffer.from(await file.slice(4, 12)).toString());`,
      {},
    );
    expect(found).toEqual(["x\n1\n", `${CSV}${CSV}`, CSV.slice(4, 12)]);
  });
});
