"""Layers of a sentence-transformers folder between pooling and the vector: Dense, LayerNorm, Normalize."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from expandr_repro.encoders.checkpoints.model_files import inside_of, read_object
from expandr_repro.errors import FormatError, MismatchError, NotAvailableError, shown

if TYPE_CHECKING:
    import torch

KINDS = ("Dense", "LayerNorm", "Normalize")


class Head:
    """Layers, one after the other: (texts, dimension) -> (texts, `dimension`) float32.

    Args:
        folder: the model's.
        modules: `Normalize`, `Dense:FOLDER`, `LayerNorm:FOLDER`, in order.
        dimension: of what comes from pooling.
        device: where they compute.

    Raises:
        FormatError: settings that cannot be done, by name.
        NotAvailableError: no weights there as safetensors.
        MismatchError: the weights are of another shape than the settings, or a module does not follow from the one before.
    """

    def __init__(self, folder: Path, modules: Sequence[str], dimension: int, device: str) -> None:
        self.dimension = dimension
        self._steps = [self._step(folder, *module.partition(":")[::2], device) for module in modules]

    def __call__(self, vectors: torch.Tensor) -> torch.Tensor:
        """Send vectors through all layers."""
        for step in self._steps:
            vectors = step(vectors)
        return vectors.float()

    def _step(self, folder: Path, kind: str, inside: str, device: str) -> Callable[[torch.Tensor], torch.Tensor]:
        import torch

        if kind not in KINDS:
            raise FormatError(
                folder, None, f"its module {shown(kind)} is not supported; wanted one of {', '.join(KINDS)}"
            )
        if kind == "Normalize":
            return partial(torch.nn.functional.normalize, dim=-1)
        module_folder = inside_of(folder, inside, folder)
        config = read_object(module_folder / "config.json")
        layers = torch.nn.ModuleDict()
        try:
            if kind == "LayerNorm":
                taken = given = config["dimension"]
                layers["norm"] = torch.nn.LayerNorm(taken)
            else:
                taken, given = config["in_features"], config["out_features"]
                layers["linear"] = torch.nn.Linear(taken, given, bias=bool(config.get("bias", True)))
                if config.get("use_residual") and taken != given:
                    layers["residual"] = torch.nn.Linear(taken, given, bias=False)
        except (KeyError, TypeError, RuntimeError, OverflowError) as error:
            raise FormatError(
                module_folder / "config.json", None, f"no settings of a {kind} module ({error})"
            ) from error
        if taken != self.dimension:
            raise MismatchError(
                f"{module_folder}: {kind} takes {taken} numbers, and {self.dimension} come to it; wanted modules of one model"
            )
        self.dimension = given
        _load_weights(layers, module_folder)
        layers.to(device).eval()
        if kind == "LayerNorm":
            return layers["norm"]
        activation = _activation(module_folder, config.get("activation_function", "torch.nn.modules.activation.Tanh"))
        return partial(_dense, layers, activation, bool(config.get("use_residual")))


def _dense(layers: Any, activation: Any, residual: bool, vectors: torch.Tensor) -> torch.Tensor:
    out: torch.Tensor = activation(layers["linear"](vectors))
    if not residual:
        return out
    return out + (layers["residual"](vectors) if "residual" in layers else vectors)


def _activation(folder: Path, named: object) -> Any:
    """Return one of torch's activations by its name; nothing else is imported, whatever a folder names."""
    import torch

    text = str(named)
    activation = getattr(torch.nn, text.rpartition(".")[2], None) if text.startswith("torch.nn.") else None
    if isinstance(activation, type) and activation.__module__ in (
        "torch.nn.modules.activation",
        "torch.nn.modules.linear",
    ):
        try:
            return activation()
        except TypeError:
            pass
    raise FormatError(
        folder / "config.json",
        None,
        f"the activation function {shown(named)} is not supported; wanted one of torch.nn's",
    )


def _load_weights(layers: Any, folder: Path) -> None:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = folder / "model.safetensors"
    if not path.is_file():
        raise NotAvailableError(
            f"{folder}: no model.safetensors there (other formats can run code and are not loaded); save the model again with sentence-transformers"
        )
    try:
        layers.load_state_dict(load_file(path))
    except (OSError, SafetensorError) as error:
        raise FormatError(path, None, f"cannot be read ({error})") from error
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise MismatchError(
            f"{path}: the weights do not fit the settings next to them ({reason}); wanted both of one model"
        ) from error
