"""The world before there is one, so that a frame loop may draw from its first frame on."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gameprotocol import Replica, ReplicaTable, Schema, TableSchema


class Nowhere(Replica):
    """A world in which every table exists and is empty."""

    def __init__(self) -> None:
        super().__init__(Schema(tables=()))

    def __getitem__(self, entity: str | type) -> ReplicaTable:
        return _EmptyTable(entity if isinstance(entity, str) else entity.__name__)


class _EmptyTable(ReplicaTable):
    def __init__(self, name: str) -> None:
        super().__init__(0, TableSchema(name=name, fields=()), [], 0)

    def column(self, name: str) -> Any:
        return np.empty(0)

    def known(self, name: str) -> NDArray[np.bool_]:
        return np.empty(0, np.bool_)
