"""Local servers for one machine: real PostgreSQL, Valkey, NATS and Milvus Lite as children of ours.

`stack.EmbeddedStack` starts those that are wanted and gives their addresses.
"""
