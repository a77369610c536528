"""A comparison of a deployed pipeline, and the repair of what it finds."""

import json

from tests.unit.scripted_functions import (
    NOTHING,
    REMODELLED,
    Lambda,
    Sandbox,
    extracted,
    lake,
    loaded,
)


def test_reconcile_returns_what_the_function_found() -> None:
    """One invocation, and its answer as it is."""
    found = {"agrees": True, "tables": {}, "seconds": 1.0}
    sandbox = Sandbox(Lambda(reconcile=[found | {"repair": EVENT}]))

    said = sandbox.pipeline.reconcile()
    assert {name: said[name] for name in found} == found
    assert "repair" not in str(said)
    assert sandbox.steps == ["reconcile"]


EVENT = {"read": ["staff"], "absent": {"staff": [99]}}


def test_a_repair_reads_again_what_disagrees_and_compares_again() -> None:
    """Extract gets the event of the comparison; the second one is the answer."""
    apart = {"agrees": False, "tables": {}, "seconds": 1.0, "repair": EVENT}
    agreeing = {"agrees": True, "tables": {}, "seconds": 1.0, "repair": {}}
    sandbox = Sandbox(
        Lambda(
            reconcile=[apart, agreeing],
            extract=[extracted(7)],
            transform=[REMODELLED],
            load=[loaded(7, dim_staff=1), NOTHING],
        ),
        **lake(7, {"staff": 20}, {}),
    )

    found = sandbox.pipeline.reconcile(repair=True)

    assert sandbox.functions.invoked == [
        *("reconcile", "extract", "transform", "load", "load", "reconcile")
    ]
    assert sandbox.functions.events[1] == EVENT
    assert (found["agrees"], found["repaired"]["batch"]) == (True, 7)
    assert found["repaired"]["loaded"] == {"dim_staff": 1}


def test_a_repair_is_of_every_source_that_disagrees() -> None:
    """Each source is read by a separate event; what follows is done once for all of them."""
    events = [EVENT | {"source": name} for name in ("shop", "books")]
    apart = {
        "agrees": False,
        "repair": events[0],
        "sources": {
            "shop": {"batch": 6, "repair": events[0]},
            "archive": {"batch": 4, "repair": {}},
            "books": {"batch": 1, "repair": events[1]},
        },
    }
    sandbox = Sandbox(
        Lambda(
            reconcile=[apart, {"agrees": True}],
            extract=[{"sources": {"shop": extracted(7)}}, {"sources": {"books": extracted(2)}}],
            transform=[{"sources": {"shop": REMODELLED, "books": REMODELLED}}],
            load=[{"sources": {"shop": loaded(7), "books": loaded(2)}}, {"sources": {}}],
        ),
        sources=("shop", "archive", "books"),
    )

    found = sandbox.pipeline.reconcile(repair=True)

    assert sandbox.functions.events[1:3] == events
    assert sandbox.functions.invoked.count("transform") == 1
    assert found["repaired"]["batches"] == {"shop": 7, "archive": None, "books": 2}


def test_an_extract_that_was_postponed_is_asked_again() -> None:
    """While another extract reads, or a replica lags, the same event is tried again."""
    postponed = extracted(None) | {"postponed": "another extract is at work"}
    sandbox = Sandbox(
        Lambda(
            reconcile=[{"repair": EVENT}, {"agrees": True}],
            extract=[postponed, extracted(None) | {"postponed": None}],
            transform=[REMODELLED],
            load=[NOTHING],
        )
    )

    assert sandbox.pipeline.reconcile(repair=True)["agrees"] is True
    assert sandbox.functions.events[1:3] == [EVENT, EVENT]
    assert sandbox.sleeps == [1.0]


def test_a_repair_that_takes_several_batches_is_requested_once() -> None:
    """What a batch does not hold is read by further runs, which are not to begin again."""
    sandbox = Sandbox(
        Lambda(
            reconcile=[{"repair": {**EVENT, "source": "source"}}, {"agrees": True}],
            extract=[extracted(7) | {"more": True}, extracted(8) | {"more": False}],
            transform=[REMODELLED],
            load=[NOTHING],
        )
    )

    sandbox.pipeline.reconcile(repair=True)

    events = [{**EVENT, "source": "source"}, {"source": "source"}]
    assert sandbox.functions.events[1:3] == events


def test_a_repair_of_what_agrees_reads_nothing() -> None:
    """Where nothing can be repaired, the first comparison is the answer."""
    agreeing = {"agrees": True, "tables": {}, "seconds": 1.0}
    sandbox = Sandbox(Lambda(reconcile=[agreeing | {"repair": {}}]))

    assert sandbox.pipeline.reconcile(repair=True)["agrees"] is True
    assert sandbox.functions.invoked == ["reconcile"]


def test_a_repair_of_many_keys_is_several_events() -> None:
    """An event of Lambda is small: tables are read with the first one, all keys come with some."""
    keys = {"staff": ["x" * 96 + f"{n:04}" for n in range(3_000)], "design": list(range(1_500))}
    apart = {"agrees": False, "tables": {}, "seconds": 1.0}
    apart["repair"] = {"read": ["staff", "design"], "absent": keys}
    agreeing = {"agrees": True, "tables": {}, "seconds": 1.0, "repair": {}}
    sandbox = Sandbox(
        Lambda(
            reconcile=[apart, agreeing],
            extract=[extracted(None)] * 2,
            transform=[REMODELLED],
            load=[NOTHING],
        )
    )

    sandbox.pipeline.reconcile(repair=True)

    first, second = sandbox.functions.events[1:3]
    assert (first["read"], second["read"]) == (["staff", "design"], [])
    assert list(first["absent"]) == ["staff"]
    assert first["absent"]["staff"] + second["absent"]["staff"] == keys["staff"]
    assert second["absent"]["design"] == keys["design"]
    assert max(len(json.dumps(event)) for event in (first, second)) < 256_000
