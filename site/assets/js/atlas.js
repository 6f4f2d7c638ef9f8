// A link to something inside a folded part opens that part.
(() => {
  const reveal = () => {
    let name = location.hash.slice(1);
    try { name = decodeURIComponent(name); } catch { /* a lone % is no escape: the name is taken as it is */ }
    const target = name && document.getElementById(name);
    if (!target) return;
    for (let part = target.closest("details"); part; part = part.parentElement?.closest("details")) part.open = true;
    target.scrollIntoView();
  };
  addEventListener("hashchange", reveal);
  addEventListener("DOMContentLoaded", reveal);
})();

// What scrolls sideways can be reached and scrolled with keys; what does not is no stop on the way.
addEventListener("DOMContentLoaded", () => {
  const watched = new ResizeObserver(changed => {
    for (const { target } of changed) {
      if (target.scrollWidth > target.clientWidth + 1) {
        for (const [name, value] of [["tabindex", "0"], ["role", "group"], ["aria-label", "scrolls sideways"]]) target.setAttribute(name, value);
      } else for (const name of ["tabindex", "role", "aria-label"]) target.removeAttribute(name);
    }
  });
  for (const box of document.querySelectorAll(".md-content :is(.scroll, .md-typeset__scrollwrap, .formula, pre.doc-lines)")) watched.observe(box);
});
