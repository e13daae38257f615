import time

import psutil
import torch

from recsys.training.system import SystemFigures


def test_a_busy_core_counts_one_and_memory_is_at_least_what_is_held() -> None:
    figures = SystemFigures(torch.device("cpu"))
    figures.taken()
    time.sleep(0.2)
    idle = figures.taken()
    held_gib = psutil.Process().memory_info().rss / (1 << 30)
    until = time.process_time() + 0.2
    while time.process_time() < until:
        pass
    busy = figures.taken()
    assert idle["cpu_cores"] < 0.5
    # Others may hold the core meanwhile: that it was used at all is what can be asked.
    assert idle["cpu_cores"] < busy["cpu_cores"] < 1.5
    assert 0.9 * held_gib < busy["peak_memory_gib"] < psutil.virtual_memory().total / (1 << 30)
    assert set(busy) == {"cpu_cores", "peak_memory_gib"}
