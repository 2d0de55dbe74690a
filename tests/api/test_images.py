"""Images come in: uploaded or fetched, checked before anybody may boot from them."""

from __future__ import annotations

import hashlib
import random
import socket
import struct
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from cryptography.hazmat.primitives import hashes

from tests.api.outside import Cloud, Department, fresh

CONTENT = bytes(range(256)) * 2048


def _sm3(data: bytes) -> str:
    digest = hashes.Hash(hashes.SM3())
    digest.update(data)
    return digest.finalize().hex()


def _qcow2(size: int = 1 << 30, backing: bytes = b"", version: int = 3, features: int = 0) -> bytes:
    """A qcow2 image without data (QEMU, docs/interop/qcow2): a header and, where that says, an empty first table."""
    head = struct.pack(">4sIQIIQ", b"QFI\xfb", version, 512 if backing else 0, len(backing), 16, size)
    head += struct.pack(">IIQQIIQ", 0, 1, 0x30000, 0x10000, 1, 0, 0)
    if version == 3:
        head += struct.pack(">QQQII", features, 0, 0, 4, 104)
    return (head.ljust(512, b"\0") + backing).ljust(0x30000 + 512, b"\0")


def _enter(cloud: Cloud, **fields: Any) -> str:
    name = fresh("image")
    image = cloud.admin.ask("POST /v1/images", {"name": name, "arch": "x86_64", "format": "raw"} | fields)
    assert image["state"] == ("importing" if "url" in fields else "waiting")
    return name


def _left(cloud: Cloud) -> set[str]:
    """Files in the image store that aren't an image that is ready."""
    ready = {one["id"] for one in cloud.admin.walk("GET /v1/images") if one["state"] == "ready"}
    return {path.name for path in (cloud.data_dir / "images").iterdir()} - ready


def test_an_uploaded_image_is_measured_and_boots(cloud: Cloud, free_department: Department) -> None:
    digests = {"sha256": hashlib.sha256(CONTENT).hexdigest(), "sm3": _sm3(CONTENT)}
    name = _enter(cloud, **digests)
    wish = {"project": free_department.path, "flavor": "tiny", "image": name}
    free_department.member.refused(400, "image_not_ready", "POST /v1/instances", wish)
    image = cloud.admin.ask(f"PUT /v1/images/{name}/content", CONTENT)
    assert image["state"] == "ready"
    assert {key: image[key] for key in digests} == digests
    assert (image["size_bytes"], image["virtual_size_bytes"]) == (len(CONTENT), len(CONTENT))
    assert (cloud.data_dir / "images" / image["id"]).read_bytes() == CONTENT
    id_ = free_department.member.ask("POST /v1/instances", wish)["id"]
    free_department.member.settled(id_, "active")
    cloud.admin.refused(409, "image_has_content", f"PUT /v1/images/{name}/content", CONTENT)
    cloud.admin.refused(409, "image_in_use", f"DELETE /v1/images/{name}")


def test_an_image_nobody_uses_is_removed_with_its_content(cloud: Cloud) -> None:
    name = _enter(cloud)
    id_ = cloud.admin.ask(f"PUT /v1/images/{name}/content", CONTENT)["id"]
    cloud.admin.ask(f"DELETE /v1/images/{name}")
    cloud.admin.refused(404, "not_found", f"GET /v1/images/{name}")
    assert not (cloud.data_dir / "images" / id_).exists()


@pytest.mark.parametrize("algorithm", ["sha256", "sm3"])
def test_content_with_another_digest_is_refused_and_may_be_sent_anew(cloud: Cloud, algorithm: str) -> None:
    want = {"sha256": hashlib.sha256(CONTENT).hexdigest(), "sm3": _sm3(CONTENT)}[algorithm]
    name = _enter(cloud, **{algorithm: want})
    cloud.admin.refused(400, "digest_differs", f"PUT /v1/images/{name}/content", CONTENT[:-1] + b"!")
    failed = cloud.admin.ask(f"GET /v1/images/{name}")
    assert (failed["state"], failed["reason"]["code"]) == ("failed", "digest_differs")
    assert want in failed["reason"]["text"]
    assert not _left(cloud)
    assert cloud.admin.ask(f"PUT /v1/images/{name}/content", CONTENT)["state"] == "ready"
    assert cloud.admin.ask(f"GET /v1/images/{name}")["reason"] is None


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"),
        (b"<html>404</html>", "QFI"),
        (b"QFI", "QFI"),
        (_qcow2()[:60], "QFI"),
        (_qcow2(version=7), "version 7"),
        (_qcow2(backing=b"/etc/shadow"), "backing file"),
        (_qcow2(backing=b"/etc/shadow", version=2), "backing file"),
        (_qcow2(features=1 << 2), "another file"),
    ],
)
def test_what_is_no_qcow2_or_points_at_the_hosts_files_is_refused(cloud: Cloud, content: bytes, says: str) -> None:
    name = _enter(cloud, format="qcow2")
    refusal = cloud.admin.refused(400, "not_an_image", f"PUT /v1/images/{name}/content", content)
    assert says in refusal["message"]
    assert cloud.admin.ask(f"GET /v1/images/{name}")["state"] == "failed"
    assert not _left(cloud)


