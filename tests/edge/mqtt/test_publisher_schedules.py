"""Under any schedule of cuts, refusals, quotas and delays no row is lost, and none is invented."""

import tempfile
from itertools import chain, repeat
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.edge.mqtt.virtual_time import PublisherSimulation, without_replayed
from tests.support.fake_broker import ACCEPT, FakeBroker, Greeting

GREETINGS: list[Greeting] = ["accept", "refuse", "absent", "silent", "hang up", "wrong version"]
CUTS: list[Literal["before", "after", "raise"]] = ["before", "after", "raise"]


@pytest.mark.slow
@settings(max_examples=120, deadline=None)
@given(
    rows=st.integers(1, 40),
    greetings=st.lists(st.sampled_from(GREETINGS), max_size=6),
    codes=st.lists(st.sampled_from([0, 0, 0, 0x10, 0x97, 0x87, 0x99]), max_size=60),
    cuts=st.dictionaries(st.integers(1, 90), st.sampled_from(CUTS), max_size=8),
    receive_maximum=st.sampled_from([1, 3, 20, 65535]),
    answers=st.sampled_from([1, 2, 7, 1000]),
    reverse=st.booleans(),
    ack_delay=st.sampled_from([0, 3, 1000]),
    late=st.integers(0, 10),
)
def test_every_row_is_accepted_or_parked(
    *,
    rows: int,
    greetings: list[Greeting],
    codes: list[int],
    cuts: dict[int, Literal["before", "after", "raise"]],
    receive_maximum: int,
    answers: int,
    reverse: bool,
    ack_delay: int,
    late: int,
) -> None:
    """At the end each row was received and accepted, or parked by the broker's reason code. All
    copies of a row have one body, and only the first may be live."""
    broker = FakeBroker(
        greetings=chain(greetings, repeat(ACCEPT)),
        codes=chain(codes, repeat(0)),
        cuts=dict(cuts),
        receive_maximum=receive_maximum,
        answers_per_step=answers,
        reverse=reverse,
    )
    with tempfile.TemporaryDirectory() as folder:
        simulation = PublisherSimulation(Path(folder), rows, broker, ack_delay=ack_delay)
        try:
            before = broker.on_step

            def step() -> None:
                if simulation.steps == 30 and simulation.closed_in is None:
                    simulation.store(late)
                before()

            broker.on_step = step
            simulation.play()
            check(simulation)
        finally:
            simulation.end()


def check(simulation: PublisherSimulation) -> None:
    """Asserts the properties."""
    seqs = set(range(1, simulation.total + 1))
    assert {*simulation.acks.accepted, *simulation.acks.parked} == seqs
    received = {body["seq"] for body in simulation.broker.bodies("result")}
    assert set(simulation.acks.accepted) <= received
    assert received <= seqs
    for seq in received:
        copies = simulation.copies(seq)
        assert len({without_replayed(copy) for copy in copies}) == 1
        assert all(copy["replayed"] for copy in copies[1:])
    assert simulation.broker.most_unanswered <= min(20, simulation.broker.receive_maximum)
    for number in range(1, simulation.broker.connections + 1):
        mine = [a.body for a in simulation.broker.arrived if a.connection == number]
        if mine:
            assert mine[0]["state"] == "online"
