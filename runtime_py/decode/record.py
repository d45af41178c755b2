"""Immutable values with named fields, as frozen dataclasses are, without the import of `dataclasses`.

That import, with all that it brings, and the making of a few such classes take as long as the rest of a native parser's
start, and such an instance twice as long to make. `dataclasses.replace`, `fields` and `asdict` work all the same.
"""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

if TYPE_CHECKING:
    from dataclasses import Field


class _Fields:
    """The description of fields that `dataclasses` asks for, made when it asks."""

    def __get__(self, record: object, owner: type[Record]) -> dict[str, Any]:
        from dataclasses import MISSING, field, make_dataclass

        defaults = owner.__init__.__defaults__ or ()
        given = (MISSING,) * (len(owner.names) - len(defaults)) + defaults
        described = [
            (name, owner.__annotations__[name], field(default=default, compare=name in owner.compared))
            for name, default in zip(owner.names, given, strict=True)
        ]
        fields: dict[str, Any] = vars(make_dataclass(owner.__name__, described, frozen=True))["__dataclass_fields__"]
        owner.__dataclass_fields__ = fields
        return fields


class Record:
    """A value whose fields are its slots, in the order of their annotations and of the arguments of `__init__`.

    Attributes:
        names: Names of the fields.
        compared: Names of the fields that equality and hash are of.
        setters: What sets each field of a new instance, for `__init__`.
    """

    __slots__ = ()
    names: ClassVar[tuple[str, ...]]
    compared: ClassVar[tuple[str, ...]]
    setters: ClassVar[tuple[Any, ...]]
    _key: ClassVar[Any]
    if TYPE_CHECKING:
        __dataclass_fields__: ClassVar[dict[str, Field[Any]]]
    else:
        __dataclass_fields__ = _Fields()

    def __init_subclass__(cls, *, uncompared: tuple[str, ...] = ()) -> None:
        """Look the fields up.

        Args:
            uncompared: Fields that make no difference to equality.
        """
        cls.names = tuple(cls.__annotations__)
        cls.compared = tuple(name for name in cls.names if name not in uncompared)
        cls.setters = tuple(vars(cls)[name].__set__ for name in cls.names)
        cls._key = staticmethod(attrgetter(*cls.compared))
        cls.__match_args__ = cls.names  # type: ignore[misc,attr-defined]

    def __eq__(self, other: object) -> bool:
        """Return whether two values of one class have equal fields."""
        if other.__class__ is not self.__class__:
            return NotImplemented
        return bool(self._key(self) == self._key(other))

    def __hash__(self) -> int:
        """Return the hash of the fields."""
        return hash(self._key(self))

    def __setattr__(self, name: str, value: object) -> NoReturn:
        """Refuse to change a field."""
        from dataclasses import FrozenInstanceError

        raise FrozenInstanceError(f"cannot assign to field {name!r}")

    def __delattr__(self, name: str) -> NoReturn:
        """Refuse to delete a field."""
        from dataclasses import FrozenInstanceError

        raise FrozenInstanceError(f"cannot delete field {name!r}")

    def __reduce__(self) -> tuple[Any, ...]:
        """Return how a copy is made, for pickle."""
        return type(self), tuple(getattr(self, name) for name in self.names)

    def __repr__(self) -> str:
        """Show the fields with their names."""
        shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.names)
        return f"{type(self).__name__}({shown})"
