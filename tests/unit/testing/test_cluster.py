from __future__ import annotations

import pytest

from aiolivekit.testing import LiveKitCluster, RedisUnavailableError, ServerUnavailableError


def test_without_redis_it_says_so_and_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    cluster = LiveKitCluster()
    with pytest.raises(RedisUnavailableError, match="redis-server"):
        cluster.start()
    assert issubclass(RedisUnavailableError, ServerUnavailableError)
    assert cluster.nodes == []
    cluster.stop()


def test_a_cluster_has_a_node() -> None:
    with pytest.raises(ValueError):
        LiveKitCluster(0)