@pytest.mark.real
def test_images_made_by_qemu_img_are_taken_or_refused(cloud: Cloud, tmp_path: Path) -> None:
    base, child, data = tmp_path / "base.qcow2", tmp_path / "child.qcow2", tmp_path / "data.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", base, "2G"], check=True)
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", base, "-F", "qcow2", child], check=True)
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-o", f"data_file={tmp_path / 'raw'}", data, "2G"], check=True)
    name = _enter(cloud, format="qcow2")
    image = cloud.admin.ask(f"PUT /v1/images/{name}/content", base.read_bytes())
    assert (image["state"], image["virtual_size_bytes"]) == ("ready", 2 << 30)
    for file, says in ((child, "backing file"), (data, "another file")):
        name = _enter(cloud, format="qcow2")
        refusal = cloud.admin.refused(400, "not_an_image", f"PUT /v1/images/{name}/content", file.read_bytes())
        assert says in refusal["message"]


@pytest.mark.real
@pytest.mark.parametrize("options", [[], ["-c"], ["-o", "extended_l2=on,cluster_size=128k"], ["-o", "compat=0.10"]], ids="-".join)
def test_an_image_that_was_cut_short_is_refused_wherever_it_was_cut(cloud: Cloud, tmp_path: Path, options: list[str]) -> None:
    raw, whole = tmp_path / "raw", tmp_path / "whole.qcow2"
    raw.write_bytes(random.Random(1).randbytes(1 << 20) + bytes(3 << 20) + random.Random(2).randbytes(1 << 20))  # noqa: S311
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", *options, raw, whole], check=True)
    content = whole.read_bytes()
    name = _enter(cloud, format="qcow2")
    assert cloud.admin.ask(f"PUT /v1/images/{name}/content", content)["state"] == "ready"
    for part in (0.2, 0.5, 0.9):
        name = _enter(cloud, format="qcow2")
        cloud.admin.refused(400, "cut_short", f"PUT /v1/images/{name}/content", content[: int(part * len(content))])
        assert cloud.admin.ask(f"GET /v1/images/{name}")["state"] == "failed"
    assert not _left(cloud)


def test_a_header_that_makes_no_sense_is_refused(cloud: Cloud) -> None:
    for wrong in (_qcow2()[:20] + struct.pack(">I", 63), _qcow2()[:36] + struct.pack(">I", 1 << 31)):
        name = _enter(cloud, format="qcow2")
        cloud.admin.refused(400, "not_an_image", f"PUT /v1/images/{name}/content", wrong.ljust(4096, b"\0"))


def test_a_disk_larger_than_the_flavor_is_not_squeezed_into_it(cloud: Cloud, free_department: Department) -> None:
    name = _enter(cloud, format="qcow2")
    cloud.admin.ask(f"PUT /v1/images/{name}/content", _qcow2(size=5 << 30))
    wish = {"project": free_department.path, "flavor": "tiny", "image": name}
    refusal = free_department.member.refused(400, "flavor_disk_small", "POST /v1/instances", wish)
    assert "5 GiB" in refusal["message"]


def test_a_disk_of_absurd_size_is_refused_and_breaks_nothing(cloud: Cloud, free_department: Department) -> None:
    for size in ((1 << 64) - 1, 1 << 63, 0):
        name = _enter(cloud, format="qcow2")
        answer = cloud.admin.call(f"PUT /v1/images/{name}/content", _qcow2(size=size))
        assert answer.status_code == 400, f"a disk of {size} bytes: {answer.text}"
        assert cloud.admin.ask(f"GET /v1/images/{name}")["state"] == "failed"
    assert not _left(cloud)


def test_more_than_an_image_may_have_is_refused(cloud: Cloud) -> None:
    name = _enter(cloud)
    answer = cloud.admin.call(f"PUT /v1/images/{name}/content", b"x" * (4 << 20) + b"!")
    assert answer.status_code == 400
    assert cloud.admin.ask(f"GET /v1/images/{name}")["reason"]["code"] == "image_too_large"
    assert not _left(cloud)


