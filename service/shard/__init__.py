"""Shards: who owns streams, and what happens to their samples.

`host` is the way in; `pipeline` is the way of a sample.
"""

from __future__ import annotations

from service.shard.host import StreamHost

__all__ = ["StreamHost"]
