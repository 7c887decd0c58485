"""The simulation of many machines against what is known exactly."""

from __future__ import annotations

import math

import pytest

pytest.importorskip("simpy")

from scale import (
    Fleet,
    Node,
    Rows,
    Traffic,
    knee,
    limit,
    simulate_batch,
    simulate_fleet,
    simulate_node,
)


def erlang_b(servers: int, load: float) -> float:
    """Return the share of calls that a group of servers refuses."""
    refused = 1.0
    for count in range(1, servers + 1):
        refused = load * refused / (count + load * refused)
    return refused


def test_a_fixed_fleet_refuses_as_erlang_says() -> None:
    fleet = Fleet(slots=4, fixed=6, hours_between_failures=math.inf)
    result = simulate_fleet(Traffic(concurrent=20, minutes=1.0), fleet, hours=24.0)
    assert result.refused / result.arrived == pytest.approx(erlang_b(24, 20.0), abs=0.01)
    assert result.cut == 0
    assert result.busy == pytest.approx(20 * (1 - erlang_b(24, 20.0)) / 6, rel=0.03)


def test_machines_that_fail_cut_sessions() -> None:
    fleet = Fleet(slots=4, fixed=10, hours_between_failures=1.0)
    assert simulate_fleet(Traffic(concurrent=20), fleet, hours=4.0).cut > 0


def test_the_autoscaler_follows_the_sessions() -> None:
    result = simulate_fleet(Traffic(concurrent=100), Fleet(slots=4, spare=0.3), hours=4.0)
    assert 32 < result.most_machines < 60
    assert result.refused / result.arrived < 0.01


@pytest.mark.parametrize("cores", [1, 2, 4])
def test_a_node_serves_what_its_cores_do(cores: int) -> None:
    node = Node(cores=cores, frame_ms=10.0, spread=0.0)
    assert knee(lambda count: simulate_node(node, count, seconds=20.0)) == 4 * cores
    assert simulate_node(node, 8 * cores, seconds=20.0) == pytest.approx(0.5, abs=0.05)


def test_a_batch_without_failures_takes_its_work() -> None:
    rows = Rows(count=2000, seconds=10.0, machines=5, hours_between_failures=math.inf)
    took, lost = simulate_batch(rows)
    assert took == pytest.approx(2000 * 10.0 / 10, rel=0.03)
    assert lost == 0


def test_failures_cost_a_batch_time() -> None:
    often = Rows(count=2000, seconds=10.0, machines=5, hours_between_failures=0.2)
    took, lost = simulate_batch(often)
    assert lost > 0
    assert took > 2000


def test_where_one_in_a_hundred_is_dropped() -> None:
    assert limit([0.0, 0.0, 0.005, 0.025].__getitem__) == pytest.approx(2.25)
    assert limit([0.0, 0.04].__getitem__) == pytest.approx(0.25)
