"""Batches: many commands, listed as the rows of a table, on one machine or on a cluster.

::

    table ─► rows ─► plans ─► engine (processes here, or Ray) ─► destination (folder or object store)
                                 ▲                                   │
                                 └── retries                         └─► receipts: what need not be done again

It does not know the commands: `newscaster.cli.batching` describes them, and runs one.
"""

from __future__ import annotations