def test_an_upload_that_breaks_off_leaves_no_image(cloud: Cloud) -> None:
    name = _enter(cloud)
    parts = urlsplit(cloud.url)
    with socket.create_connection((str(parts.hostname), parts.port or 0)) as line:
        head = (
            f"PUT /v1/images/{name}/content HTTP/1.1",
            "Host: x",
            f"Authorization: Bearer {cloud.admin.token}",
            "Content-Length: 100000",
        )
        line.sendall("\r\n".join([*head, "", ""]).encode() + b"x" * 50_000)
    image = cloud.admin.until(f"GET /v1/images/{name}", lambda _: not _left(cloud))
    assert image["state"] in ("waiting", "failed")
    assert cloud.admin.ask(f"PUT /v1/images/{name}/content", CONTENT)["state"] == "ready"


def test_an_upload_without_its_length_is_refused(cloud: Cloud) -> None:
    name = _enter(cloud)
    answer = cloud.admin.http.put(
        f"/v1/images/{name}/content", content=iter([b"a", b"b"]), headers={"Authorization": f"Bearer {cloud.admin.token}"}
    )
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_request")
    assert "Content-Length" in answer.json()["error"]["message"]


def test_two_uploads_at_once_make_one_image(cloud: Cloud) -> None:
    name = _enter(cloud)
    others = [CONTENT, CONTENT[::-1]]
    answers: list[Any] = []
    threads = [
        threading.Thread(target=lambda data=data: answers.append(cloud.admin.call(f"PUT /v1/images/{name}/content", data)))
        for data in others
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    image = cloud.admin.ask(f"GET /v1/images/{name}")
    assert image["state"] == "ready"
    kept = (cloud.data_dir / "images" / image["id"]).read_bytes()
    assert image["sha256"] == hashlib.sha256(kept).hexdigest(), "the file is the one that was recorded"
    assert all(answer.status_code in (200, 409) for answer in answers)


@pytest.fixture(scope="module")
def web() -> Iterator[str]:
    """A web server with images."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if self.path == "/moved":
                self.send_response(302)
                self.send_header("Location", "/good")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(200 if self.path in ("/good", "/short") else 404)
            self.send_header("Content-Length", str(len(CONTENT)))
            self.end_headers()
            self.wfile.write(CONTENT if self.path != "/short" else CONTENT[:1000])
            self.close_connection = True

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize("path", ["/good", "/moved"])
def test_an_image_is_fetched_from_its_url(cloud: Cloud, web: str, path: str) -> None:
    name = _enter(cloud, url=web + path, sm3=_sm3(CONTENT))
    image = cloud.admin.until(f"GET /v1/images/{name}", lambda one: one["state"] != "importing")
    assert (image["state"], image["reason"], image["sha256"]) == ("ready", None, hashlib.sha256(CONTENT).hexdigest())
    told = [one["kind"] for one in cloud.admin.ask("GET /v1/events", object=image["id"])["items"]]
    assert told == ["image.created", "image.ready"]


@pytest.mark.parametrize(
    ("path", "fields", "code"),
    [
        ("/missing", {}, "download_failed"),
        ("/short", {}, "download_failed"),
        ("/good", {"sha256": "0" * 64}, "digest_differs"),
        ("/good", {"format": "qcow2"}, "not_an_image"),
    ],
)
def test_a_fetch_that_fails_says_why(cloud: Cloud, web: str, path: str, fields: dict[str, str], code: str) -> None:
    name = _enter(cloud, url=web + path, **fields)
    image = cloud.admin.until(f"GET /v1/images/{name}", lambda one: one["state"] != "importing")
    assert (image["state"], image["reason"]["code"]) == ("failed", code)
    assert not _left(cloud)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/x", "http://nowhere.invalid/x", "http://[::bad/x", "http://:0/", "https://127.0.0.1:1/x"]
)
def test_an_address_where_nobody_answers_fails_and_holds_up_no_other(cloud: Cloud, web: str, url: str) -> None:
    name, other = _enter(cloud, url=url), _enter(cloud, url=f"{web}/good")
    for one, state in ((name, "failed"), (other, "ready")):
        image = cloud.admin.until(f"GET /v1/images/{one}", lambda found: found["state"] != "importing")
        assert image["state"] == state, f"{url}: {image['reason']}"


@pytest.mark.parametrize("url", ["file:///etc/shadow", "ftp://x/y", "x", "http://", "http://a b/", "javascript:alert(1)"])
def test_an_address_that_is_none_is_refused(cloud: Cloud, url: str) -> None:
    cloud.admin.refused(400, "invalid_request", "POST /v1/images", {"name": fresh("image"), "arch": "x86_64", "format": "raw", "url": url})
