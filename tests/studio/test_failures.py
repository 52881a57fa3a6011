"""What goes wrong, in the server's words, with what to do about it."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.studio.browser import Visit
from tests.studio.fake_server import Fake, error

PROMPT = "a red circle left of a blue square on a white background"


def test_a_deadline_out_of_reach_is_answered_with_one_that_is_in_reach(
    visit: Visit, fake: Fake
) -> None:
    message = "deadline_ms: out of reach; the earliest is 1234 ms"
    body = error(message, "deadline_out_of_reach", "deadline_ms", earliest_feasible_s=1.234)
    fake.script.refusals.append((429, body, {"Retry-After": "2"}))
    visit.refused.add(429)
    visit.open(fake.url)
    visit.panel.get_by_label("Deadline", exact=True).check()
    visit.fill("Deadline in seconds", "0.1")
    visit.generate(PROMPT)
    expect(visit.failure).to_contain_text(message)
    deadline = visit.panel.get_by_label("Deadline in seconds")
    expect(deadline).to_have_attribute("aria-invalid", "true")
    visit.failure.get_by_role("button", name="Use 1.4 s").click()
    visit.receipt.wait_for()
    assert [each["deadline_ms"] for each in fake.script.requests] == [100, 1400]


def test_a_wrong_value_marks_its_field_until_it_is_changed(visit: Visit, fake: Fake) -> None:
    body = error("negative_prompt: is too rude", "invalid_value", "negative_prompt")
    fake.script.refusals.append((400, body, {}))
    visit.refused.add(400)
    visit.open(fake.url)
    visit.generate(PROMPT)
    expect(visit.failure).to_contain_text("negative_prompt: is too rude")
    field = visit.panel.get_by_label("Negative prompt")
    expect(field).to_be_visible()
    expect(field).to_have_attribute("aria-invalid", "true")
    field.fill("politely")
    expect(field).not_to_have_attribute("aria-invalid", "true")


REFUSALS = [
    (429, "queue_full", "Try again in about 7.00"),
    (503, "no_replica", "It may be starting."),
    (413, "request_too_large", "Choose a smaller picture."),
    (504, "deadline_passed", "choose a faster tier"),
]


def test_a_refusal_shows_its_sentence_and_what_to_do(visit: Visit, fake: Fake) -> None:
    visit.open(fake.url)
    visit.fill("Prompt", PROMPT)
    for status, code, advice in REFUSALS:
        visit.refused.add(status)
        body = error(f"That cannot be done: {code}.", code)
        fake.script.refusals.append((status, body, {"Retry-After": "7"}))
        visit.press("Generate")
        expect(visit.failure).to_contain_text(f"That cannot be done: {code}.")
        expect(visit.failure).to_contain_text(advice)
    visit.failure.get_by_role("button", name="Try again").click()
    visit.receipt.wait_for()


def test_a_key_that_is_for_something_else_can_be_changed_for_another(
    visit: Visit, fake: Fake
) -> None:
    body = error("this key may not do that", "insufficient_scope")
    fake.script.refusals.append((403, body, {}))
    visit.refused.add(403)
    visit.open(fake.url)
    visit.generate(PROMPT)
    expect(visit.failure).to_contain_text("Enter a key that may do this.")
    visit.failure.get_by_role("button", name="Enter a key").click()
    visit.page.get_by_role("dialog").get_by_label("Key").fill("dit_another")
    visit.page.keyboard.press("Enter")
    visit.receipt.wait_for()
    assert visit.page.evaluate("sessionStorage.getItem('dit-serve-key')") == "dit_another"
    assert visit.page.evaluate("localStorage.length") == 0
    assert "dit_another" not in visit.page.url


def test_a_failure_in_the_middle_shows_and_so_does_a_lost_connection(
    visit: Visit, fake: Fake
) -> None:
    visit.open(fake.url)
    fake.script.fails_at_step = 9
    visit.generate(PROMPT)
    expect(visit.failure).to_contain_text("out of memory in <img src=x onerror=alert(1)>")
    fake.script.fails_at_step, fake.script.breaks_at_step = None, 9
    visit.failure.get_by_role("button", name="Try again").click()
    expect(visit.failure).to_contain_text("The connection broke before the end.")
    assert all("ERR_INCOMPLETE_CHUNKED_ENCODING" in told for told in visit.problems)
    visit.problems.clear()
