"""Traces with OpenTelemetry's own Python: an instrumented publisher and an OTLP receiver."""

import concurrent.futures
import tempfile
import threading
import unittest

import grpc
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.grpc import client_interceptor
from opentelemetry.instrumentation.grpc.grpcext import intercept_channel
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

import harness
import test_client

SECONDS_MAX = 60


def setUpModule():
    test_client.setUpModule()


class Receiver(trace_service_pb2_grpc.TraceServiceServicer):
    """Receives spans; stores them by name and service."""

    def __init__(self):
        self.spans = {}
        self.news = threading.Condition()

    def Export(self, request, context):
        with self.news:
            for group in request.resource_spans:
                names = {one.key: one.value.string_value for one in group.resource.attributes}
                for scope in group.scope_spans:
                    for span in scope.spans:
                        self.spans[(names["service.name"], span.name)] = span
            self.news.notify_all()
        return trace_service_pb2.ExportTraceServiceResponse()

    def wait_for(self, *key):
        with self.news:
            if not self.news.wait_for(lambda: key in self.spans, SECONDS_MAX):
                raise AssertionError(f"{key} was not exported, only {sorted(self.spans)}")
            return self.spans[key]


class Traces(unittest.TestCase):
    def test_a_publisher_in_python_sees_its_update_become_an_alert(self):
        receiver = Receiver()
        server = grpc.server(concurrent.futures.ThreadPoolExecutor())
        trace_service_pb2_grpc.add_TraceServiceServicer_to_server(receiver, server)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        self.addCleanup(server.stop, None)
        endpoint = f"http://127.0.0.1:{port}"

        with tempfile.TemporaryDirectory() as data_dir:
            lodewatch = harness.Server(data_dir, LODEWATCH_TRACES__ENDPOINT=endpoint)
            self.addCleanup(lodewatch.kill)
            self.publish(lodewatch.address, endpoint)

            def server_span(name):
                return receiver.wait_for("lodewatch", name)

            caller = receiver.wait_for("desk", "/lodewatch.v1.FeedService/Publish")
            call, apply = server_span("lodewatch.v1.FeedService/Publish"), server_span("apply")
            pairs = [(call, caller), (server_span("append"), call), (apply, call)]
            pairs += [(server_span("archive"), apply), (server_span("deliver"), apply)]
            for span, parent in pairs:
                self.assertEqual(span.parent_span_id, parent.span_id, span.name)
                self.assertEqual(span.trace_id, caller.trace_id, span.name)

    def publish(self, address, endpoint):
        """Publishes an update that raises an alert, as a traced program, with one subscriber."""
        provider = TracerProvider(resource=Resource.create({"service.name": "desk"}))
        provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(endpoint, insecure=True)))
        self.addCleanup(provider.shutdown)
        with grpc.insecure_channel(address) as channel:
            stream = test_client.subscribe(channel, start=test_client.alert_pb2.START_HEAD)
            for message in stream:
                if message.HasField("caught_up"):
                    break
            traced = intercept_channel(channel, client_interceptor(provider))
            feed = test_client.feed_pb2_grpc.FeedServiceStub(traced)
            batch = test_client.publication(report=test_client.gallium_report(0.99))
            answer = feed.Publish(batch, timeout=SECONDS_MAX)
            test_client.read_until(stream, answer.alert_sequences[-1])


if __name__ == "__main__":
    unittest.main()
