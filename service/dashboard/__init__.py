"""The dashboard: a static page that shows the streams and plots one of them live.

It is a client of the API like any other: plain ES modules, no build step, nothing inline, nothing from elsewhere.
`service.api.pages` serves it.
"""

from __future__ import annotations

from pathlib import Path

#: ``index.html``, served at ``/``, and the files that it names, served under ``/dashboard/``.
STATIC = Path(__file__).with_name("static")

__all__ = ["STATIC"]
