"""A pretend object store: as much of S3 as backups need, over HTTP on loopback, with signatures that are checked.

A key stands only when its object is whole: a body that was cut, or parts that were never completed, are no object.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit
from xml.sax.saxutils import escape

KEY, SECRET = "backup", "a-secret-of-the-bucket"
PAGE = 3
"""Objects on one page of a list: few, so that lists have several."""
AUTHORIZATION = re.compile(r"Credential=(\w+)/([^,]+), ?SignedHeaders=([^,]+), ?Signature=(\w+)")


class Bucket:
    """What it keeps, by path (``/bucket/key``), and how it behaves."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.uploads: dict[str, tuple[str, dict[int, bytes]]] = {}
        self.refused = 0
        self.cut_after: int | None = None
        """The connection breaks off once so many bytes of bodies have come in."""
        self.port = 0

    def keys(self, bucket: str) -> list[str]:
        """The names of the objects in a bucket."""
        return sorted(path.removeprefix(f"/{bucket}/") for path in self.kept)


@contextmanager
def bucket() -> Iterator[Bucket]:
    """A running one."""
    made = Bucket()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(made))
    server.daemon_threads = True
    made.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def _handler(made: Bucket) -> type[BaseHTTPRequestHandler]:
    class Door(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_PUT(self) -> None:
            body = self._body()
            if body is None or not self._is_signed():
                return
            path, query = self._address()
            if "uploadId" in query:
                made.uploads[query["uploadId"]][1][int(query["partNumber"])] = body
            else:
                made.kept[path] = body
            self._say(200, ETag='"x"')

        def do_POST(self) -> None:
            if self._body() is None or not self._is_signed():
                return
            path, query = self._address()
            if "uploads" in query:
                name = f"upload-{len(made.uploads)}"
                made.uploads[name] = (path, {})
                self._say(
                    200,
                    f"<InitiateMultipartUploadResult><UploadId>{name}</UploadId></InitiateMultipartUploadResult>",
                )
            else:
                _path, parts = made.uploads.pop(query["uploadId"])
                made.kept[path] = b"".join(parts[number] for number in sorted(parts))
                self._say(
                    200,
                    '<CompleteMultipartUploadResult><ETag>"x"</ETag></CompleteMultipartUploadResult>',
                )

        def do_GET(self) -> None:
            if not self._is_signed():
                return
            path, query = self._address()
            if "list-type" in query:
                self._list(path, query)
            elif "uploads" in query:
                self._list_uploads()
            elif path not in made.kept:
                self._say(404, "<Error><Code>NoSuchKey</Code><Message>None.</Message></Error>")
            else:
                whole = made.kept[path]
                span = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
                if span is None:
                    self._say(200, whole, ETag='"x"')
                    return
                first, last = int(span[1]), int(span[2] or len(whole) - 1)
                part = whole[first : last + 1]
                about = f"bytes {first}-{first + len(part) - 1}/{len(whole)}"
                self._say(206, part, **{"Content-Range": about, "ETag": '"x"'})

        do_HEAD = do_GET

        def do_DELETE(self) -> None:
            if not self._is_signed():
                return
            path, query = self._address()
            if "uploadId" in query:
                made.uploads.pop(query["uploadId"], None)
            else:
                made.kept.pop(path, None)
            self._say(204)

        def _list_uploads(self) -> None:
            rows = "".join(
                f"<Upload><Key>{escape(path.split('/', 2)[2])}</Key><UploadId>{name}</UploadId>"
                "<Initiated>2026-01-01T00:00:00.000Z</Initiated></Upload>"
                for name, (path, _parts) in made.uploads.items()
            )
            self._say(
                200,
                f"<ListMultipartUploadsResult><IsTruncated>false</IsTruncated>{rows}"
                "</ListMultipartUploadsResult>",
            )

        def _list(self, path: str, query: dict[str, str]) -> None:
            start, after = f"{path}/{query.get('prefix', '')}", query.get("continuation-token", "")
            found = sorted(each for each in made.kept if each.startswith(start) and each > after)
            rows = "".join(
                f"<Contents><Key>{escape(each.removeprefix(f'{path}/'))}</Key>"
                f"<Size>{len(made.kept[each])}</Size></Contents>"
                for each in found[:PAGE]
            )
            more = (
                f"<NextContinuationToken>{escape(found[PAGE - 1])}</NextContinuationToken>"
                if len(found) > PAGE
                else ""
            )
            self._say(
                200,
                f"<ListBucketResult><IsTruncated>{str(bool(more)).lower()}</IsTruncated>{more}{rows}"
                "</ListBucketResult>",
            )

        def _address(self) -> tuple[str, dict[str, str]]:
            parts = urlsplit(self.path)
            return unquote(parts.path).rstrip("/"), dict(parse_qsl(parts.query, keep_blank_values=True))

        def _body(self) -> bytes | None:
            """What was sent; None where the connection broke off before its end."""
            if self.headers.get("Expect", "").lower() == "100-continue":
                self.send_response_only(100)
                self.end_headers()
            length = int(self.headers.get("Content-Length") or 0)
            if made.cut_after is not None:
                made.cut_after -= length
                if made.cut_after < 0:
                    self.rfile.read(length // 2)
                    self.close_connection = True
                    return None
            body = self.rfile.read(length)
            if len(body) < length:
                return None
            if "aws-chunked" in self.headers.get("Content-Encoding", ""):
                body = _unchunked(body)
            return body

        def _is_signed(self) -> bool:
            """Whether the request is signed with our secret; it is refused where not."""
            found = AUTHORIZATION.search(self.headers.get("Authorization", ""))
            if found and found[1] == KEY and hmac.compare_digest(found[4], self._signature(found)):
                return True
            made.refused += 1
            self._say(
                403,
                "<Error><Code>SignatureDoesNotMatch</Code><Message>Not your key.</Message></Error>",
            )
            return False

        def _signature(self, found: re.Match[str]) -> str:
            parts = urlsplit(self.path)
            pairs = sorted(parse_qsl(parts.query, keep_blank_values=True))
            query = "&".join(
                f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}" for name, value in pairs
            )
            names = found[3].split(";")
            signed = "".join(f"{name}:{' '.join((self.headers.get(name) or '').split())}\n" for name in names)
            request = "\n".join(
                [self.command, parts.path, query, signed, found[3], self.headers["x-amz-content-sha256"]]
            )
            scope = found[2]
            text = "\n".join(
                [
                    "AWS4-HMAC-SHA256",
                    self.headers["x-amz-date"],
                    scope,
                    hashlib.sha256(request.encode()).hexdigest(),
                ]
            )
            key = f"AWS4{SECRET}".encode()
            for part in scope.split("/"):
                key = hmac.digest(key, part.encode(), "sha256")
            return hmac.new(key, text.encode(), "sha256").hexdigest()

        def _say(self, status: int, body: str | bytes = b"", **headers: str) -> None:
            content = body.encode() if isinstance(body, str) else body
            self.send_response_only(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if status != 204:
                self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            return

    return Door


def _unchunked(body: bytes) -> bytes:
    """The bytes of a body that came in signed or unsigned chunks."""
    whole, rest = b"", body
    while True:
        head, _line, rest = rest.partition(b"\r\n")
        size = int(head.split(b";")[0], 16)
        if not size:
            return whole
        whole, rest = whole + rest[:size], rest[size + 2 :]
