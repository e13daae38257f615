"""How well a network of features tells the labels of rows that it did not learn from, by log-loss and area under the
curve, and how well it ranks the candidates of users of the validation window.
"""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from recsys import columns as c
from recsys.manifest import Manifest, RowGroup
from recsys.training.batches import Batch, ordered_batches
from recsys.training.losses import ValidationSums, validation_figures
from recsys.training.objective import FIGURES_OF_ROWS
from recsys.training.plan import plan_epoch
from recsys.training.row_ranking import Ranked, ranking_figures, ranking_sums
from recsys.training.watch import ALLREDUCE, Clock
from recsys.training.workers import OneWorker, Workers

if TYPE_CHECKING:
    from recsys.training.loop import Fit

_BATCH_ROWS = 8192


def validate(shared: "Fit", folder: str, manifest: Manifest) -> dict[str, float]:
    """A collective, over all workers' rows: FIGURES_OF_ROWS; see ranking_figures for what the last two count."""
    clock, workers = shared.clock, shared.workers
    judged = _Judged(network=shared.model, folder=folder, manifest=manifest, device=shared.device, clock=clock)
    sums = [judged.label_sums(workers), judged.ranking_sums(workers)]
    clock.enter(ALLREDUCE)
    workers.add_up(sums)
    clock.enter("validation")
    return _figures(sums, manifest)


def measured(network: nn.Module, folder: str, manifest: Manifest) -> dict[str, float]:
    """The same by this process alone, on the CPU."""
    judged, alone = _Judged(network=network, folder=folder, manifest=manifest), OneWorker()
    return _figures([judged.label_sums(alone), judged.ranking_sums(alone)], manifest)


def _figures(sums: Sequence[Tensor], manifest: Manifest) -> dict[str, float]:
    labels, ranking = sums
    values = (*validation_figures(labels), *ranking_figures(ranking, manifest.ranking))
    return dict(zip(FIGURES_OF_ROWS, values, strict=True))


@dataclass(frozen=True, kw_only=True)
class _Judged:
    network: nn.Module
    folder: str
    manifest: Manifest
    device: torch.device = field(default_factory=partial(torch.device, "cpu"))
    clock: Clock = field(default_factory=Clock)

    def label_sums(self, workers: Workers) -> Tensor:
        sums = ValidationSums(self.device)
        for batch, logit_B in self._answers(self.manifest.validation.row_groups, workers):
            sums.add(logit_B, batch.label_B)
        return sums.vector()

    def ranking_sums(self, workers: Workers) -> Tensor:
        """A user's rows lie in one row group, and so come to one worker."""
        parts = [np.zeros((0, 4))]
        for batch, logit_B in self._answers(self.manifest.ranking.row_groups, workers, (c.NUM_RELEVANT,)):
            columns = (batch.ids_BI[:, 0], torch.sigmoid(logit_B.double()), batch.label_B, batch.numeric_BF[:, -1])
            parts.append(torch.stack([column.double().cpu() for column in columns], dim=1).numpy())
        user_P, score_P, label_P, relevant_P = np.concatenate(parts).T
        return ranking_sums(
            Ranked(
                user_idx_P=user_P.astype(np.int64),
                score_P=score_P,
                is_bought_P=label_P > 0,
                relevant_P=relevant_P.astype(np.int64),
            )
        )

    @torch.no_grad()
    def _answers(
        self, row_groups: Sequence[RowGroup], workers: Workers, beside: tuple[str, ...] = ()
    ) -> Iterator[tuple[Batch, Tensor]]:
        """The worker's share of the rows with their logits; columns `beside` stand behind the numbers."""
        self.network.eval()
        ids, numbers = self.manifest.inputs.columns
        plan = plan_epoch(row_groups, epoch=0, seed=0, workers=workers.count, batch_size=_BATCH_ROWS)
        read = ordered_batches(
            self.folder, plan.row_groups[workers.index], batch_size=_BATCH_ROWS, columns=(ids, (*numbers, *beside))
        )
        with closing(read) as batches:
            for batch in batches:
                self.clock.enter("validation")
                on_device = batch.to(self.device)
                width = on_device.numeric_BF.shape[1] - len(beside)
                yield on_device, self.network(on_device.ids_BI, on_device.numeric_BF[:, :width])
