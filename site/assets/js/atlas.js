// What the scripts of single pages share. This script stands without `defer` at the end of the page, theirs with it: this one runs first.
window.atlas = {
  make(tag, attributes = {}, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    node.append(...children);
    return node;
  },
  // A number with its noun: 1 row, 1,200 rows.
  plural: (number, noun) => `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`,
  // A page's state stands behind `#?`; any other fragment is the anchor of a heading and says nothing of it.
  asked: () => new URLSearchParams(location.hash.startsWith("#?") ? location.hash.slice(2) : ""),
  onState(act) { addEventListener("hashchange", () => { if (!location.hash || location.hash.startsWith("#?")) act(); }); },
};

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
