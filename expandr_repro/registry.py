"""Registries of named functions and classes: each is one decorated definition, with its parameters, and plug-ins add theirs through entry points."""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
import inspect
import math
import pkgutil
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, ClassVar, Generic, Literal, Self, TypeVar

from expandr_repro.errors import ExpandrError, UnknownNameError, shown

T = TypeVar("T")


@dataclass(frozen=True)
class Within:
    """Bounds of a finite number: `low` and `high` are included, `above` and `below` are not: `Annotated[float, Within(0, below=1)]`."""

    low: float = -math.inf
    high: float = math.inf
    above: float = -math.inf
    below: float = math.inf

    def __contains__(self, value: float) -> bool:
        """Return whether a number keeps to the bounds."""
        return self.low <= value <= self.high and self.above < value < self.below

    def __str__(self) -> str:
        """Return the bounds in words."""
        if math.isfinite(self.low) and math.isfinite(self.high):
            return f"{self.low:g} to {self.high:g}"
        limits = {
            "more than {:g}": self.above,
            "{:g} or more": self.low,
            "less than {:g}": self.below,
            "{:g} or less": self.high,
        }
        parts = [words.format(limit) for words, limit in limits.items() if math.isfinite(limit)]
        return " and ".join(parts) or "a finite number"


@dataclass(frozen=True)
class Parameter:
    """A parameter of something in a registry: a keyword-only argument with a default.

    Attributes:
        name: of the argument.
        default: its value where none is given.
        kinds: the types it may have.
        choices: the values it may have; empty for all.
        bounds: of a number.
    """

    name: str
    default: object
    kinds: tuple[type, ...]
    choices: tuple[object, ...] = ()
    bounds: Within = Within()

    @property
    def wanted(self) -> str:
        """What values the parameter takes, in words."""
        if self.choices:
            return " or ".join(map(str, self.choices))
        words = {int: "a whole number", float: "a number", bool: "true or false", str: "text", type(None): "none"}
        limits = "" if self.bounds == Within() else f", {self.bounds}"
        names = [words[kind] + (limits if kind in (int, float) else "") for kind in self.kinds]
        return " or ".join(names)

    def parse(self, text: str) -> object:
        """Return the value that a text means; the text itself where it means none, which `check` then refuses."""
        word = text.strip()
        for kind in self.kinds:
            if kind is type(None) and word.lower() == "none":
                return None
            if kind is bool and word.lower() in ("true", "false"):
                return word.lower() == "true"
            if kind in (int, float):
                try:
                    return kind(word)
                except ValueError:
                    continue
        return next((choice for choice in self.choices if str(choice) == word), word)

    def check(self, owner: str, value: object) -> object:
        """Return a value as the parameter's type.

        Raises:
            ExpandrError: its type or its size is wrong.
        """
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if self.choices:
            good = value in self.choices
        elif number and float in self.kinds:
            value, good = float(value), math.isfinite(value)  # type: ignore[arg-type]
        else:
            good = type(value) in self.kinds
        if good and number and not self.choices:
            good = value in self.bounds  # type: ignore[operator]
        if not good:
            raise ExpandrError(f"{owner}: {self.name}={shown(value)}; wanted {self.wanted}")
        return value


def parameters_of(function: Callable[..., Any]) -> dict[str, Parameter]:
    """Read the parameters of a function from its keyword-only arguments that have a default.

    Raises:
        ExpandrError: an argument's annotation is missing or of no supported type.
    """
    parameters = {}
    for argument in inspect.signature(function).parameters.values():
        if argument.kind is argument.KEYWORD_ONLY and argument.default is not argument.empty:
            parameters[argument.name] = _parameter(function, argument)
    return parameters


def _parameter(function: Callable[..., Any], argument: inspect.Parameter) -> Parameter:
    annotation, bounds = argument.annotation, Within()
    try:
        if isinstance(annotation, str):
            annotation = eval(annotation, dict(vars(importlib.import_module(function.__module__))))  # noqa: S307
    except Exception as error:
        raise ExpandrError(f"{function.__name__}: the type of {argument.name} cannot be read ({error})") from error
    if typing.get_origin(annotation) is Annotated:
        annotation, *notes = typing.get_args(annotation)
        bounds = next((note for note in notes if isinstance(note, Within)), bounds)
    if typing.get_origin(annotation) is Literal:
        return Parameter(argument.name, argument.default, (str,), typing.get_args(annotation))
    union = isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is typing.Union
    kinds = typing.get_args(annotation) if union else (annotation,)
    if not set(kinds) <= {int, float, bool, str, type(None)}:
        raise ExpandrError(
            f"{function.__name__}: {argument.name} is of type {annotation!r}; wanted int, float, bool, str, None, or a Literal of texts"
        )
    return Parameter(argument.name, argument.default, kinds, (), bounds)


