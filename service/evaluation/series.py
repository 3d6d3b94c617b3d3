"""A series as arrays: what there is to predict, and when each label became known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from liquid_core.engine.admission import MAX_VALUE
from service.csv_samples import CsvError, CsvPlan

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
TaskName = Literal["forecast", "regression", "classification"]


@dataclass(frozen=True)
class Series:
    """Rows in the order in which they arrive.

    The task follows from what is there: without `y` the targets are features some rows ahead (forecast); with
    `classes` the label is a class, else a value.
    """

    name: str
    t: Floats
    """`(n,)`, seconds; may repeat or step back."""
    x: Floats
    """`(n, features)`, NaN where missing."""
    y: Floats | None
    """Labels `(n, targets)`, NaN where missing; for classes `(n, 1)`, the class's index. `None`: a forecast."""
    features: tuple[str, ...]
    targets: tuple[str, ...]
    """Names of what is predicted; of a forecast among `features`."""
    classes: tuple[str, ...] = ()
    label_after: Ints | None = None
    """`(n,)`: row before whose sample the label of row i is delivered, later than i. `None`: with its own sample."""

    def __post_init__(self) -> None:
        n = len(self.t)
        if self.t.shape != (n,) or self.x.shape != (n, len(self.features)):
            raise ValueError(f"`t` must be (n,) and `x` (n, {len(self.features)}): got {self.t.shape}, {self.x.shape}.")
        if self.y is None and not set(self.targets) <= set(self.features):
            raise ValueError("the targets of a forecast must be among its features.")
        if self.y is not None and self.y.shape != (n, 1 if self.classes else len(self.targets)):
            raise ValueError(f"`y` must hold a column for each target: got {self.y.shape}.")
        if self.label_after is not None:
            if self.label_after.shape != (n,):
                raise ValueError(f"`label_after` must be (n,): got {self.label_after.shape}.")
            if (self.label_after <= np.arange(n)).any():
                raise ValueError("`label_after` must name a later row for each label than its own.")

    def __len__(self) -> int:
        return len(self.t)

    @property
    def task(self) -> TaskName:
        if self.y is None:
            return "forecast"
        return "classification" if self.classes else "regression"

    @cached_property
    def truth(self) -> Floats:
        """What there was to predict at each row, `(n, targets)`, NaN where missing; class indices `(n, 1)`."""
        if self.y is not None:
            return self.y
        return self.x[:, [self.features.index(name) for name in self.targets]]

    @cached_property
    def known_from(self) -> Ints:
        """`(n,)`: the first row at whose prediction the target of row i may be used, `n` at most.

        A forecast's target stands in its own row and may be used by the prediction made there.
        """
        rows = np.arange(len(self))
        if self.y is None:
            return rows
        after = rows + 1 if self.label_after is None else self.label_after
        return np.minimum(after, len(self)).astype(np.int64)


def read_series(
    plan: CsvPlan, *, targets: Sequence[str] = (), classes: Sequence[str] = (), label_delay: int = 0
) -> Series:
    """Read a whole file.

    Parameters
    ----------
    targets
        Of a forecast: which features are predicted; all where none is named. Elsewhere they are the plan's labels.
    classes
        Names of the classes in the order that the model shall know them; by default those found, sorted.
    label_delay
        Rows by which labels come later than their samples; 0: they come along.

    Raises
    ------
    CsvError
        A cell cannot be read, a class is unknown, or there is nothing in the file.
    """
    t: list[float] = []
    x: list[list[float | None]] = []
    y: list[list[float | None] | str | None] = []
    for row in plan.rows():
        t.append(row.t)
        x.append(row.x)
        y.append(row.y)
    if not t:
        raise CsvError(f"{plan.path.name} holds no rows.")
    n = len(t)
    values = np.array(x, dtype=np.float64).reshape(n, len(plan.features))
    if (np.abs(values) > MAX_VALUE).any():
        raise CsvError(f"{plan.path.name} holds a number beyond {MAX_VALUE:g}, the largest that a stream takes.")
    labels: Floats | None = None
    if plan.is_class:
        names = tuple(classes) or tuple(sorted({label for label in y if isinstance(label, str)}))
        labels = _class_indices(plan, y, names)
    else:
        names = ()
        if plan.labels:
            labels = np.array([label if isinstance(label, list) else [] for label in y], dtype=np.float64)
    return Series(
        name=plan.path.stem,
        t=np.array(t, dtype=np.float64),
        x=values,
        y=labels,
        features=plan.features,
        targets=plan.labels or tuple(targets) or plan.features,
        classes=names,
        label_after=np.arange(n) + 1 + label_delay if labels is not None and label_delay else None,
    )


def _class_indices(plan: CsvPlan, labels: list[list[float | None] | str | None], names: tuple[str, ...]) -> Floats:
    if len(names) < 2:
        raise CsvError(f"column '{plan.labels[0]}' holds {len(names)} classes; a classification needs two or more.")
    index = {name: float(at) for at, name in enumerate(names)}
    unknown = sorted({label for label in labels if isinstance(label, str)} - set(names))
    if unknown:
        raise CsvError(f"column '{plan.labels[0]}' holds '{unknown[0]}', which is none of the spec's classes.")
    return np.array([[index[label] if isinstance(label, str) else np.nan] for label in labels], dtype=np.float64)


__all__ = ["Floats", "Ints", "Series", "TaskName", "read_series"]
