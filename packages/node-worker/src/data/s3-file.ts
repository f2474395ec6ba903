/**
 * Objects of S3 and of servers that speak its protocol. The SDK is an optional dependency, loaded when the first
 * s3:// file is. Credentials come from where the SDK looks for them: AWS_ACCESS_KEY_ID, profiles, the machine's role.
 */
import type { FileSpec } from "@volary/core/data";
import { ClusterError } from "@volary/core/errors";
import type { S3Client } from "@aws-sdk/client-s3";
import { RemoteFailure, attempted, remoteFile } from "./remote-file.ts";
import { badFile, messageOf, type SourceFile } from "./source-file.ts";

type S3Spec = Extract<FileSpec, { kind: "s3" }>;

/**
 * The object, or the objects under a prefix that ends in "/", by name.
 *
 * @throws {ClusterError} BAD_DATA: no such bucket or object, access denied, no credentials, the SDK is not installed
 */
export async function s3Files(spec: S3Spec, filesMax: number): Promise<SourceFile[]> {
  const sdk = await loadSdk();
  const client = new sdk.S3Client({
    region: spec.region ?? process.env["AWS_REGION"] ?? "us-east-1",
    // Other servers than Amazon's name buckets in the path, and know no checksums of newer SDKs.
    ...(spec.endpoint === undefined ? {} : { endpoint: spec.endpoint, forcePathStyle: true }),
    requestChecksumCalculation: "WHEN_REQUIRED",
    responseChecksumValidation: "WHEN_REQUIRED",
    maxAttempts: 1,
  });
  const keys = spec.key === "" || spec.key.endsWith("/") ? await keysUnder(client, sdk, spec, filesMax) : [spec.key];
  return Promise.all(keys.map((key) => s3File(client, sdk, { ...spec, key })));
}

type Sdk = typeof import("@aws-sdk/client-s3");

async function loadSdk(): Promise<Sdk> {
  return import("@aws-sdk/client-s3").catch((cause: unknown) => {
    throw new ClusterError("BAD_DATA", "s3:// files need the AWS SDK: npm install @aws-sdk/client-s3", { cause });
  });
}

async function keysUnder(client: S3Client, sdk: Sdk, spec: S3Spec, filesMax: number): Promise<string[]> {
  const keys: string[] = [];
  let token: string | undefined;
  do {
    const page = await attempted(nameOf(spec), (abortSignal) =>
      client
        .send(
          new sdk.ListObjectsV2Command({
            Bucket: spec.bucket,
            Prefix: spec.key,
            ...(token === undefined ? {} : { ContinuationToken: token }),
          }),
          { abortSignal },
        )
        .catch((error: unknown) => {
          throw failureOf(error, spec);
        }),
    );
    for (const { Key: key } of page.Contents ?? []) if (key !== undefined && !key.endsWith("/")) keys.push(key);
    if (keys.length > filesMax) throw badFile(nameOf(spec), `more than ${filesMax} objects: name fewer`);
    token = page.IsTruncated === true ? page.NextContinuationToken : undefined;
  } while (token !== undefined);
  if (keys.length === 0) throw badFile(nameOf(spec), "no object lies under this prefix; check its name");
  return keys.toSorted((a, b) => (a < b ? -1 : 1));
}

async function s3File(client: S3Client, sdk: Sdk, spec: S3Spec): Promise<SourceFile> {
  const object = { Bucket: spec.bucket, Key: spec.key };
  const head = await attempted(nameOf(spec), (abortSignal) =>
    client.send(new sdk.HeadObjectCommand(object), { abortSignal }).catch((error: unknown) => {
      throw failureOf(error, spec);
    }),
  );
  const bytes = head.ContentLength ?? 0;
  return remoteFile({
    name: nameOf(spec),
    bytes,
    version: head.ETag ?? "unnamed version",
    hasRanges: true,
    async open(from, to, abortSignal) {
      if (bytes === 0) return emptyStream();
      const request = new sdk.GetObjectCommand({
        ...object,
        Range: `bytes=${from}-${(to ?? bytes) - 1}`,
        ...(head.ETag === undefined ? {} : { IfMatch: head.ETag }),
      });
      const reply = await client.send(request, { abortSignal }).catch((error: unknown) => {
        throw failureOf(error, spec);
      });
      if (reply.ETag !== head.ETag) throw new RemoteFailure("changed", `${head.ETag} to ${reply.ETag}`);
      return reply.Body as unknown as AsyncIterable<Uint8Array>;
    },
  });
}

/** The SDK's errors have the server's code as their name, a head request's only its status. */
function failureOf(error: unknown, spec: S3Spec): RemoteFailure {
  const { name, $metadata } = error as { name?: string; $metadata?: { httpStatusCode?: number } };
  const status = $metadata?.httpStatusCode;
  const refused = (message: string) => new RemoteFailure("refused", message, { cause: error });
  if (name === "NoSuchBucket") return refused(`no bucket "${spec.bucket}"; check its name and region`);
  if (status === 412) return new RemoteFailure("changed", "its ETag is another one", { cause: error });
  if (name === "NoSuchKey" || name === "NotFound" || status === 404) {
    return refused(`no object "${spec.key}" in bucket "${spec.bucket}", or no such bucket; a prefix ends in "/"`);
  }
  if (name === "CredentialsProviderError") {
    return refused("no credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile");
  }
  if (status === 401 || status === 403) {
    return refused(
      `access denied (status ${status}); the credentials need s3:GetObject, for a prefix s3:ListBucket too`,
    );
  }
  if (status === 301) return refused("the bucket lies in another region: name it in s3(…, { region })");
  return new RemoteFailure("again", messageOf(error), { cause: error });
}

const nameOf = ({ bucket, key }: S3Spec): string => `s3://${bucket}/${key}`;

async function* emptyStream(): AsyncGenerator<Uint8Array> {}