def split_values(kind: str, text: str) -> tuple[str, dict[str, str]]:
    """Split `NAME:PARAMETER=VALUE,...` as typed.

    Raises:
        ExpandrError: a part is not `PARAMETER=VALUE`, or a parameter occurs twice.

    Example:
        >>> split_values("fusion", "mean:alpha=0.3")
        ('mean', {'alpha': '0.3'})
    """
    name, colon, rest = text.partition(":")
    values: dict[str, str] = {}
    for part in rest.split(",") if colon else ():
        key, equals, value = (word.strip() for word in part.partition("="))
        if not key or not equals or not value:
            raise ExpandrError(f"{kind} {shown(text)}: {shown(part)} is not a parameter; write NAME:PARAMETER=VALUE, with commas between several")  # fmt: skip
        if key in values:
            raise ExpandrError(f"{kind} {shown(text)}: {key} occurs twice; give each parameter once")
        values[key] = value
    return name.strip(), values


def fill_values(
    owner: str,
    parameters: Mapping[str, Parameter],
    given: Mapping[str, object],
    others: Mapping[str, object] | None = None,
) -> dict[str, object]:
    """Return the values of all parameters: those given, checked, and those of `others`, or the defaults, for the rest.

    Raises:
        UnknownNameError: there is no such parameter.
        ExpandrError: a value's type or size is wrong.
    """
    for name in given:
        if name not in parameters:
            if not parameters:
                raise ExpandrError(f"{owner} has no parameters, and {name} was given; leave it out")
            raise UnknownNameError(f"parameter of {owner}", name, parameters)
    rest = defaults_of(parameters) if others is None else others
    return {name: p.check(owner, given[name]) if name in given else rest[name] for name, p in parameters.items()}


def defaults_of(parameters: Mapping[str, Parameter]) -> dict[str, object]:
    """Return the default of each parameter."""
    return {name: p.default for name, p in parameters.items()}


def summary_of(function: object) -> str:
    """Return the first sentence of a docstring, without its full stop and in lower case at its beginning."""
    first = " ".join((inspect.getdoc(function) or "").partition("\n\n")[0].split()).partition(". ")[0].rstrip(".")
    return first if first[:2].isupper() or first[1:2].isupper() else first[:1].lower() + first[1:]


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A decorated function, with the values of its parameters.

    Attributes:
        name: as typed.
        function: what was decorated; its decorator says what it is given.
        source: where it comes from.
        parameters: by name, as the function declares them.
        values: of all parameters.
    """

    kind: ClassVar[str]
    name: str
    function: Callable[..., Any]
    source: str = ""
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_function(cls, function: Callable[..., Any], *more: Parameter, **fields: Any) -> Self:
        """Return the entry of a function, its parameters at their defaults; `more` are read by others than the function.

        Raises:
            ExpandrError: the parameters cannot be read.
        """
        parameters = {p.name: p for p in more} | parameters_of(function)
        return cls(function=function, parameters=parameters, values=defaults_of(parameters), **fields)

    @property
    def summary(self) -> str:
        """What it does: the first sentence of the function's docstring."""
        return summary_of(self.function)

    def set(self, given: Mapping[str, object]) -> Self:
        """Return it with some parameters set.

        Raises:
            UnknownNameError: there is no such parameter.
            ExpandrError: a value's type or size is wrong.
        """
        return replace(self, values=fill_values(f"{self.kind} {self.name!r}", self.parameters, given, self.values))

    def parsed(self, typed: Mapping[str, str]) -> Self:
        """Return it with some parameters set as they are typed, with the errors of `set`."""
        return self.set({k: self.parameters[k].parse(v) if k in self.parameters else v for k, v in typed.items()})

    def __str__(self) -> str:
        """Return how it is typed: `mean:alpha=0.3`; parameters at their defaults are left out."""
        changed = {k: v for k, v in self.values.items() if v != self.parameters[k].default}
        given = ",".join(f"{k}={'none' if v is None else v}" for k, v in changed.items())
        return f"{self.name}:{given}" if given else self.name


