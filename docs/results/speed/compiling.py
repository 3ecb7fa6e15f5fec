"""What compiling costs and gains, in processor time: `python docs/results/speed/compiling.py RECIPE WAY CALLS [BINDING ..]`.

One process, nothing compiled before; plain and compiled updates take turns, so that whatever else the machine does meets both. `WAY` is
a value of `Runtime.compile`.
"""

import json
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable

os.environ["TORCHINDUCTOR_COMPILE_THREADS"] = "1"  # else other processes compile, whose time nobody counts

from framework.bench import subject
from framework.bench.update import Update


def processor() -> float:
    """Seconds of this process and of the compilers that it called."""
    used = [resource.getrusage(whose) for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def spent(call: Callable[[], object]) -> float:
    begun = processor()
    call()
    return processor() - begun


def main() -> None:
    recipe, way, calls, *bindings = sys.argv[1:]
    with tempfile.TemporaryDirectory() as cache:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = cache
        update = Update(subject.read(recipe, ["Runtime.device='cpu'", "Runtime.threads=1", *bindings, f"Runtime.compile='{way}'"]))
        spent(update.plainly)
        begun, first = time.monotonic(), spent(update)
        waited = time.monotonic() - begun
        times = [(spent(update.plainly), spent(update)) for _ in range(int(calls))]
    plain, compiled = zip(*times, strict=True)
    said = {
        "recipe": recipe,
        "way": way,
        "bindings": bindings,
        "compiling_seconds": first - min(compiled),
        "compiling_wall_seconds": waited,
        "plain_ms": {"least": 1e3 * min(plain), "median": 1e3 * statistics.median(plain)},
        "compiled_ms": {"least": 1e3 * min(compiled), "median": 1e3 * statistics.median(compiled)},
        "ratio_of_least": min(compiled) / min(plain),
        "median_ratio": statistics.median(after / before for before, after in times),
        "load": os.getloadavg()[0],
    }
    print(json.dumps(said, indent=2))


if __name__ == "__main__":
    main()
