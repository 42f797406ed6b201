"""Benchmarks. They print ratios of things measured in one run; nothing here is a test. See README.md."""
