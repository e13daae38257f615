"""How well a network of features tells labels: log-loss and area under the curve of rows that it did not learn from."""

from collections.abc import Sequence
from contextlib import closing
from typing import TYPE_CHECKING

import torch
from torch import nn

from recsys.manifest import Inputs, Manifest, RowGroup
from recsys.training.batches import ordered_batches
from recsys.training.losses import ValidationSums, validation_figures
from recsys.training.objective import VALIDATION_AUC, VALIDATION_LOSS
from recsys.training.plan import plan_epoch
from recsys.training.watch import ALLREDUCE, Clock

if TYPE_CHECKING:
    from recsys.training.loop import Fit

_BATCH_ROWS = 8192


def validate(shared: "Fit", folder: str, manifest: Manifest) -> dict[str, float]:
    """A collective, over all workers' rows."""
    workers, groups = shared.workers, manifest.validation.row_groups
    plan = plan_epoch(groups, epoch=0, seed=0, workers=workers.count, batch_size=_BATCH_ROWS)
    sums = ValidationSums(shared.device)
    own = plan.row_groups[workers.index]
    _add(sums, shared.model, folder, own, manifest.inputs, shared.device, shared.clock)
    total = sums.vector()
    shared.clock.enter(ALLREDUCE)
    workers.add_up([total])
    shared.clock.enter("validation")
    return _figures(total)


def measured(network: nn.Module, folder: str, manifest: Manifest) -> dict[str, float]:
    """The same by this process alone, on the CPU."""
    cpu = torch.device("cpu")
    sums = ValidationSums(cpu)
    _add(sums, network, folder, manifest.validation.row_groups, manifest.inputs, cpu, Clock())
    return _figures(sums.vector())


@torch.no_grad()
def _add(  # noqa: PLR0913  # what both have and one of them shares
    sums: ValidationSums,
    network: nn.Module,
    folder: str,
    row_groups: Sequence[RowGroup],
    inputs: Inputs,
    device: torch.device,
    clock: Clock,
) -> None:
    network.eval()
    with closing(ordered_batches(folder, row_groups, batch_size=_BATCH_ROWS, columns=inputs.columns)) as batches:
        for batch in batches:
            clock.enter("validation")
            on_device = batch.to(device)
            sums.add(network(on_device.ids_BI, on_device.numeric_BF), on_device.label_B)


def _figures(total: torch.Tensor) -> dict[str, float]:
    return dict(zip((VALIDATION_LOSS, VALIDATION_AUC), validation_figures(total), strict=True))
