"""What breaks, and what must not: see ``bench/README.md``."""
