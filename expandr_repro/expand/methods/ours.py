"""The methods of `resources/methods.yaml`."""

from __future__ import annotations

from expandr_repro.errors import FormatError
from expandr_repro.expand.methods.spec import METHODS, read_method
from expandr_repro.io.paths import resource
from expandr_repro.io.strict_yaml import read_yaml

_TABLE = read_yaml(resource("methods.yaml"), ours=True)
if not isinstance(_TABLE, dict):
    raise FormatError("methods.yaml", None, "wanted methods by name")
for _name, _values in _TABLE.items():
    METHODS.add(_name, read_method(_values, "methods.yaml", _name), __name__)
