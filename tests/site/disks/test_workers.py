"""The thread pool behind the disks."""

import asyncio
import threading

from bilocate.site.disks import Workers


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
