"""Train an encoder contrastively, step by step; a pure function of weights, optimizer state and step number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from expandr_repro.encoders.encoder import Encoder
from expandr_repro.encoders.protocol import Role
from expandr_repro.errors import DivergedError
from expandr_repro.train_encoder.batches import Batch, draws
from expandr_repro.train_encoder.gradient_cache import StepVectors
from expandr_repro.train_encoder.loss import contrastive_loss
from expandr_repro.train_encoder.settings import EncoderTraining
from expandr_repro.training.processes import Processes


@dataclass(frozen=True)
class StepOptions:
    """How a step is made.

    Attributes:
        config: the training's settings.
        fusion: of the fused view.
        alpha: the query's weight in it, for `mean`.
        precision: fp32, or bf16 for autocast.
    """

    config: EncoderTraining
    fusion: str
    alpha: float | None
    precision: str


class ContrastiveTrainer:
    """An encoder being trained.

    Args:
        encoder: in fp32; trained in place.
        options: how.
        steps: how many there will be, for the learning rate's schedule.
        texts: docid -> text, of every document that a batch can hold.
        processes: who shares the work.
    """

    def __init__(
        self, encoder: Encoder, options: StepOptions, steps: int, texts: Mapping[str, str], processes: Processes
    ) -> None:
        import torch

        self.encoder, self.options, self.steps, self._texts = encoder, options, steps, texts
        self._processes = processes
        self.step_number = 0
        for name, parameter in encoder.model.named_parameters():
            parameter.requires_grad_(not name.startswith("pooler."))  # BERT's pooler is no part of our vectors
        self.parameters = {n: p for n, p in encoder.model.named_parameters() if p.requires_grad}
        plain = ("bias", "norm.weight")
        decayed = [p for n, p in self.parameters.items() if not n.lower().endswith(plain)]
        others = [p for n, p in self.parameters.items() if n.lower().endswith(plain)]
        self.optimizer = torch.optim.AdamW(
            [{"params": decayed, "weight_decay": options.config.weight_decay}, {"params": others, "weight_decay": 0.0}],
            lr=options.config.learning_rate,
        )

    def learning_rate(self) -> float:
        """Return the rate of the step to come: up over the warm-up, then down to zero, both linearly."""
        warm = self.options.config.warmup * self.steps
        done = self.step_number + 1
        down = (self.steps - self.step_number) / max(1.0, self.steps - warm)
        return self.options.config.learning_rate * min(done / warm if warm else 1.0, down, 1.0)

    def step(self, batches: Sequence[Batch]) -> dict[str, float]:
        """Train on batches, each contrasted within itself, their gradients averaged.

        Args:
            batches: the same in every process.

        Returns:
            loss, loss of each view, learning_rate and grad_norm.

        Raises:
            DivergedError: the loss or its gradient is not finite.
            SetupError: a chunk does not fit into the device's memory.
        """
        import torch

        self.encoder.model.train()
        self.optimizer.zero_grad(set_to_none=True)
        sums: dict[str, float] = {}
        for number, batch in enumerate(batches):
            for name, value in self._accumulate(batch, number, len(batches)).items():
                sums[name] = sums.get(name, 0.0) + value / len(batches)
        self._refuse_infinite("loss", sums["loss"])
        self._processes.sum_gradients(self.parameters.values())
        norm = torch.nn.utils.clip_grad_norm_(self.parameters.values(), self.options.config.max_grad_norm)
        self._refuse_infinite("gradient's norm", float(norm))
        rate = self.learning_rate()
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        try:
            self.optimizer.step()
        except RuntimeError as error:  # a step that float32 cannot hold
            if "overflow" in str(error):
                self._refuse_infinite("step's size", float("inf"))
            raise
        self.step_number += 1
        return {**sums, "learning_rate": rate, "grad_norm": float(norm)}

    def _refuse_infinite(self, what: str, value: float) -> None:
        import math

        if not math.isfinite(value):
            config = self.options.config
            other = "" if self.options.precision == "fp32" else ", or use --precision fp32"
            raise DivergedError(
                f"step {self.step_number + 1}: the {what} is {value}; lower learning_rate ({config.learning_rate:g}) or raise temperature ({config.temperature:g}){other}"
            )

    def _accumulate(self, batch: Batch, number: int, of: int) -> dict[str, float]:
        """Add a batch's share of the gradient to the parameters'."""
        import torch

        options, config = self.options, self.options.config
        expanded = any(view != "query" for view in config.views)
        texts: list[tuple[Role, Sequence[str]]] = [
            ("query", batch.queries),
            ("expansion", batch.expansions if expanded else ()),
            ("document", [self._texts[d] for d in batch.documents]),
        ]
        ids = [row for role, some in texts if some for row in self.encoder.tokenize(some, role)]
        vectors = StepVectors(
            self.encoder,
            ids,
            chunk_tokens=config.chunk_tokens,
            seed=draws(config.seed, "dropout", self.step_number, number).getrandbits(40),
            cached=config.gradient_cache,
            precision=options.precision,
            processes=self._processes,
        )
        first, second = len(batch.queries), len(batch.queries) + len(texts[1][1])
        matrix = vectors.matrix
        loss, parts = contrastive_loss(
            matrix[:first],
            matrix[first:second],
            batch.owners if expanded else (),
            matrix[second:],
            batch.targets,
            batch.masked,
            fusion=options.fusion,
            views=config.views,
            temperature=config.temperature,
            alpha=options.alpha,
        )
        torch.autograd.backward(loss / of)
        vectors.backward()
        return {"loss": float(loss.detach()), **{f"loss_{view}": float(part.detach()) for view, part in parts.items()}}
