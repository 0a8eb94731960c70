"""What bench_pools asks, asked of Python: pools.py ID prints microseconds.

Nothing, and status 1, for what it is not asked.
"""
import asyncio
import concurrent.futures
import sys
import time

CALLS, JOBS, TOGETHER, MIB, TRANSFERS = 3000, 2000, 64, 1 << 20, 100


def nothing():
    return 0


def give_back(data):
    return data


async def blocking():
    loop = asyncio.get_running_loop()
    for _ in range(CALLS):
        await loop.run_in_executor(None, nothing)


async def blocking_64():
    loop = asyncio.get_running_loop()

    async def share():
        for _ in range(CALLS // TOGETHER):
            await loop.run_in_executor(None, nothing)

    await asyncio.gather(*(share() for _ in range(TOGETHER)))


def job(pool):
    for _ in range(JOBS):
        pool.submit(nothing).result()


def job_64(pool):
    waiting = [pool.submit(nothing) for _ in range(TOGETHER)]
    for _ in range(JOBS - TOGETHER):
        waiting.pop(0).result()
        waiting.append(pool.submit(nothing))
    for one in waiting:
        one.result()


def job_1mib(pool):
    data = bytes(MIB)
    for _ in range(TRANSFERS):
        pool.submit(give_back, data).result()


def timed(run, count):
    begin = time.monotonic()
    run()
    print((time.monotonic() - begin) * 1e6 / count)


def ask(question):
    if question == "blocking":
        timed(lambda: asyncio.run(blocking()), CALLS)
    elif question == "blocking_64":
        timed(lambda: asyncio.run(blocking_64()), CALLS)
    elif question in ("job", "job_64", "job_1MiB"):
        run, workers, count = {
            "job": (job, 1, JOBS),
            "job_64": (job_64, 2, JOBS),
            "job_1MiB": (job_1mib, 1, TRANSFERS),
        }[question]
        with concurrent.futures.ProcessPoolExecutor(workers) as pool:
            pool.submit(nothing).result()
            timed(lambda: run(pool), count)
    else:
        sys.exit(1)


if __name__ == "__main__":
    ask(sys.argv[1])
