"""How long we wait for a bucket. Only imported where there is one: boto takes its time to load."""

from __future__ import annotations

from botocore.config import Config

PATIENCE = Config(connect_timeout=3, read_timeout=10, retries={"total_max_attempts": 2, "mode": "standard"})
"""Somebody waits for the answer, and boto's own minutes, five times over, would hold every thread of a web process."""
