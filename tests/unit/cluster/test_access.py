"""What a caller may do and see, and who is on this machine."""

from __future__ import annotations

import pytest

from cluster.access import WITHOUT_KEYS, Caller, is_loopback, needed_scope
from cluster.keys import Scope


def test_a_route_that_nobody_has_heard_of_asks_for_a_key() -> None:
    assert needed_scope("/v2/anything") is Scope.GENERATE
    assert needed_scope("/studio/") is Scope.GENERATE
    assert needed_scope("/metrics") is Scope.METRICS
    assert needed_scope("/health") is None


def test_admin_may_all_and_the_others_what_they_are_for() -> None:
    for scope in Scope:
        caller = Caller("k", frozenset({scope}))
        may = {each for each in Scope if caller.may(each)}
        assert may == (set(Scope) if scope is Scope.ADMIN else {scope})


def test_a_caller_sees_what_its_key_made_and_admin_everything() -> None:
    ann, root = Caller("ann", frozenset({Scope.GENERATE})), Caller("root", frozenset({Scope.ADMIN}))
    assert [ann.may_read(owner) for owner in ("ann", "bob", "")] == [True, False, False]
    assert [root.may_read(owner) for owner in ("ann", "bob", "")] == [True] * 3
    assert (ann.sees, root.sees) == ("ann", None)
    assert WITHOUT_KEYS.may_read("ann")


@pytest.mark.parametrize(
    ("host", "here"),
    [
        ("127.0.0.1", True),
        ("127.8.9.1", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("::ffff:10.0.0.1", False),
        ("10.0.0.1", False),
        ("0.0.0.0", False),
        ("::", False),
        ("localhost", False),
        ("127.0.0.1.example.org", False),
        ("", False),
        (None, False),
    ],
)
def test_loopback_is_told_by_the_address(host: str | None, here: bool) -> None:
    assert is_loopback(host) is here
