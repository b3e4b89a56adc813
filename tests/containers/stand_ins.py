"""Stand-ins for public images, under the same names, because tests may have no registry.

- `rust:…` is empty; this machine's own /usr, toolchain and fetched crates are mounted into it, so
  that every line of the Dockerfile runs unchanged. The program is optimised less than for a
  release, in half the time; with LODEWATCH_WHOLE_IMAGE=1 it is built as for a release, without
  cached layers.
- `distroless/static-…` has the content of the real image: authorities, users, /tmp and the order of
  name look-ups, without the time zones, which are most of its size.
- `nats:…` is Debian's NATS server, an older version, with its libraries.
"""

import io
import os
import pathlib
import re
import subprocess
import tarfile

import podman

CERTIFICATES = pathlib.Path("/etc/ssl/certs/ca-certificates.crt")
# Upper limit of the real runtime image's extra size: it has about 2 MB.
OMITTED_BYTES_MAX = 2_500_000


def make():
    """Makes both if they are missing; returns their arguments for `podman build`."""
    dockerfile = (podman.ROOT / "deploy/Dockerfile").read_text(encoding="utf-8")
    build, runtime = re.findall(r"^FROM (\S+)", dockerfile, re.MULTILINE)
    links = {name: f"usr/{name}" for name in ("bin", "lib", "lib64", "sbin")}
    folders = ["cargo", "dev", "etc/alternatives", "proc", "rust", "sys", "tmp", "usr"]
    changes = ["ENV PATH=/rust/bin:/usr/bin", "ENV CARGO_HOME=/cargo", "ENV CARGO_NET_OFFLINE=true"]
    import_image(build, folders, links, {}, changes)
    files = {
        "etc/group": b"root:x:0:\nnonroot:x:65532:\n",
        "etc/nsswitch.conf": b"hosts: files dns\n",
        "etc/passwd": b"root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n",
        "etc/ssl/certs/ca-certificates.crt": CERTIFICATES.read_bytes() if CERTIFICATES.exists() else b"",
    }
    changes = ["USER 65532", "WORKDIR /home/nonroot", "ENV PATH=/usr/local/bin:/usr/bin"]
    import_image(runtime, ["home/nonroot", "tmp"], {}, files, changes)
    asked = subprocess.run(["rustc", "--print", "sysroot"], check=True, capture_output=True, text=True, cwd=podman.ROOT)
    cargo = os.environ.get("CARGO_HOME", str(pathlib.Path.home() / ".cargo"))
    mounts = ["/usr:/usr:ro", "/etc/alternatives:/etc/alternatives:ro", f"{asked.stdout.strip()}:/rust:ro", f"{cargo}:/cargo"]
    whole = ["--no-cache"] if os.environ.get("LODEWATCH_WHOLE_IMAGE") else []
    if not whole:
        mounts.append(f"{podman.ROOT / 'tests/containers/cargo'}:/.cargo:ro")
    return ["--network=none", *whole, *(f"--volume={mount}" for mount in mounts)]


def make_nats(program):
    """Makes the NATS image of deploy/compose.yaml from this machine's NATS server."""
    compose = (podman.ROOT / "deploy/compose.yaml").read_text(encoding="utf-8")
    (name,) = set(re.findall(r"image: (\S+/nats:\S+)", compose))
    asked = subprocess.run(["ldd", program], check=False, capture_output=True, text=True)
    libraries = re.findall(r"(/\S+) \(", asked.stdout) if asked.returncode == 0 else []
    files = {path.lstrip("/"): pathlib.Path(path).read_bytes() for path in libraries}
    files["nats-server"] = pathlib.Path(program).read_bytes()
    import_image(name, ["data", "tmp"], {}, files, ['ENTRYPOINT ["/nats-server"]'])


def import_image(name, folders, links, files, changes):
    """Makes an image of one layer. Keeps an existing one, so that derived layers stay cached."""
    if podman.run("image", "exists", name, check=False).returncode == 0:
        return
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for folder in folders:
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if folder == "tmp" else 0o755
            tar.addfile(entry)
        for link, target in links.items():
            entry = tarfile.TarInfo(link)
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            tar.addfile(entry)
        for file, content in files.items():
            entry = tarfile.TarInfo(file)
            entry.size, entry.mode = len(content), 0o755
            tar.addfile(entry, io.BytesIO(content))
    path = podman.STATE / "stand-in.tar"
    path.write_bytes(archive.getvalue())
    podman.run("import", *(f"--change={change}" for change in changes), path, name)
    path.unlink()
