"""Figures that others published for the same streams and protocols.

Forecasts more than one row ahead are of another kind than ours, and only stand beside them: published is the mean over
all rows up to H, from models that were trained on each window before its rows had passed, which helps them.
"""

from __future__ import annotations

#: Mean squared errors on WTH for H = 1, 24, 48: OneNet's table 2 and LSTD's table 1.
_WTH = {
    "OnlineTCN": (0.206, 0.308, 0.302),
    "ER": (0.180, 0.293, 0.297),
    "DER++": (0.174, 0.287, 0.294),
    "FSNet": (0.162, 0.188, 0.223),
    "PatchTST": (0.162, 0.372, 0.465),
    "OneNet": (0.156, 0.175, 0.200),
    "LSTD": (0.153, 0.136, 0.157),
}
#: By stream and horizon, figures by model.
PUBLISHED: dict[tuple[str, int | None], dict[str, float]] = {
    **{("wth", horizon): {name: of[at] for name, of in _WTH.items()} for at, horizon in enumerate((1, 24, 48))},
    # River's own benchmarks.
    ("elec2", None): {"LeveragingBagging (river)": 0.8927, "ARF (river)": 0.8766, "NoChange (river)": 0.8533},
}

__all__ = ["PUBLISHED"]
