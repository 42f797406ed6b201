"""Many machines, shown on one: what each of them runs, run by itself, and everything broken in turn."""
