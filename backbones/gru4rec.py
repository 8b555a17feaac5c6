"""GRU4Rec: a recurrent network."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from backbones.base import Backbone, register
from backbones.layers import Dropout, check_hyper_parameters, zero_padding_row


@register("gru4rec")
class GRU4Rec(Backbone):
    """Gated recurrent units (Hidasi et al., Recommendations with Recurrent Neural Networks, 2016).

    ``Linear(GRU(dropout(E)))``: no biases in the GRU, no dropout between its layers.  It starts
    from a zero state at the first item; the code of the MDCNS paper first runs over the padding.

    Without the item table: ``layers·6d² + d² + d`` parameters.
    """

    causal: ClassVar[bool] = True
    search_space = {"dropout": [0.2, 0.5]}

    def __init__(
        self, n_items: int, dim: int, window: int, *, layers: int = 2, dropout: float = 0.5
    ) -> None:
        """
        Args:
            layers: stacked GRUs.
            dropout: on the item vectors.

        Raises:
            ValueError: a value no model can be built from.
        """
        check_hyper_parameters(dim, window, layers=layers, dropout=dropout)
        super().__init__(n_items, dim, window)
        self.dropout = Dropout(dropout)
        self.gru = nn.GRU(dim, dim, num_layers=layers, bias=False, batch_first=True)
        self.dense = nn.Linear(dim, dim)
        # As published: the item table and the first layer are Xavier's, the rest PyTorch's.
        nn.init.xavier_normal_(self.items.weight)
        zero_padding_row(self.items)
        for weight in self.gru.all_weights[0]:
            nn.init.xavier_uniform_(weight)

    def forward(self, items: Tensor, lengths: Tensor) -> Tensor:
        """``[B, L] -> [B, L, dim]``; see `Backbone.forward`."""
        hidden, _ = self.gru(self.dropout(self.items(items)))
        return self.dense(hidden)
