"""The process around liquid_core: HTTP and WebSocket edge, shards that own streams, and the store."""
