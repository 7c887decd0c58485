from __future__ import annotations

import pytest

from newscaster.training.budget import StepBudget, TimeBudget, learning_rate


def test_a_time_budget_counts_what_was_used_before() -> None:
    now = [100.0]
    budget = TimeBudget(2, clock=lambda: now[0])
    now[0] += 50
    budget.start(30)
    assert budget.fraction(0) == 0.25
    now[0] += 60
    assert budget.used_seconds == 90
    assert budget.minutes_left(7) == 0.5
    now[0] += 600
    assert budget.fraction(7) == 1
    assert budget.minutes_left(7) == 0


def test_a_step_budget_counts_steps() -> None:
    now = [0.0]
    budget = StepBudget(40, clock=lambda: now[0])
    budget.start(60)
    assert budget.fraction(10) == 0.25
    assert budget.minutes_left(10) == 3
    assert budget.fraction(40) == budget.fraction(50) == 1
    assert budget.minutes_left(50) == 0


def test_a_budget_of_no_minutes_is_spent() -> None:
    budget = TimeBudget(0)
    budget.start(0.0)
    assert budget.fraction(0) == 1
    assert budget.minutes_left(0) == 0


@pytest.mark.parametrize("minutes", [-1, float("nan"), float("inf")])
def test_a_time_budget_must_not_be_negative(minutes: float) -> None:
    with pytest.raises(ValueError, match="minutes"):
        TimeBudget(minutes)


def test_a_step_budget_must_be_positive() -> None:
    with pytest.raises(ValueError, match="steps"):
        StepBudget(0)


def test_the_learning_rate_rises_and_falls_with_the_budget() -> None:
    def rate(step: int, used: float) -> float:
        return learning_rate(1.0, step=step, used=used, warmup_steps=10)

    assert rate(0, 0) == pytest.approx(0.1)
    assert rate(10, 0) == pytest.approx(1)
    assert rate(99, 0.5) == pytest.approx(0.505)
    assert rate(99, 1) == pytest.approx(0.01)
