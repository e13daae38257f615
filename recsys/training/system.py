"""What a worker's process takes of its machine."""

import resource
import sys
import time
from dataclasses import dataclass, field

import torch

_RSS_UNIT = 1 if sys.platform == "darwin" else 1 << 10  # bytes of getrusage's ru_maxrss
_GIB = 1 << 30


@dataclass
class SystemFigures:
    """Of this process, between two calls of `taken`."""

    device: torch.device
    _wall_s: float = field(default_factory=time.monotonic)
    _cpu_s: float = field(default_factory=time.process_time)

    def taken(self) -> dict[str, float]:
        """Cores kept busy on average since the last call; the most memory so far, on a GPU that of tensors."""
        wall_s, cpu_s = time.monotonic(), time.process_time()
        cores = (cpu_s - self._cpu_s) / max(wall_s - self._wall_s, 1e-9)
        self._wall_s, self._cpu_s = wall_s, cpu_s
        peak_gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _RSS_UNIT / _GIB
        return {"cpu_cores": cores, "peak_memory_gib": peak_gib, **self._of_gpu()}

    def _of_gpu(self) -> dict[str, float]:
        if self.device.type != "cuda":
            return {}
        return {"gpu_peak_memory_gib": torch.cuda.max_memory_allocated(self.device) / _GIB}
