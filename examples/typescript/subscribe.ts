// Prints each alert once, across restarts and lost connections: the loop of every subscriber.
//
//     node dist/subscribe.js CURSOR_FILE HOST:PORT [HOST:PORT ...]
//
// CURSOR_FILE keeps the cursor, so that the next run resumes where this one stopped. Without the
// file the stream starts with a snapshot of the active alerts.

import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { AlertService, type SubscribeResponse } from "./generated/lodewatch/v1/alert_pb.js";

const HEARTBEAT_SECONDS = 15;
const WAIT_MS_MIN = 100;
const WAIT_MS_MAX = 5000;
/** A lost connection is reported as any of several codes. */
const RETRYABLE = new Set([
  Code.Unavailable, Code.Canceled, Code.Unknown, Code.Internal, Code.Aborted, Code.DeadlineExceeded,
  Code.ResourceExhausted,
]);

/** Yields messages across reconnects. Requesting the next one marks the previous one as handled. */
async function* messages(servers: string[], cursor: string): AsyncGenerator<SubscribeResponse> {
  const transports = servers.map((server) => createGrpcTransport({ baseUrl: `http://${server}` }));
  const clients = transports.map((transport) => createClient(AlertService, transport));
  let wait = WAIT_MS_MIN;
  for (let turn = 0; ; turn++) {
    const client = clients[turn % clients.length]!;
    const stop = new AbortController();
    // Two missing heartbeats mean a dead stream.
    const alarm = () => setTimeout(() => stop.abort(), 2000 * HEARTBEAT_SECONDS);
    let silence = alarm();
    try {
      const request = { cursor, heartbeatSeconds: HEARTBEAT_SECONDS };
      for await (const message of client.subscribe(request, { signal: stop.signal })) {
        clearTimeout(silence);
        wait = WAIT_MS_MIN;
        yield message;
        // Empty until the end of a snapshot: an interrupted one is sent again as a whole.
        cursor = message.cursor || cursor;
        if (message.message.case === "goAway") {
          wait = message.message.value.reconnectAfterMs;
        }
        silence = alarm();
      }
    } catch (error) {
      if (!RETRYABLE.has(ConnectError.from(error).code)) {
        throw error;
      }
    } finally {
      clearTimeout(silence);
    }
    await sleep(wait * (1 + Math.random()));
    wait = Math.min(2 * wait, WAIT_MS_MAX);
  }
}

const [path, ...servers] = process.argv.slice(2);
if (path === undefined || servers.length === 0) {
  throw new Error("usage: node dist/subscribe.js CURSOR_FILE HOST:PORT [HOST:PORT ...]");
}
const kept = existsSync(path) ? readFileSync(path, "utf8") : "";
for await (const message of messages(servers, kept)) {
  if (message.message.case === "alerts") {
    for (const alert of message.message.value.alerts) {
      console.log(`${alert.sequence} ${alert.sentence}`);
    }
  }
  if (message.cursor !== "") {
    // Replace the file atomically. If alerts go to a database, save the cursor there, in the same
    // transaction.
    writeFileSync(`${path}.new`, message.cursor);
    renameSync(`${path}.new`, path);
  }
}
