"""The deployment files: Kubernetes, NATS and Compose accept them; they keep their guarantees."""

import os
import subprocess
import tempfile
import tomllib
import unittest

import kubernetes_validate

import image
import kubernetes
import podman

OVERLAYS = ("single", "replicas")
# The oldest version with a sleeping preStop, and the newest known one.
VERSIONS = ("1.30", kubernetes_validate.latest_version())
# After the drain: calls are cut within a second, then the last snapshot is written.
CLOSING_SECONDS = 6


def pods(objects):
    """The pods of the objects, by name."""
    kinds = ("Deployment", "StatefulSet")
    return {each["metadata"]["name"]: each["spec"]["template"]["spec"] for each in objects if each["kind"] in kinds}


def settings(objects):
    """The server's settings, with defaults for the others."""
    default = tomllib.loads((kubernetes.DEPLOY / "lodewatch.toml").read_text(encoding="utf-8"))
    given = tomllib.loads(kubernetes.one(objects, "ConfigMap")["data"]["lodewatch.toml"])
    return default | {key: default[key] | value if isinstance(value, dict) else value for key, value in given.items()}


class Manifests(unittest.TestCase):
    def test_kubernetes_accepts_every_object(self):
        for overlay in OVERLAYS:
            for each in kubernetes.render(overlay):
                for version in VERSIONS:
                    with self.subTest(overlay=overlay, kind=each["kind"], version=version):
                        kubernetes_validate.validate(each, version, strict=True)

    def test_no_pod_has_more_rights_than_it_needs(self):
        for overlay in OVERLAYS:
            for name, pod in pods(kubernetes.render(overlay)).items():
                with self.subTest(overlay=overlay, pod=name):
                    self.assertIs(pod["automountServiceAccountToken"], False)
                    self.assertIs(pod["enableServiceLinks"], False)
                    self.assertIs(pod["securityContext"]["runAsNonRoot"], True)
                    self.assertEqual(pod["securityContext"]["seccompProfile"], {"type": "RuntimeDefault"})
                    for each in pod["containers"]:
                        allowed = each["securityContext"]
                        self.assertIs(allowed["allowPrivilegeEscalation"], False)
                        self.assertIs(allowed["readOnlyRootFilesystem"], True)
                        self.assertEqual(allowed["capabilities"], {"drop": ["ALL"]})
                        self.assertIn("memory", each["resources"]["limits"])

    def test_a_pod_has_time_to_drain(self):
        for overlay in OVERLAYS:
            objects = kubernetes.render(overlay)
            pod = pods(objects)["lodewatch"]
            (lodewatch,) = pod["containers"]
            drain = settings(objects)["server"]["drain_timeout"]
            self.assertTrue(drain.endswith("s") and drain[:-1].isdigit(), drain)
            needed = lodewatch["lifecycle"]["preStop"]["sleep"]["seconds"] + int(drain[:-1]) + CLOSING_SECONDS
            self.assertGreaterEqual(pod["terminationGracePeriodSeconds"], needed, overlay)

    def test_the_settings_are_valid_and_their_ports_match_the_pods(self):
        for overlay in OVERLAYS:
            objects = kubernetes.render(overlay)
            with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
                file.write(kubernetes.one(objects, "ConfigMap")["data"]["lodewatch.toml"])
                file.flush()
                subprocess.run([image.program(), "check-config", file.name], check=True, capture_output=True)
            (lodewatch,) = pods(objects)["lodewatch"]["containers"]
            ports = {each["name"]: each["containerPort"] for each in lodewatch["ports"]}
            self.assertEqual(settings(objects)["server"]["listen"], f"0.0.0.0:{ports['grpc']}")
            self.assertEqual(settings(objects)["metrics"]["listen"], f"0.0.0.0:{ports['metrics']}")
            self.assertEqual(ports["health"], image.HEALTH_PORT)

    def test_nats_accepts_its_settings_and_syncs_every_write(self):
        folder = kubernetes.DEPLOY / "kubernetes/nats"
        nats = podman.tool("nats-server", "nats-server", "usr/sbin/nats-server")
        environment = os.environ | {"NATS_NAME": "nats-0", "NATS_PASSWORD": "nats-0123"}
        for name in ("nats.conf", "secured.conf"):
            subprocess.run([nats, "-t", "--config", folder / name], env=environment, check=True, capture_output=True)
        self.assertIn("\n  sync_interval: always\n", (folder / "nats.conf").read_text(encoding="utf-8"))

    def test_compose_accepts_both_profiles(self):
        compose = podman.tool("docker-compose", "docker-compose", "usr/libexec/docker/cli-plugins/docker-compose")
        file = ["--file", kubernetes.DEPLOY / "compose.yaml", "--profile=single", "--profile=replicas"]
        subprocess.run([compose, *file, "config", "--quiet"], check=True, capture_output=True)
