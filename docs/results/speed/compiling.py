"""Cost and gain of compilation, in processor time: `python docs/results/speed/compiling.py RECIPE MODE CALLS [BINDING ..]`.

One process without anything compiled before; plain and compiled updates take turns, so that other work of the machine slows both. `MODE`
is a value of `Runtime.compile`.
"""

import json
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable

os.environ["TORCHINDUCTOR_COMPILE_THREADS"] = "1"  # so that no other process compiles, whose time is not counted

import framework
from framework.bench.update import SampledUpdate


def processor() -> float:
    """Processor seconds of this process and of the compilers that it called."""
    used = [resource.getrusage(whose) for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def spent(call: Callable[[], object]) -> float:
    begun = processor()
    call()
    return processor() - begun


def main() -> None:
    recipe, mode, calls, *bindings = sys.argv[1:]
    with tempfile.TemporaryDirectory() as cache:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = cache
        settings = ["Runtime.device='cpu'", "Runtime.threads=1", *bindings, f"Runtime.compile='{mode}'"]
        update = SampledUpdate(framework.compose(recipe, settings))
        spent(update.uncompiled)
        begun, first = time.monotonic(), spent(update)
        waited = time.monotonic() - begun
        times = [(spent(update.uncompiled), spent(update)) for _ in range(int(calls))]
    plain, compiled = zip(*times, strict=True)
    table = {
        "recipe": recipe,
        "mode": mode,
        "bindings": bindings,
        "compiling_seconds": first - min(compiled),
        "compiling_wall_seconds": waited,
        "plain_ms": {"least": 1e3 * min(plain), "median": 1e3 * statistics.median(plain)},
        "compiled_ms": {"least": 1e3 * min(compiled), "median": 1e3 * statistics.median(compiled)},
        "ratio_of_least": min(compiled) / min(plain),
        "median_ratio": statistics.median(after / before for before, after in times),
        "load": os.getloadavg()[0],
    }
    print(json.dumps(table, indent=2))


if __name__ == "__main__":
    main()
