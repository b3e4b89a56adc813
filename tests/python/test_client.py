"""A Python client made from the protos alone publishes, subscribes, and resumes after a kill -9."""

import json
import shutil
import subprocess
import tempfile
import unittest
import uuid

import grpc
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

import harness

STREAM_SECONDS_MAX = 60
CALL_SECONDS_MAX = 20
SERVICES = {"AlertService", "FeedService", "MarketService", "PolicyService"}


def setUpModule():
    folder = harness.generate_stubs()
    unittest.addModuleCleanup(folder.cleanup)
    for name in ("types_pb2", "feed_pb2", "alert_pb2", "feed_pb2_grpc", "alert_pb2_grpc"):
        globals()[name] = harness.stub_module(name)


def publication(**update):
    return feed_pb2.PublishRequest(
        request_id=str(uuid.uuid4()), feed="python", updates=[feed_pb2.Update(**update)]
    )


def gallium_report(share):
    rows = [types_pb2.SupplyRow(country="CHN", share=share)]
    return types_pb2.SupplyReport(
        mineral="gallium",
        stage=types_pb2.STAGE_REFINING,
        source="USGS",
        period="2025",
        vintage="2026-02-06",
        rows=rows,
    )


def gallium_ban(revision, removed=""):
    return types_pb2.Threat(
        id="CHN-TEST-2024",
        title="Exports of gallium are prohibited",
        imposing="CHN",
        minerals=["gallium"],
        measure=types_pb2.MEASURE_PROHIBITION,
        date_announced="2024-12-03",
        date_effective="2024-12-03",
        date_removed=removed,
        confidence=types_pb2.CONFIDENCE_OFFICIAL,
        revision=revision,
    )


def subscribe(channel, **start):
    request = alert_pb2.SubscribeRequest(**start)
    return alert_pb2_grpc.AlertServiceStub(channel).Subscribe(request, timeout=STREAM_SECONDS_MAX)


def read_until(stream, sequence):
    """The alerts of a stream up to this sequence, each with the cursor of its message."""
    read = []
    for message in stream:
        read += [(alert, message.cursor) for alert in message.alerts.alerts]
        if read and not message.alerts.more and read[-1][0].sequence >= sequence:
            return read
    raise AssertionError("the stream ended")


class WithServer(unittest.TestCase):
    def setUp(self):
        self.data_dir = tempfile.TemporaryDirectory()
        self.addCleanup(self.data_dir.cleanup)
        self.start()

    def start(self):
        self.server = harness.Server(self.data_dir.name)
        self.addCleanup(self.server.kill)
        self.channel = grpc.insecure_channel(self.server.address)
        self.addCleanup(self.channel.close)

    def publish(self, request):
        stub = feed_pb2_grpc.FeedServiceStub(self.channel)
        return stub.Publish(request, timeout=CALL_SECONDS_MAX)


class Subscription(WithServer):
    def test_a_resumed_stream_repeats_nothing_and_misses_nothing(self):
        stream = subscribe(self.channel, start=alert_pb2.START_OLDEST)
        report = self.publish(publication(report=gallium_report(0.9)))
        first = read_until(stream, report.alert_sequences[-1])
        self.assertEqual({alert.rule for alert, _ in first}, {"hhi", "top1-share"})
        ban = publication(threat=gallium_ban(1))
        answer = self.publish(ban)
        second = read_until(stream, answer.alert_sequences[-1])
        self.check_ban(second)

        self.channel.close()
        self.server.kill()
        self.start()

        self.assertEqual(self.publish(ban), answer, "a retry gets the first reply")
        resumed = subscribe(self.channel, start=alert_pb2.START_CURSOR, cursor=first[-1][1])
        again = read_until(resumed, answer.alert_sequences[-1])
        self.assertEqual(again, second, "the same cursors give the same alerts")
        lifted = self.publish(publication(threat=gallium_ban(2, removed="2025-01-01")))
        third = read_until(resumed, lifted.alert_sequences[-1])
        self.assertEqual({alert.kind for alert, _ in third}, {alert_pb2.ALERT_KIND_CLEARED})
        sequences = [alert.sequence for alert, _ in first + again + third]
        self.assertEqual(sequences, list(range(1, len(sequences) + 1)))

    def check_ban(self, alerts):
        self.assertEqual({alert.rule for alert, _ in alerts}, {"restricted-share", "prohibited-share"})
        destinations = {"all", "USA", "JPN", "EU", "G7", "PARTNERS"}
        self.assertEqual({alert.destination for alert, _ in alerts}, destinations)
        self.assertEqual(len(alerts), 2 * len(destinations))
        for alert, _ in alerts:
            self.assertEqual(alert.kind, alert_pb2.ALERT_KIND_RAISED)
            self.assertEqual(alert.level, types_pb2.LEVEL_CRITICAL)
            self.assertEqual(alert.value.lower, 0.9)
            self.assertEqual(list(alert.cause.threat_ids), ["CHN-TEST-2024"])
            self.assertIn("Gallium refining", alert.sentence)


class Rejection(WithServer):
    def test_an_invalid_batch_is_rejected_with_every_field_and_changes_nothing(self):
        report = gallium_report(1.7)
        report.mineral = "unobtainium"
        with self.assertRaises(grpc.RpcError) as rejected:
            self.publish(publication(report=report))
        self.assertEqual(rejected.exception.code(), grpc.StatusCode.INVALID_ARGUMENT)
        answer = self.publish(publication(report=gallium_report(0.9)))
        self.assertEqual(answer.alert_sequences[0], 1)


class Discovery(WithServer):
    def test_the_server_is_healthy(self):
        health = health_pb2_grpc.HealthStub(self.channel)
        request = health_pb2.HealthCheckRequest(service="")
        answer = health.Check(request, timeout=CALL_SECONDS_MAX)
        self.assertEqual(answer.status, health_pb2.HealthCheckResponse.SERVING)

    def test_services_and_messages_are_found_by_reflection(self):
        database = ProtoReflectionDescriptorDatabase(self.channel)
        services = set(database.get_services())
        self.assertLessEqual({f"lodewatch.v1.{name}" for name in SERVICES}, services)
        alert = DescriptorPool(database).FindMessageTypeByName("lodewatch.v1.Alert")
        self.assertIn("sentence", alert.fields_by_name)

    def test_buf_curl_calls_by_reflection(self):
        buf = shutil.which("buf")
        self.assertIsNotNone(buf, "buf is not on the PATH; tests/all.sh installs it")
        url = f"http://{self.server.address}/lodewatch.v1.PolicyService/GetPolicy"
        command = [buf, "curl", "--protocol", "grpc", "--http2-prior-knowledge", "--data", "{}", url]
        done = subprocess.run(command, capture_output=True, text=True, timeout=CALL_SECONDS_MAX)
        self.assertEqual(done.returncode, 0, done.stderr)
        names = {rule["name"] for rule in json.loads(done.stdout)["policy"]["rules"]}
        self.assertEqual(names, {"hhi", "top1-share", "restricted-share", "prohibited-share"})


if __name__ == "__main__":
    unittest.main()