class Registry(Mapping[str, T], Generic[T]):
    """Things by name: ours, from the modules of some packages, and those of plug-ins, from an entry-point group.

    Reading it as a mapping gives ours. `find` also looks among the plug-ins, and loads one only where its name is asked for.

    Args:
        kind: what it holds, for errors: "fusion".
        group: the entry-point group of plug-ins.
        places: modules, or packages all of whose modules are imported when a name is first looked up.
        adopt: makes an entry of what a plug-in's entry point names, and may refuse it; None where a decorator has registered it.
    """

    def __init__(self, kind: str, group: str, *places: str, adopt: Callable[[Any], T] | None = None) -> None:
        self.kind, self.group, self._places, self._adopt = kind, group, places, adopt
        self._ours: dict[str, T] = {}
        self._theirs: dict[str, T] = {}
        self._modules: dict[str, str] = {}
        self._loaded = False

    def add(self, name: str, thing: T, module: str, *, again: bool = False) -> None:
        """Register what a module defines, as a decorator does. A third party's module may define its own again.

        Args:
            name: its name.
            thing: what is registered.
            module: where it is defined.
            again: whether it takes the place of what has the name.

        Raises:
            ExpandrError: the name is taken.
        """
        ours = module.startswith("expandr_repro.")
        if not ours:
            self._import_ours()
        if self._modules.get(name, module) != module and not again:
            raise ExpandrError(f"{self.kind} {name!r} is there already, in {self._modules[name]}; choose another name")
        self._modules[name] = module
        (self._ours if ours else self._theirs)[name] = thing

    def known(self, name: str) -> T | None:
        """Return what has been registered under a name so far, or None."""
        self._import_ours()
        return self._ours.get(name, self._theirs.get(name))

    def registered(self, name: str) -> T | None:
        """Return what of ours is registered already under a name, without importing anything."""
        return self._ours.get(name)

    def find(self, name: str, hint: str = "") -> T:
        """Return what has a name, of ours or of a plug-in.

        Raises:
            UnknownNameError: nothing has it.
            ExpandrError: a plug-in has it, and does not load.
        """
        thing = self.known(name)
        if thing is None and name in (plugins := self.plugins()):
            self._load(plugins[name])
            thing = self._theirs.get(name)
            if thing is None:
                raise ExpandrError(f"plug-in {package_of(plugins[name])}: its entry point {name!r} in {self.group} registers no {self.kind} of that name")  # fmt: skip
        if thing is None:
            raise UnknownNameError(self.kind, name, self.names(), hint)
        return thing

    def names(self) -> list[str]:
        """Return all names: ours, then those of plug-ins, which are not loaded."""
        return list(dict.fromkeys([*self, *self._theirs, *self.plugins()]))

    def plugins(self) -> dict[str, importlib.metadata.EntryPoint]:
        """Return the entry points of installed plug-ins, by name."""
        return {point.name: point for point in importlib.metadata.entry_points(group=self.group)}

    def origin(self, name: str) -> dict[str, str]:
        """Return what pins a plug-in's code: its package with version, or its module, and a hash of the source; nothing for ours."""
        if name not in self._theirs:
            return {}
        module, point = self._modules[name], self.plugins().get(name)
        try:
            source = inspect.getsource(importlib.import_module(module))
        except (OSError, TypeError):  # typed in a notebook
            source = ""
        return {"from": package_of(point) if point else module, "source_sha256": hashlib.sha256(source.encode()).hexdigest()}  # fmt: skip

    def _load(self, point: importlib.metadata.EntryPoint) -> None:
        try:
            thing = point.load()
            if self._adopt:
                self.add(point.name, self._adopt(thing), point.module)
        except Exception as error:
            reason = " ".join(str(error).split())
            raise ExpandrError(f"plug-in {package_of(point)}, which adds the {self.kind} {point.name!r}, does not load: {type(error).__name__}: {reason}; fix or uninstall it") from error  # fmt: skip

    def _import_ours(self) -> None:
        if self._loaded:
            return
        self._loaded = True
        for package in self._places:
            module = importlib.import_module(package)
            for module_info in pkgutil.iter_modules(getattr(module, "__path__", ())):
                importlib.import_module(f"{package}.{module_info.name}")

    def __getitem__(self, name: str) -> T:
        """Return one of ours."""
        self._import_ours()
        return self._ours[name]

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names of ours: by module, then as they are defined there."""
        self._import_ours()
        return iter(sorted(self._ours, key=self._modules.__getitem__))

    def __len__(self) -> int:
        """Count ours."""
        self._import_ours()
        return len(self._ours)


def package_of(point: importlib.metadata.EntryPoint) -> str:
    """Return the package and the version that an entry point belongs to."""
    return f"{point.dist.name} {point.dist.version}" if point.dist else point.value
