"""Write a model as an ONNX graph and run it on a CPU with ONNX Runtime, without torch, transformers or the package onnx.

A graph is a protocol buffer of a few messages (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto), whose field numbers stand below.
Weights stay outside it: ONNX Runtime takes them from numpy's memory. Operators of the domain `com.microsoft` are its own, documented in
its ContribOperators.md.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

OWN = "com.microsoft"

KINDS = {"float32": 1, "int32": 6, "int64": 7}
"""numpy's name of a type -> ONNX's number."""


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value % (1 << 64))


def _bytes(field: int, value: bytes | str) -> bytes:
    content = value.encode() if isinstance(value, str) else value
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def _attribute(name: str, value: float | int | Sequence[int]) -> bytes:
    if isinstance(value, float):
        return _bytes(1, name) + _varint(2 << 3 | 5) + struct.pack("<f", value) + _number(20, 1)
    if isinstance(value, int):
        return _bytes(1, name) + _number(3, value) + _number(20, 2)
    return _bytes(1, name) + b"".join(_number(8, number) for number in value) + _number(20, 7)


def _value(name: str, kind: str, rank: int) -> bytes:
    shape = b"".join(_bytes(1, _bytes(2, f"{name}.{axis}")) for axis in range(rank))
    return _bytes(1, name) + _bytes(2, _bytes(1, _number(1, KINDS[kind]) + _bytes(2, shape)))


class Graph:
    """An ONNX graph that is being written: operators are added in the order in which they are computed."""

    def __init__(self) -> None:
        self.weights: dict[str, NDArray[Any]] = {}
        self._nodes: list[bytes] = []

    def __call__(self, kind: str, *inputs: str, domain: str = "", **attributes: float | int | Sequence[int]) -> str:
        """Add an operator; return the name of its first output.

        Args:
            kind: of operator.
            inputs: names of values, of `weight` or of the model's inputs; empty for one that is left out.
            domain: whose operator it is; ONNX's own if empty.
            attributes: of the operator.
        """
        name = f"value.{len(self._nodes)}"
        parts = [_bytes(1, value) for value in inputs] + [_bytes(2, name), _bytes(4, kind), _bytes(7, domain)]
        self._nodes.append(b"".join(parts + [_bytes(5, _attribute(*item)) for item in attributes.items()]))
        return name

    def weight(self, array: NDArray[Any]) -> str:
        """Add a constant; return its name."""
        import numpy as np

        name = f"weight.{len(self.weights)}"
        self.weights[name] = np.ascontiguousarray(array)
        return name

    def model(self, inputs: Mapping[str, tuple[str, int]], output: str) -> bytes:
        """Return the model.

        Args:
            inputs: name -> type and number of dimensions.
            output: the value to compute, of three dimensions.
        """
        graph = b"".join(_bytes(1, node) for node in self._nodes) + _bytes(2, "encoder")
        for name, array in self.weights.items():
            shape = b"".join(_number(1, size) for size in array.shape)
            location = _bytes(13, _bytes(1, "location") + _bytes(2, "memory")) + _number(14, 1)
            graph += _bytes(5, shape + _number(2, KINDS[array.dtype.name]) + _bytes(8, name) + location)
        graph += b"".join(_bytes(11, _value(name, *shape)) for name, shape in inputs.items())
        graph += _bytes(12, _value(output, "float32", 3))
        versions = (("", 17), (OWN, 1))
        return (
            _number(1, 8)
            + _bytes(7, graph)
            + b"".join(_bytes(8, _bytes(1, domain) + _number(2, number)) for domain, number in versions)
        )

    def session(self, inputs: Mapping[str, tuple[str, int]], output: str) -> Session:
        """Return the model, ready to run."""
        return Session(self.model(inputs, output), self.weights)


class Session:
    """A model in ONNX Runtime.

    Args:
        model: as `Graph` writes it.
        weights: its constants, which stay in memory as they are.
    """

    def __init__(self, model: bytes, weights: Mapping[str, NDArray[Any]]) -> None:
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads = threads()
        options.log_severity_level = 3
        self._weights = {name: ort.OrtValue.ortvalue_from_numpy(array) for name, array in weights.items()}
        options.add_external_initializers(list(self._weights), list(self._weights.values()))
        self._session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def __call__(self, **inputs: NDArray[Any]) -> NDArray[Any]:
        """Compute the output of inputs by name."""
        output: NDArray[Any] = self._session.run(None, inputs)[0]
        return output


def threads() -> int:
    """Return how many threads compute: `$OMP_NUM_THREADS`, as for torch, else one for each processor that this process may use."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    if asked.isascii() and asked.isdigit() and int(asked):
        return int(asked)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
