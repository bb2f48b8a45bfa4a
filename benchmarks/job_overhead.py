"""What handing out one job costs on the process pool and on Ray: CPU of the driver and of everything, and wall.

    python benchmarks/job_overhead.py [--count 2000] [--jobs 2]

A first round starts the processes; the figures are of the second.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter, process_time

from empty_job import EmptyJob
from process_tree import Tree

from codeintel.hamilton_pipeline.crew import crew
from codeintel.settings import Settings
from codeintel.store.directory import ensure_store


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--count", type=int, default=2000)
    arguments.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    given = arguments.parse_args()
    print(f"{'executor':<10}{'driver ms':>12}{'all ms':>12}{'wall ms':>12}   a job, of {given.count}")
    with tempfile.TemporaryDirectory(prefix="codeintel-jobs-") as place:
        store = ensure_store(Path(place, "store"), 1, "")
        with store.writing(datetime.now(UTC), 0.0):
            for executor in ("local", "ray"):
                settings = Settings(executor=executor, jobs=given.jobs)
                with crew(settings, pandas=False) as hands:
                    workers = hands(store, {})
                    for round_ in (0, 1):
                        before, after = Tree(), Tree()
                        before.look([os.getpid()])
                        used, began = process_time(), perf_counter()
                        count = given.count if round_ else 50
                        done = sum(1 for _ in workers.run("empty", [EmptyJob(n) for n in range(count)], heavy=True))
                        wall, driver = perf_counter() - began, process_time() - used
                        after.look([os.getpid()])
                    assert done == given.count
                every = after.cpu_s - before.cpu_s
                print(
                    f"{executor:<10}" + "".join(f"{s / done * 1000:>12.2f}" for s in (driver, every, wall)), flush=True
                )


if __name__ == "__main__":
    main()
