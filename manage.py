#!/usr/bin/env python3
"""Django's command line; ``run.py manage`` calls it with the right environment."""

import os
import sys

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "backend.settings")
    import structlog
    from django.core.management import execute_from_command_line

    structlog.contextvars.bind_contextvars(door="job" if "procrastinate" in sys.argv[1:2] else "command")

    execute_from_command_line(sys.argv)
