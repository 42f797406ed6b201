"""``python -m bench.peers.statements``, with the settings of either project: what requests ask of the database.

Reads a JSON list of groups of alike requests, each ``[method, path, body, authorization]``, from its input; prints how
many statements the last of each group sent, BEGIN and COMMIT among them, as a JSON list. The others warm the process.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import django

from bench.world import MADE_ANEW


def main() -> None:
    """Ask in this process."""
    django.setup()
    from django.db import connection
    from django.test import Client
    from django.test.utils import CaptureQueriesContext

    client = Client(SERVER_NAME="127.0.0.1")

    def count(method: str, path: str, body: Any, authorization: str) -> int:
        headers = {"Authorization": authorization} if authorization else MADE_ANEW
        content = json.dumps(body) if body else ""
        with CaptureQueriesContext(connection) as captured:
            answer = client.generic(method, path, content, "application/json", headers=headers)
        if answer.status_code not in (200, 201):
            raise RuntimeError(f"{answer.status_code} {answer.content[:300]!r}")
        return len(captured)

    print(json.dumps([[count(*each) for each in group][-1] for group in json.load(sys.stdin)]))


if __name__ == "__main__":
    main()
