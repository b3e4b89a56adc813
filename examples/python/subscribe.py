"""Prints each alert once, across restarts and lost connections: the loop of every subscriber.

    python subscribe.py CURSOR_FILE HOST:PORT [HOST:PORT ...]

CURSOR_FILE keeps the cursor, so that the next run resumes where this one stopped. Without the file
the stream starts with a snapshot of the active alerts. ../README.md explains how to install grpcio
and generate the stubs.
"""

import asyncio
import itertools
import pathlib
import random
import sys

import grpc
from lodewatch.v1 import alert_pb2, alert_pb2_grpc

HEARTBEAT_SECONDS = 15
WAIT_SECONDS_MIN, WAIT_SECONDS_MAX = 0.1, 5
RETRYABLE = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.UNKNOWN,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
}


async def messages(servers, cursor):
    """Yields messages across reconnects. Requesting the next one marks this one as handled."""
    wait = WAIT_SECONDS_MIN
    for server in itertools.cycle(servers):
        try:
            async with grpc.aio.insecure_channel(server) as channel:
                request = alert_pb2.SubscribeRequest(
                    cursor=cursor, heartbeat_seconds=HEARTBEAT_SECONDS
                )
                stream = alert_pb2_grpc.AlertServiceStub(channel).Subscribe(request)
                while True:
                    # Two missing heartbeats mean a dead stream.
                    message = await asyncio.wait_for(stream.read(), 2 * HEARTBEAT_SECONDS)
                    if message is grpc.aio.EOF:
                        break
                    wait = WAIT_SECONDS_MIN
                    yield message
                    # Empty until the end of a snapshot: an interrupted one is sent again.
                    cursor = message.cursor or cursor
                    if message.HasField("go_away"):
                        wait = message.go_away.reconnect_after_ms / 1000
        except asyncio.TimeoutError:
            pass
        except grpc.aio.AioRpcError as error:
            if error.code() not in RETRYABLE:
                raise
            print(f"{server}: {error.code().name}; resuming from the cursor", file=sys.stderr)
        await asyncio.sleep(wait * random.uniform(1, 2))
        wait = min(wait * 2, WAIT_SECONDS_MAX)


async def main():
    path, servers = pathlib.Path(sys.argv[1]), sys.argv[2:]
    cursor = path.read_text() if path.exists() else ""
    async for message in messages(servers, cursor):
        for alert in message.alerts.alerts:
            print(alert.sequence, alert.sentence, flush=True)
        if message.cursor:
            # Replace the file atomically. If alerts go to a database, save the cursor there, in the
            # same transaction.
            new = path.with_suffix(".new")
            new.write_text(message.cursor)
            new.replace(path)


if __name__ == "__main__":
    asyncio.run(main())
