"""The threads behind the event loop."""

from __future__ import annotations

import asyncio
import threading

import pytest

from api.crew import Crew


def test_run_gives_work_to_the_thread_that_rested_last() -> None:
    crew = Crew(4, name="crew")

    async def ask() -> list[str]:
        return [await crew.run(lambda: threading.current_thread().name) for _ in range(200)]

    names = asyncio.run(ask())
    crew.shutdown()

    assert names == ["crew_0"] * 200


def test_run_works_on_as_many_at_once_as_there_are_threads_and_on_the_others_later() -> None:
    crew = Crew(3, name="crew")
    three = threading.Barrier(3, timeout=10)

    def meet(number: int) -> tuple[int, str]:
        three.wait()
        return number, threading.current_thread().name

    async def ask() -> list[tuple[int, str]]:
        return await asyncio.gather(*(crew.run(meet, number) for number in range(9)))

    met = asyncio.run(ask())
    crew.shutdown()

    assert [number for number, _name in met] == list(range(9))
    assert {name for _number, name in met} == {"crew_0", "crew_1", "crew_2"}


def test_run_raises_what_the_work_raises_and_goes_on() -> None:
    crew = Crew(1, name="crew")

    async def ask() -> int:
        with pytest.raises(ZeroDivisionError):
            await crew.run(lambda: 1 // 0)
        return await crew.run(lambda: 1)

    assert asyncio.run(ask()) == 1
    crew.shutdown()


def test_a_cancelled_wait_leaves_the_thread_to_others() -> None:
    crew = Crew(1, name="crew")
    begun, go_on = threading.Event(), threading.Event()

    def slow() -> None:
        begun.set()
        go_on.wait(10)

    async def ask() -> str:
        waiting = asyncio.ensure_future(crew.run(slow))
        await asyncio.to_thread(begun.wait, 10)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        go_on.set()
        return await crew.run(lambda: "next")

    assert asyncio.run(ask()) == "next"
    crew.shutdown()


def test_shutdown_lets_end_what_was_taken_and_takes_no_more() -> None:
    crew = Crew(1, name="crew")
    go_on, done = threading.Event(), []

    def slow(number: int) -> None:
        go_on.wait(10)
        done.append(number)

    async def ask() -> None:
        taken = [asyncio.ensure_future(crew.run(slow, number)) for number in range(3)]
        await asyncio.sleep(0)
        ending = asyncio.create_task(asyncio.to_thread(crew.shutdown))
        go_on.set()
        await asyncio.gather(*taken, ending)
        with pytest.raises(RuntimeError):
            await crew.run(slow, 4)

    asyncio.run(ask())

    assert done == [0, 1, 2]
