"""The page as a whole: what it shows, where it works, what it keeps out, and the key."""

from __future__ import annotations

from playwright.sync_api import Browser, Route, expect

from tests.studio.browser import Visit, profile, visiting
from tests.studio.conftest import CLIPS, PICTURES
from tests.studio.fake_server import Fake, error
from tests.studio.fake_work import model
from tests.studio.loopback import behind_prefix

PROMPT = "a red circle left of a blue square on a white background"
MARKUP = "<img src=x onerror=alert(1)><script>alert(2)</script>"


def test_it_runs_behind_a_prefix_with_and_without_a_slash_at_the_end(
    browser: Browser, fake: Fake
) -> None:
    with behind_prefix(fake.url, "/gpu/dit") as address:
        for opened in (f"{address}/", f"{address}?from=mail"):
            with profile(browser) as fresh, visiting(fresh, address) as visit:
                # Before an address without a slash is mended, the browser may look for files there.
                visit.refused |= set() if opened == f"{address}/" else {404}
                visit.open(opened)
                visit.generate(PROMPT)
                visit.receipt.wait_for()
                assert "/gpu/dit/" in visit.page.url


def test_only_what_some_model_can_do_has_a_tab(visit: Visit, fake: Fake) -> None:
    def tabs() -> list[str]:
        visit.open(fake.url)
        return visit.page.get_by_role("tab").all_inner_texts()

    assert tabs() == ["Create", "Edit", "Compare", "Videos", "Cluster"]
    fake.script.models[:] = [model("plain", ["text-to-image"])]
    assert tabs() == ["Create", "Compare", "Cluster"]
    fake.script.models[:] = [CLIPS]
    assert tabs() == ["Videos", "Cluster"]
    fake.script.models[:] = [model("editor", ["image-editing"]), PICTURES]
    assert tabs() == ["Create", "Edit", "Compare", "Cluster"]


def test_a_part_has_an_address_of_its_own(visit: Visit, fake: Fake) -> None:
    visit.open(fake.url, "compare")
    expect(visit.page.get_by_role("tab", selected=True)).to_have_text("Compare")
    visit.part("Cluster")
    assert visit.page.url.endswith("#cluster")


def test_tabs_are_walked_with_the_arrow_keys(visit: Visit, fake: Fake) -> None:
    visit.open(fake.url)
    chosen = visit.page.get_by_role("tab", selected=True)
    chosen.focus()
    for key, part in [("ArrowRight", "Edit"), ("End", "Cluster"), ("ArrowRight", "Create")]:
        visit.page.keyboard.press(key)
        expect(chosen).to_have_text(part)
        expect(chosen).to_be_focused()


def test_markup_in_a_prompt_a_receipt_or_an_error_shows_as_text(visit: Visit, fake: Fake) -> None:
    fake.script.receipt = {"tier_reason": MARKUP, "notes": (MARKUP,)}
    visit.open(fake.url)
    visit.generate(MARKUP)
    expect(visit.receipt.get_by_text(MARKUP, exact=True)).to_be_visible()
    expect(visit.panel.get_by_role("img", name=MARKUP, exact=True)).to_be_visible()
    fake.script.refusals.append((429, error(MARKUP, "queue_full"), {}))
    visit.refused.add(429)
    visit.press("Generate")
    expect(visit.failure.get_by_text(MARKUP, exact=True)).to_be_visible()


INJECTIONS = [
    ("document.body.innerHTML = '<b>x</b>'", "require-trusted-types-for"),
    ("document.createElement('script').textContent = 'ran = 1'", "require-trusted-types-for"),
    ("ran = eval('1')", "require-trusted-types-for"),
    ("document.body.append(made('iframe', { src: '/' }))", "frame-src"),
    ("document.head.append(made('base', { href: '/elsewhere/' }))", "base-uri"),
    ("document.head.append(made('style', { textContent: '* { color: red }' }))", "style-src-elem"),
    ("document.body.append(made('img', { src: 'http://127.0.0.2:1/' }))", "img-src"),
    ("fetch('http://127.0.0.2:1/').catch(() => {})", "connect-src"),
]


