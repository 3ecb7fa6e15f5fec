"""What is not known before a run is built, and how it spreads."""

from typing import Any, Final, NoReturn, final


@final
class NotKnown(Exception):
    """Something would be decided, or said, by what is not known."""


@final
class Unknown:
    """A value that is not known: whatever is made of it is not known either, and nothing can be decided or said by it."""

    def _spread(self, *_: object, **__: object) -> "Unknown":
        return self

    def _refuse(self, *_: object) -> NoReturn:
        raise NotKnown

    def __getattr__(self, name: str) -> Any:
        return self

    __call__ = __getitem__ = _spread
    __add__ = __sub__ = __mul__ = __matmul__ = __truediv__ = __floordiv__ = __mod__ = __pow__ = __and__ = __or__ = _spread
    __radd__ = __rsub__ = __rmul__ = __rmatmul__ = __rtruediv__ = __rfloordiv__ = __rmod__ = __rpow__ = __rand__ = __ror__ = _spread
    __neg__ = __pos__ = __invert__ = __abs__ = _spread
    __lt__ = __le__ = __gt__ = __ge__ = _spread
    __eq__ = __ne__ = _spread  # type: ignore[assignment]
    __bool__ = __len__ = __iter__ = __contains__ = __hash__ = _refuse
    __str__ = __repr__ = __format__ = _refuse


UNKNOWN: Final = Unknown()


@final
class Given:
    """Something of which the attributes named here are known."""

    def __init__(self, **known: Any) -> None:
        vars(self).update(known)

    def __eq__(self, other: object) -> bool:
        raise NotKnown

    def __getattr__(self, name: str) -> Any:
        return UNKNOWN
