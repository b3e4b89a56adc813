"""The image: its content, its start time, and containers of it that publish and subscribe."""

import datetime
import json
import time
import unittest

import image
import podman
import stand_ins

BYTES_MAX = 30_000_000
# No other container is on the network, which protects the port.
OPEN = ["--env=LODEWATCH_SERVER__LISTEN=0.0.0.0:50061", "--env=LODEWATCH_SERVER__INSECURE=true"]


class Image(unittest.TestCase):
    def test_it_is_small_and_has_neither_a_shell_nor_root(self):
        built = podman.inspect("image", image.build())
        print(f"image: {built['Size'] / 1e6:.1f} MB, without the time zones of its real base", flush=True)
        self.assertLess(built["Size"] + stand_ins.OMITTED_BYTES_MAX, BYTES_MAX)
        self.assertEqual(built["Config"]["User"], "65532:65532")
        version = built["Config"]["Labels"]["org.opencontainers.image.version"]
        self.assertEqual(image.command("none", "--version"), f"lodewatch {version}")
        shell = podman.run("run", "--rm", "--entrypoint=/bin/sh", image.build(), "-c", "true", check=False)
        self.assertNotEqual(shell.returncode, 0)

    def test_it_contains_the_bill_of_materials_that_the_program_prints(self):
        container = podman.output("create", image.build())
        self.addCleanup(podman.run, "rm", "--volumes", container)
        path = podman.STATE / "bill.json"
        podman.run("cp", f"{container}:/usr/share/doc/lodewatch/lodewatch.cdx.json", path)
        self.assertEqual(json.loads(path.read_text(encoding="utf-8")), json.loads(image.command("none", "sbom")))

    def test_it_starts_serves_and_stops_cleanly_on_a_read_only_root(self):
        data = f"{podman.volume('bundled')}:/var/lib/lodewatch"
        image.command("none", "demo", "--keep", "/var/lib/lodewatch", "--output", "json", mounts=[data])
        for what, mounts in (("the bundled data", [f"--volume={data}"]), ("nothing yet", [])):
            port = image.free_port()
            begin = time.monotonic()
            container = podman.start(
                *("--read-only", "--cap-drop=all", f"--publish=127.0.0.1:{port}:{image.HEALTH_PORT}"),
                *(*mounts, image.build()),
            )
            image.wait_until_ready(port)
            all_seconds, ready = time.monotonic() - begin, time.time()
            # podman's timer for HEALTHCHECK needs systemd; this runs it once.
            podman.run("healthcheck", "run", container)
            began = podman.inspect("container", container)["State"]["StartedAt"]
            began = datetime.datetime.fromisoformat(began[:26].ljust(26, "0")).replace(tzinfo=datetime.UTC).timestamp()
            print(f"ready over {what}: {ready - began:.3f} s after its start, {all_seconds:.3f} s with podman's own", flush=True)
            podman.run("stop", "--time=15", container)
            self.assertEqual(podman.inspect("container", container)["State"]["ExitCode"], 0)

    def test_a_container_receives_what_another_publishes(self):
        network = podman.network()
        server = podman.start("--read-only", "--network", network, "--network-alias=server", *OPEN, image.build())
        image.wait_until_well(server)
        watch = ["watch", "--from=oldest", "--output=json", "--address=server:50061"]
        watch = podman.start("--read-only", "--network", network, image.build(), *watch)
        publish = ["publish", "-", "--output=json", "--address=server:50061"]
        answer = podman.output(
            *("run", "--rm", "--interactive", "--read-only", "--network", network, image.build(), *publish),
            stdin=None,
            input=json.dumps({"report": image.REPORT}),
        )
        caused = json.loads(answer)["alertSequences"]
        self.assertNotEqual(caused, [])
        delivered = podman.lines(watch, lambda line: json.loads(line)["sequence"] == caused[-1])
        self.assertEqual([json.loads(line)["sequence"] for line in delivered], caused)
