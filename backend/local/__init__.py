"""Karibu on one machine: embedded servers, the supervisor and the commands of ``run.py``.

Nothing here imports the rest of the project or Django. It starts processes, gives them an environment and watches
them; what they serve is their business.
"""
