"""The thread pool behind the disks."""

import asyncio
import threading
from functools import partial
from itertools import pairwise

from bilocate.site.disks import Workers
from bilocate.site.disks.workers import IN_ONE_TURN


def test_answers_come_on_the_loop_and_all_of_them() -> None:
    async def main() -> None:
        workers = Workers(threads=3)
        loop_thread = threading.get_ident()
        answers: list[tuple[int, bool]] = []
        everything = asyncio.Event()

        def done(number: int) -> None:
            answers.append((number, threading.get_ident() == loop_thread))
            if len(answers) == 500:
                everything.set()

        for number in range(500):
            workers.run(lambda number=number: number, done)  # type: ignore[misc]
        await asyncio.wait_for(everything.wait(), 30)
        assert sorted(answers) == [(number, True) for number in range(500)]
        workers.close()
        workers.join()

    asyncio.run(main())


def test_no_more_threads_than_allowed_work_at_once() -> None:
    async def main() -> None:
        workers = Workers(threads=2)
        gate = threading.Barrier(2, timeout=30)
        answers: list[int] = []
        everything = asyncio.Event()

        def work() -> int:
            gate.wait()  # passes in twos only: with one thread it would never
            return threading.get_ident()

        def done(thread: int) -> None:
            answers.append(thread)
            if len(answers) == 6:
                everything.set()

        for _ in range(6):
            workers.run(work, done)
        await asyncio.wait_for(everything.wait(), 30)
        assert len(set(answers)) == 2
        workers.close()
        workers.join()

    asyncio.run(main())


def test_a_taker_that_raises_keeps_nobody_from_an_answer() -> None:
    async def main() -> None:
        workers = Workers(threads=1)
        told: list[dict[str, object]] = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.append(context))
        answered: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        def broken(result: int) -> None:
            raise RuntimeError("injected")

        workers.run(lambda: 1, broken)
        workers.run(lambda: 2, answered.set_result)
        assert await asyncio.wait_for(answered, 30) == 2
        assert len(told) == 1
        workers.close()
        workers.join()

    asyncio.run(main())


def test_work_on_the_loop_is_done_in_order_and_lets_others_in_between() -> None:
    async def main() -> None:
        workers = Workers(threads=1)
        done: list[int] = []
        turns: list[int] = []

        def look() -> None:
            turns.append(len(done))
            if len(done) < 3 * IN_ONE_TURN + 2:
                asyncio.get_running_loop().call_soon(look)

        def fail() -> None:
            done.append(-1)
            workers.in_turn(lambda: done.append(-2))
            raise ZeroDivisionError

        failures: list[str] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, told: failures.append(told["message"]))
        for number in range(3 * IN_ONE_TURN):
            workers.in_turn(partial(done.append, number))
        workers.in_turn(fail)
        assert not done, "never from inside the call"
        look()
        while len(done) < 3 * IN_ONE_TURN + 2:
            await asyncio.sleep(0)
        assert done == [*range(3 * IN_ONE_TURN), -1, -2]
        assert len(failures) == 1
        assert max(after - before for before, after in pairwise(turns)) <= IN_ONE_TURN
        workers.close()

    asyncio.run(main())
