"""SASRec (Kang and McAuley 2018): self-attention over the history, under softmax cross-entropy.

Blocks normalise after adding, as BERT's do, and the loss is not the paper's one negative a place, which falls far
behind (Klenitskiy and Vasilev 2023).
"""

from recsys.models.transformer import Transformer, TransformerConfig


class SasRec(Transformer):
    def __init__(self, config: TransformerConfig, items: int) -> None:
        super().__init__(config, items)
