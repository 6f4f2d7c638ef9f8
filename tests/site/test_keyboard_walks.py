"""Guide, matrix and explorer with nothing but keys: Tab, arrows, Enter, Escape. Wherever the focus goes, it can be seen."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import expect

# The focused part, or what stands for it, has an outline or a frame in the colour of the focus, and lies in the window.
SEEN = """() => {
  const part = document.activeElement;
  if (part === document.body) return 'nothing has the focus';
  const accent = getComputedStyle(document.body).getPropertyValue('--md-accent-fg-color').trim();
  const probe = document.createElement('i');
  probe.style.color = accent;
  document.body.append(probe);
  const colour = getComputedStyle(probe).color;
  probe.remove();
  const drawn = element => {
    const look = getComputedStyle(element);
    return (look.outlineStyle !== 'none' && parseFloat(look.outlineWidth) >= 1) || (element.tagName === 'rect' && look.stroke === colour);
  };
  const near = [part, ...part.querySelectorAll('*'), ...(part.matches('input') && part.nextElementSibling ? [part.nextElementSibling] : [])];
  if (!near.some(drawn)) return `no mark of focus: ${part.outerHTML.slice(0, 160)}`;
  const boxes = near.map(element => element.getBoundingClientRect());
  const inside = box => box.width > 0 && box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth;
  return boxes.some(inside) ? '' : `out of sight: ${part.outerHTML.slice(0, 160)}`;
}"""


def tab_to(page: Any, wanted: str, most: int = 150) -> int:
    """Press Tab until the focus is on what the selector names; every stop on the way must be visible."""
    for count in range(1, most + 1):
        page.keyboard.press("Tab")
        if not page.evaluate("() => document.activeElement.matches('.md-search__input')"):  # its frame is the whole box, which the theme lights up
            assert page.evaluate(SEEN) == ""
        if page.evaluate("wanted => document.activeElement.matches(wanted)", wanted):
            return count
    raise AssertionError(f"{wanted} is not reached by {most} presses of Tab")


def test_the_first_stop_skips_the_menu(opened: Any) -> None:
    page = opened("methods/smoothgrad.html")
    page.keyboard.press("Tab")
    skip = page.locator(".md-skip")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport()
    page.keyboard.press("Enter")
    page.wait_for_function("location.hash.length > 1")


def test_guide(opened: Any) -> None:
    page = opened("guide/index.html")
    tab_to(page, "input[name=access]")
    page.keyboard.press("ArrowDown")
    assert page.evaluate("location.hash") == "#?access=outputs"
    tab_to(page, "input[name=requires][value=completeness]")
    page.keyboard.press("Space")
    assert page.evaluate("location.hash") == "#?access=outputs&requires=completeness"
    second = ".guide-ranking > li:nth-child(2)"
    tab_to(page, f"{second} summary")
    page.keyboard.press("Enter")
    expect(page.locator(f"{second} .guide-points")).to_be_visible()
    method = page.locator(second).get_attribute("data-method")
    tab_to(page, f"{second} details > p a", 3)
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/methods/{method}.html")


def test_matrix(opened: Any) -> None:
    page = opened("matrix/index.html")
    tab_to(page, ".matrix-tools input[type=search]")
    page.keyboard.type("lime")
    rows = page.locator("#table-families tr[data-method]:not([hidden])")
    assert 0 < rows.count() < 10
    tab_to(page, ".matrix-tools select", 2)
    page.keyboard.press("Tab")
    assert page.evaluate(SEEN) == ""
    page.keyboard.press("Space")
    assert "group=no" in page.evaluate("location.hash")
    tab_to(page, "#table-families .pin", 40)
    page.keyboard.press("Enter")
    assert "pin=" in page.evaluate("location.hash")
    assert page.locator(".pin[aria-pressed=true]").count() >= 1
    tab_to(page, "#table-families a.cell", 40)
    tip = page.locator("#matrix-tip")
    expect(tip).to_be_visible()
    page.keyboard.press("Escape")
    expect(tip).to_be_hidden()
    claim = page.evaluate("document.activeElement.getAttribute('href')").split("/")[-1]
    page.keyboard.press("Enter")
    page.wait_for_function("claim => location.href.endsWith(claim)", arg=claim)


def test_explorer(opened: Any) -> None:
    page = opened("explorer/index.html")
    tab_to(page, ".explorer-tools button")
    page.keyboard.press("Enter")
    tab_to(page, ".explorer-side input[type=search]", 6)
    page.keyboard.type("grad-cam")
    page.keyboard.press("Enter")
    assert page.evaluate("location.hash") == "#?node=grad-cam"
    tab_to(page, "#graph .nodes > a", 60)
    assert page.evaluate("document.activeElement.getAttribute('href')") == "../methods/grad-cam.html"
    for key in ("ArrowDown", "ArrowRight"):
        page.keyboard.press(key)
        assert page.evaluate(SEEN) == ""
    reached = page.evaluate("document.activeElement.getAttribute('href').split('/').pop().replace('.html', '')")
    page.keyboard.press("Enter")
    assert page.evaluate("location.hash") == f"#?node={reached}"
    page.keyboard.press("Escape")
    assert page.evaluate("location.hash") == ""
