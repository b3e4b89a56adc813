"""Publishes JSON lines, each a lodewatch.v1.Update, in batches that are applied once, even if
either side crashes.

    python publish.py FEED FILE HOST:PORT [HOST:PORT ...]

A batch without a reply is sent again under its request_id, to the next server. A rejection names
every invalid field. ../README.md explains how to install grpcio and generate the stubs.
"""

import asyncio
import itertools
import random
import sys
import uuid

import grpc
from google.protobuf import json_format
from lodewatch.v1 import feed_pb2, feed_pb2_grpc

BATCH = 100
ANSWER_SECONDS_MAX = 10
WAIT_SECONDS_MIN, WAIT_SECONDS_MAX = 0.1, 5
# RESOURCE_EXHAUSTED: a limit is reached, or the disk is full. A batch that is too large for any
# server gets it as well.
RETRYABLE = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.UNKNOWN,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
}


def updates(path):
    """Yields the updates of a file, each with its line number."""
    with open(path, encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                try:
                    yield number, json_format.Parse(line, feed_pb2.Update())
                except json_format.ParseError as error:
                    sys.exit(f"{path}:{number}: {error}")


async def publish(servers, request):
    """Returns once the batch is durable and applied. Raises if it was rejected."""
    wait = WAIT_SECONDS_MIN
    for server in itertools.cycle(servers):
        try:
            async with grpc.aio.insecure_channel(server) as channel:
                stub = feed_pb2_grpc.FeedServiceStub(channel)
                return await stub.Publish(request, timeout=ANSWER_SECONDS_MAX)
        except grpc.aio.AioRpcError as error:
            if error.code() not in RETRYABLE:
                raise
            print(f"{server}: {error.code().name}; retrying the batch", file=sys.stderr, flush=True)
        await asyncio.sleep(wait * random.uniform(1, 2))
        wait = min(wait * 2, WAIT_SECONDS_MAX)


async def main():
    feed, path, servers = sys.argv[1], sys.argv[2], sys.argv[3:]
    lines = list(updates(path))
    for start in range(0, len(lines), BATCH):
        batch = lines[start : start + BATCH]
        request = feed_pb2.PublishRequest(
            request_id=str(uuid.uuid4()), feed=feed, updates=[update for _, update in batch]
        )
        where = f"lines {batch[0][0]} to {batch[-1][0]}"
        try:
            answer = await publish(servers, request)
        except grpc.aio.AioRpcError as error:
            # Names every invalid field; updates[0] is the first line of the batch.
            sys.exit(f"{where}: {error.code().name}: {error.details()}")
        applied = sum(result.outcome == feed_pb2.OUTCOME_APPLIED for result in answer.results)
        print(f"{where}: {applied} applied, {len(answer.alert_sequences)} alerts", flush=True)


if __name__ == "__main__":
    asyncio.run(main())
