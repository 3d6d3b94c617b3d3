"""The edge: one file a resource, which translates between HTTP or WebSocket and the host of the streams.

It offers nothing to import; `service.app` puts its routes together, and `seam` says what it needs of the rest.
"""

from __future__ import annotations

__all__: list[str] = []
