// Publishes JSON lines, each a lodewatch.v1.Update, in batches that are applied once, even if
// either side crashes.
//
//     node dist/publish.js FEED FILE HOST:PORT [HOST:PORT ...]
//
// A batch without a reply is sent again under its request_id, to the next server. A rejection names
// every invalid field.

import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { create, fromJsonString } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import {
  FeedService, Outcome, type PublishRequest, PublishRequestSchema, type PublishResponse,
  type Update, UpdateSchema,
} from "./generated/lodewatch/v1/feed_pb.js";

const BATCH = 100;
const ANSWER_MS_MAX = 10_000;
const WAIT_MS_MIN = 100;
const WAIT_MS_MAX = 5000;
/**
 * ResourceExhausted: a limit is reached, or the disk is full. A batch that is too large for any
 * server gets it as well.
 */
const RETRYABLE = new Set([
  Code.Unavailable, Code.Canceled, Code.Unknown, Code.Internal, Code.Aborted, Code.DeadlineExceeded,
  Code.ResourceExhausted,
]);

type Line = { number: number; update: Update };

function fail(message: string): never {
  console.error(message);
  process.exit(1);
}

function read(path: string): Line[] {
  return readFileSync(path, "utf8").split("\n").flatMap((text, index) => {
    try {
      const number = index + 1;
      return text.trim() === "" ? [] : [{ number, update: fromJsonString(UpdateSchema, text) }];
    } catch (error) {
      return fail(`${path}:${index + 1}: ${error}`);
    }
  });
}

/** Returns once the batch is durable and applied. Throws if it was rejected. */
async function publish(servers: string[], request: PublishRequest): Promise<PublishResponse> {
  let wait = WAIT_MS_MIN;
  for (let turn = 0; ; turn++) {
    const server = servers[turn % servers.length]!;
    try {
      const transport = createGrpcTransport({ baseUrl: `http://${server}` });
      const client = createClient(FeedService, transport);
      return await client.publish(request, { timeoutMs: ANSWER_MS_MAX });
    } catch (error) {
      const code = ConnectError.from(error).code;
      if (!RETRYABLE.has(code)) {
        throw error;
      }
      console.error(`${server}: ${Code[code]}; retrying the batch`);
    }
    await sleep(wait * (1 + Math.random()));
    wait = Math.min(2 * wait, WAIT_MS_MAX);
  }
}

const [feed, path, ...servers] = process.argv.slice(2);
if (path === undefined || servers.length === 0) {
  fail("usage: node dist/publish.js FEED FILE HOST:PORT [HOST:PORT ...]");
}
const lines = read(path);
for (let start = 0; start < lines.length; start += BATCH) {
  const batch = lines.slice(start, start + BATCH);
  const where = `lines ${batch[0]!.number} to ${batch.at(-1)!.number}`;
  const updates = batch.map((line) => line.update);
  try {
    const request = create(PublishRequestSchema, { requestId: randomUUID(), feed, updates });
    const answer = await publish(servers, request);
    const applied = answer.results.filter((result) => result.outcome === Outcome.APPLIED).length;
    console.log(`${where}: ${applied} applied, ${answer.alertSequences.length} alerts`);
  } catch (error) {
    // Names every invalid field; updates[0] is the first line of the batch.
    fail(`${where}: ${ConnectError.from(error).message}`);
  }
}
// An open connection would keep the program running.
process.exit(0);