INJECTED = """() => new Promise((done) => {
    const told = (event) => done(event.effectiveDirective);
    const made = (tag, properties) => Object.assign(document.createElement(tag), properties);
    document.addEventListener("securitypolicyviolation", told, { once: true });
    setTimeout(() => done("nothing was kept out"), 5000);
    setTimeout(() => { %s; });
})"""


def test_the_browser_keeps_out_what_the_page_did_not_bring(visit: Visit, fake: Fake) -> None:
    visit.open(fake.url)
    for injection, directive in INJECTIONS:
        assert visit.page.evaluate(INJECTED % injection) == directive, injection
    assert visit.page.evaluate("[window.ran, document.baseURI]") == [None, f"{fake.url}/#create"]
    visit.problems.clear()


def test_a_script_that_was_smuggled_into_the_page_does_not_run(visit: Visit, fake: Fake) -> None:
    def smuggle(route: Route) -> None:
        answer = route.fetch()
        script = "<script>window.ran = 1</script></body>"
        route.fulfill(response=answer, body=answer.text().replace("</body>", script))

    visit.page.route(f"{fake.url}/", smuggle)
    visit.open(fake.url)
    assert "window.ran = 1" in visit.page.content()
    assert visit.page.evaluate("window.ran") is None
    assert ["inline script" in told for told in visit.problems] == [True]
    visit.problems.clear()


def test_a_server_that_wants_a_key_gets_it_and_the_tab_remembers(visit: Visit, fake: Fake) -> None:
    fake.script.key = "sk-secret"
    visit.refused.add(401)
    visit.page.goto(fake.url)
    dialog = visit.page.get_by_role("dialog")
    dialog.get_by_label("Key").fill("sk-wrong")
    dialog.get_by_role("button", name="Use this key").click()
    expect(dialog.get_by_text("this key is not known")).to_be_visible()
    dialog.get_by_label("Key").fill("sk-secret")
    visit.page.keyboard.press("Enter")
    visit.panel.wait_for()
    visit.generate(PROMPT)
    visit.receipt.wait_for()
    visit.refused.clear()
    visit.open(fake.url)
    visit.page.reload()
    visit.panel.wait_for()
    visit.page.get_by_role("button", name="Forget key").click()
    visit.refused.add(401)
    visit.generate(PROMPT)
    visit.page.get_by_role("dialog").get_by_role("button", name="Not now").click()
    expect(visit.failure).to_contain_text("no API key was sent")
    expect(visit.failure.get_by_role("button", name="Enter a key")).to_be_visible()


def test_a_server_that_does_not_answer_at_first_is_asked_again(visit: Visit, fake: Fake) -> None:
    visit.page.route("**/v1/models", lambda route: route.abort())
    visit.page.goto(fake.url)
    expect(visit.page.locator(".failure")).to_contain_text("The server does not answer.")
    visit.page.unroute("**/v1/models")
    assert all("Failed to load resource" in told for told in visit.problems)
    visit.problems.clear()
    visit.page.get_by_role("button", name="Try again").click()
    visit.panel.wait_for()


def test_a_second_look_at_the_page_transfers_nothing_again(visit: Visit, fake: Fake) -> None:
    visit.open(fake.url)
    statuses: dict[str, int] = {}
    visit.page.on("response", lambda answer: statuses.__setitem__(answer.url, answer.status))
    visit.page.reload()
    visit.panel.wait_for()
    scripts = {url: status for url, status in statuses.items() if url.endswith(".js")}
    assert len(scripts) > 20
    assert set(scripts.values()) <= {200, 304}
    sizes = visit.page.evaluate(
        "performance.getEntriesByType('resource')"
        ".filter((each) => each.name.endsWith('.js')).map((each) => each.transferSize)"
    )
    assert max(sizes) <= 300
    assert all(url.startswith(fake.url) for url in statuses)
