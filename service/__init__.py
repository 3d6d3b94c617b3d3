"""The process around liquid_core: HTTP and WebSocket edge, shards that own streams, and the store.

It offers programs, not names: `service.app.create_app` for a server of one's own, `service.cli` for the command line.
"""

from __future__ import annotations

__all__: list[str] = []
