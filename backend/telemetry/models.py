"""What the processes tell of themselves: counts of requests, figures of the minute, lines of requests and errors.

Pages show them in tables of their own, so that the fields have no words for people.
"""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models


class RequestFigure(models.Model):
    """Requests of one span of time. ``span`` is its length in minutes; 0: since ever, for counters that only rise.

    Minutes are kept for whole doors (``method`` is empty then, and ``route`` names the door), hours and days for each
    route too. ``spans`` counts by ``histogram``.
    """

    EVER, MINUTE, HOUR, DAY = 0, 1, 60, 1440

    span = models.PositiveSmallIntegerField()
    starts_at = models.DateTimeField()
    method = models.CharField(max_length=10)
    route = models.CharField(max_length=200)
    status_class = models.PositiveSmallIntegerField()
    requests = models.BigIntegerField()
    ms = models.FloatField()
    sql_ms = models.FloatField()
    statements = models.BigIntegerField()
    slowest_ms = models.FloatField()
    spans = ArrayField(models.BigIntegerField())

    class Meta:
        db_table = "request_figures"
        constraints = [
            models.UniqueConstraint(
                fields=["span", "starts_at", "method", "route", "status_class"], name="request_figures_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.method} {self.route} {self.starts_at:%Y-%m-%d %H:%M}"


class Sample(models.Model):
    """One figure of the platform, read once a minute: how far the jobs lag behind, how many sockets are open."""

    name = models.CharField(max_length=40)
    at = models.DateTimeField()
    value = models.FloatField()

    class Meta:
        db_table = "samples"
        constraints = [models.UniqueConstraint(fields=["name", "at"], name="samples_once")]

    def __str__(self) -> str:
        return f"{self.name} {self.value}"


class AccessLine(models.Model):
    """One answered request: by whom, from which network, how long it took. Never its query, body or address.

    The table lies in parts of six hours, which are dropped whole, and outside of the write-ahead log: it is in no
    backup, and empty after a crash of the database.
    """

    at = models.DateTimeField()
    request_id = models.CharField(max_length=64)
    method = models.CharField(max_length=10)
    route = models.CharField(max_length=200)
    status = models.PositiveSmallIntegerField()
    ms = models.FloatField()
    sql_ms = models.FloatField()
    statements = models.PositiveIntegerField()
    user_id = models.BigIntegerField(null=True)
    network = models.CharField(max_length=50)

    class Meta:
        db_table = "access_lines"
        managed = False

    def __str__(self) -> str:
        return f"{self.method} {self.route} {self.status}"


class ErrorLine(models.Model):
    """Something that went wrong and was not foreseen, with its trace; secrets and addresses are taken out."""

    at = models.DateTimeField(db_index=True)
    request_id = models.CharField(max_length=64, db_index=True)
    door = models.CharField(max_length=20)
    logger = models.CharField(max_length=80)
    event = models.CharField(max_length=300)
    exception = models.CharField(max_length=120)
    trace = models.TextField()
    user_id = models.BigIntegerField(null=True, db_index=True)

    class Meta:
        db_table = "error_lines"

    def __str__(self) -> str:
        return f"{self.exception} {self.event}"


class SlowStatement(models.Model):
    """A statement that took long, without its values: how often, how long, and the last request that asked it."""

    digest = models.CharField(max_length=32, primary_key=True)
    sql = models.TextField()
    times = models.BigIntegerField()
    ms = models.FloatField()
    slowest_ms = models.FloatField()
    route = models.CharField(max_length=200)
    request_id = models.CharField(max_length=64)
    last_at = models.DateTimeField(db_index=True)

    class Meta:
        db_table = "slow_statements"

    def __str__(self) -> str:
        return self.sql[:80]


class Tally(models.Model):
    """Things that happened since ever, for counters that only rise: how often, and how long they took together.

    ``labels`` are ``name=value`` with commas between, words of the program only. ``spans`` counts by ``histogram``.
    """

    name = models.CharField(max_length=40)
    labels = models.CharField(max_length=120)
    times = models.BigIntegerField()
    seconds = models.FloatField()
    spans = ArrayField(models.BigIntegerField())

    class Meta:
        db_table = "tallies"
        constraints = [models.UniqueConstraint(fields=["name", "labels"], name="tallies_once")]

    def __str__(self) -> str:
        return f"{self.name} {self.labels} {self.times}"


class ProcessFigure(models.Model):
    """What a process says of itself every few seconds: its memory, and its pool of connections to the database."""

    process = models.CharField(max_length=80, primary_key=True)
    at = models.DateTimeField()
    resident_bytes = models.BigIntegerField()
    pool_size = models.PositiveIntegerField()
    pool_idle = models.PositiveIntegerField()
    pool_waiting = models.PositiveIntegerField()
    pool_wait_s = models.FloatField()

    class Meta:
        db_table = "process_figures"

    def __str__(self) -> str:
        return self.process
