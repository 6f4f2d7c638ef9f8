// The explorer: filters, search, neighbourhoods and paths on the drawing that Python made (explorer/data.js). Without it the drawing stands as it is.
(() => {
  const data = window.atlasExplorer;
  const root = document.getElementById("graph-explorer"), svg = document.getElementById("graph");
  if (!data || !root || !svg) return;
  const { make, asked: stated, onState } = window.atlas;
  const NS = "http://www.w3.org/2000/svg";
  const nodes = data.nodes.map(([id, label, title, kind, folder, x, y, width, names], number) => ({ number, id, label, title, kind, url: `../${folder}/${id}.html`, x, y, width, names, edges: [] }));
  const edges = data.edges.map(([from, to, relation, run, derived], number) => ({ number, from, to, relation, run, derived }));
  for (const edge of edges) { nodes[edge.from].edges.push(edge); nodes[edge.to].edges.push(edge); }
  const bars = [...svg.querySelectorAll(".nodes > a")], lines = [...svg.querySelectorAll(".edges > path")], heads = [...svg.querySelectorAll(".heads > text")];
  const byId = new Map(nodes.map(node => [node.id, node]));
  const fold = text => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase().replace(/[^\p{L}\p{N}]+/gu, " ").trim();
  for (const node of nodes) node.search = [node.id, node.title, node.label, ...node.names].map(fold);

  // -- state --------------------------------------------------------------------------------------------------------------------------------

  const kinds = new Set(), relations = new Set();
  const state = { derived: false, node: null, from: null, to: null };
  const numbersOf = (text, names) => text.split(",").map(name => names.findIndex(([known]) => known === name)).filter(n => n >= 0);
  const read = () => {
    const asked = stated();
    kinds.clear(); relations.clear();
    // Names that nobody knows say nothing. No relation at all is a choice, no kind at all would leave nothing to look at.
    for (const n of numbersOf(asked.get("kinds") ?? "", data.kinds)) kinds.add(n);
    if (!kinds.size) data.kinds.forEach((kind, n) => { if (kind[2]) kinds.add(n); });
    for (const n of numbersOf(asked.get("relations") ?? "", data.relations)) relations.add(n);
    if (!relations.size && asked.get("relations") !== "") data.relations.forEach((_, n) => relations.add(n));
    state.derived = asked.get("derived") === "yes";
    for (const name of ["node", "from", "to"]) state[name] = byId.get(asked.get(name)) ?? null;
    if (state.node) kinds.add(state.node.kind);
  };
  const write = () => {
    const said = new URLSearchParams();
    if (data.kinds.some((kind, n) => Boolean(kind[2]) !== kinds.has(n))) said.set("kinds", [...kinds].sort((a, b) => a - b).map(n => data.kinds[n][0]).join(","));
    if (relations.size < data.relations.length) said.set("relations", [...relations].sort((a, b) => a - b).map(n => data.relations[n][0]).join(","));
    if (state.derived) said.set("derived", "yes");
    for (const name of ["node", "from", "to"]) if (state[name]) said.set(name, state[name].id);
    const text = said.toString().replaceAll("%2C", ",");
    history.replaceState(null, "", text ? `#?${text}` : location.pathname + location.search);
  };
  const shown = edge => relations.has(edge.relation) && (state.derived || !edge.derived) && kinds.has(nodes[edge.from].kind) && kinds.has(nodes[edge.to].kind);

  // -- paths --------------------------------------------------------------------------------------------------------------------------------

  // The edges of a shortest path, or null; `usable` says which edges may be walked, in either direction.
  const shortest = (start, end, usable) => {
    const before = new Map([[start, null]]);
    for (let front = [start]; front.length && !before.has(end);) {
      const next = [];
      for (const node of front) for (const edge of node.edges) {
        if (!usable(edge)) continue;
        const other = nodes[edge.from === node.number ? edge.to : edge.from];
        if (!before.has(other)) { before.set(other, [node, edge]); next.push(other); }
      }
      front = next;
    }
    if (!before.has(end)) return null;
    const found = [];
    for (let step = before.get(end); step; step = before.get(step[0])) found.unshift(step[1]);
    return found;
  };

  // -- sentences ----------------------------------------------------------------------------------------------------------------------------

  const picker = (node, text = node.title) => {
    const button = make("button", { type: "button", class: "pick" }, text);
    button.addEventListener("click", () => choose(node));
    return button;
  };
  const claim = edge => {
    const [relation, verb] = data.relations[edge.relation];
    const anchor = relation === "concerns" ? "concerns" : `${relation}-${nodes[edge.to].id}`;
    return make("a", { href: `${nodes[edge.from].url}#${anchor}`, title: "To the claim" }, verb);
  };
  const marks = edge => {
    const [css, words] = data.runs[edge.run];
    const found = data.relations[edge.relation][0] === "concerns" ? [] : [" ", make("span", { class: `badge run ${css}` }, words)];
    return edge.derived ? [...found, " ", make("span", { class: "badge lit derived" }, "derived")] : found;
  };
  const sentence = (edge, about = null) => {
    const end = node => (node === about ? node.label : picker(node, node.label));
    return make("li", { class: "said", "data-edge": edge.number }, end(nodes[edge.from]), " ", claim(edge), " ", end(nodes[edge.to]), ...marks(edge));
  };

  // -- side: search, choice, filters, path --------------------------------------------------------------------------------------------------

  const side = root.querySelector(".explorer-side"), box = root.querySelector(".explorer-box");
  const search = make("input", { type: "search", placeholder: "Find a record by any name", "aria-label": "Find a record", autocomplete: "off" });
  const matches = make("ul", { class: "explorer-matches", "aria-label": "Records found" });
  const detail = make("div", { class: "explorer-detail", "aria-live": "polite" });
  const find = text => {
    const words = fold(text);
    if (!words) return [];
    const rank = node => Math.min(...node.search.map(name => (name === words ? 0 : name.startsWith(words) ? 1 : ` ${name}`.includes(` ${words}`) ? 2 : name.includes(words) ? 3 : 9)));
    return nodes.map(node => [rank(node), node.title.length, node]).filter(([place]) => place < 9).sort((a, b) => a[0] - b[0] || a[1] - b[1]).map(found => found[2]);
  };
  const MOST = 12;
  const list = () => {
    const found = find(search.value);
    matches.replaceChildren(...found.slice(0, MOST).map(node => make("li", {}, picker(node), ` ${data.kinds[node.kind][0].replace("-", " ")}`)));
    if (found.length > MOST) matches.append(make("li", {}, `and ${found.length - MOST} more`));
    if (search.value.trim() && !found.length) matches.append(make("li", {}, "No record has this name."));
  };
  search.addEventListener("input", list);
  search.addEventListener("keydown", e => { if (e.key === "Enter") { const [first] = find(search.value); if (first) choose(first); } });

  const checks = (names, chosen, picture, count) => names.map((name, n) => {
    const input = make("input", { type: "checkbox", "data-name": name[0] });
    input.addEventListener("change", () => { if (input.checked) chosen.add(n); else chosen.delete(n); update(); });
    return make("label", {}, input, ...picture(name), name[1], make("small", {}, String(count(n))));
  });
  const mark = kind => {
    const icon = document.createElementNS(NS, "svg"), path = document.createElementNS(NS, "path");
    for (const [name, value] of [["width", 12], ["height", 12], ["viewBox", "-6 -6 12 12"], ["class", `k-${kind[0]}`], ["aria-hidden", "true"]]) icon.setAttribute(name, value);
    path.setAttribute("d", kind[3]);
    icon.append(path);
    return [icon];
  };
  const used = n => edges.filter(edge => edge.relation === n).length;
  const kindBox = make("div", { class: "explorer-checks", role: "group", "aria-label": "Kinds shown" }, ...checks(data.kinds, kinds, mark, n => nodes.filter(node => node.kind === n).length));
  const relationBox = make("div", { class: "explorer-checks", role: "group", "aria-label": "Relations shown" }, ...checks(data.relations, relations, () => [], used));
  const unused = [...relationBox.children].filter((_, n) => !used(n));
  for (const label of unused) label.hidden = true;
  const derived = make("input", { type: "checkbox", "data-name": "derived" });
  derived.addEventListener("change", () => { state.derived = derived.checked; update(); });
  const all = (words, fill) => { const button = make("button", { type: "button" }, words); button.addEventListener("click", () => { fill(); update(); }); return button; };
  const everyRelation = all("all", () => data.relations.forEach((_, n) => relations.add(n))), noRelation = all("none", () => relations.clear());

  const names = make("datalist", { id: "explorer-names" }, ...nodes.map(node => make("option", { value: node.title })));
  const ends = ["from", "to"].map(name => {
    const input = make("input", { type: "text", list: "explorer-names", "aria-label": `Path ${name}`, placeholder: name, autocomplete: "off" });
    input.addEventListener("change", () => { state[name] = find(input.value)[0] ?? null; if (state.from && state.to) state.node = null; update(); });
    return input;
  });
  const clear = make("button", { type: "button" }, "Clear");
  clear.addEventListener("click", () => { state.node = state.from = state.to = null; search.value = ""; list(); update(); });
  const steps = make("div", { class: "explorer-path", "aria-live": "polite" });
  const folded = (title, open, ...inside) => make("details", open ? { open: "" } : {}, make("summary", {}, title), ...inside);
  const wide = matchMedia("(min-width: 60em)").matches;
  side.append(
    search, matches, detail,
    folded("Kinds", wide, kindBox),
    folded("Relations", false, make("p", {}, everyRelation, " ", noRelation), relationBox),
    make("div", { class: "explorer-checks" }, make("label", {}, derived, "derived relations, asserted by no source", make("small", {}, String(edges.filter(edge => edge.derived).length)))),
    folded("Path between two records", wide || Boolean(location.hash), ...ends, steps), names,
  );

  const describe = () => {
    const node = state.node;
    if (!node) { detail.replaceChildren(); return; }
    const own = node.edges.filter((edge, n) => node.edges.indexOf(edge) === n);
    const group = list => {
      const found = [];
      for (const [n, [, verb]] of data.relations.entries()) for (const out of [true, false]) {
        const some = list.filter(edge => edge.relation === n && (edge.from === node.number) === out);
        if (some.length) found.push(make("ul", { "aria-label": verb }, ...some.map(edge => sentence(edge, node))));
      }
      return found;
    };
    const visible = own.filter(shown), rest = own.filter(edge => !shown(edge));
    const start = make("button", { type: "button" }, "Path from here"), drop = make("button", { type: "button" }, "Clear");
    start.addEventListener("click", () => { state.from = node; update(); ends[1].focus(); });
    drop.addEventListener("click", () => clear.click());
    detail.replaceChildren(
      make("h2", {}, make("a", { href: node.url }, node.title)),
      make("p", {}, `${data.kinds[node.kind][0].replace("-", " ")}; ${visible.length} of ${own.length} relations in the picture. `, start, " ", drop),
      ...group(visible), ...(rest.length ? [folded(`${rest.length} not in the picture`, !visible.length, ...group(rest))] : []),
    );
  };

  // -- drawing ------------------------------------------------------------------------------------------------------------------------------

  let walked = null, focused = null;
  const trace = () => {
    const { from, to } = state;
    walked = null;
    if (!from || !to) { steps.replaceChildren(); return; }
    if (from === to) { steps.replaceChildren(make("p", {}, "Both ends are the same record.")); return; }
    const inside = shortest(from, to, shown);
    walked = inside ?? shortest(from, to, () => true);
    if (!walked) { steps.replaceChildren(make("p", {}, "No path joins them.")); return; }
    const note = inside ? "" : " They are not joined in the picture; this path uses what is not shown.";
    const drop = make("button", { type: "button" }, "Clear");
    drop.addEventListener("click", () => clear.click());
    steps.replaceChildren(make("p", {}, `${walked.length} step${walked.length === 1 ? "" : "s"}.${note} `, drop), make("ol", {}, ...walked.map(edge => sentence(edge))));
  };
  const draw = () => {
    const route = walked && !state.node ? new Set(walked) : null;
    const onRoute = new Set((route ? walked : []).flatMap(edge => [edge.from, edge.to]));
    const near = new Set(state.node ? [state.node.number] : onRoute);
    const visible = node => kinds.has(node.kind) || onRoute.has(node.number);
    lines.forEach((line, n) => {
      const edge = edges[n], hit = route ? route.has(edge) : shown(edge) && Boolean(state.node) && (edge.from === state.node.number || edge.to === state.node.number);
      line.classList.toggle("off", !shown(edge) && !(route && hit));
      line.classList.toggle("near", hit);
      if (hit) { near.add(edge.from); near.add(edge.to); }
    });
    bars.forEach((bar, n) => {
      bar.classList.toggle("off", !visible(nodes[n]));
      bar.classList.toggle("near", near.has(n));
      bar.classList.toggle("picked", nodes[n] === state.node || (Boolean(route) && (nodes[n] === state.from || nodes[n] === state.to)));
    });
    heads.forEach(head => head.classList.toggle("off", ![...kinds].some(n => head.classList.contains(`k-${data.kinds[n][0]}`))));
    svg.classList.toggle("chosen", near.size > 0);
    const seen = nodes.filter(visible);
    const left = Math.min(...seen.map(n => n.x)) - data.margin, right = Math.max(...seen.map(n => n.x + n.width)) + data.margin, bottom = Math.max(...seen.map(n => n.y)) + data.foot;
    if (seen.length) { svg.setAttribute("viewBox", `${left} 0 ${right - left} ${bottom}`); size = right - left; }
    scale(zoom);
    rove(focused && visible(focused) ? focused : state.node ?? seen[0]);
  };
  const update = (keep = false) => {
    kindBox.querySelectorAll("input").forEach((input, n) => { input.checked = kinds.has(n); });
    relationBox.querySelectorAll("input").forEach((input, n) => { input.checked = relations.has(n); });
    derived.checked = state.derived;
    ["from", "to"].forEach((name, n) => { if (document.activeElement !== ends[n] || state[name]) ends[n].value = state[name]?.title ?? ""; });
    trace(); describe(); draw();
    if (!keep) write();
  };
  const choose = node => {
    state.node = node;
    kinds.add(node.kind);
    update();
    rove(node);
    into(node);
  };

  // -- size and place -----------------------------------------------------------------------------------------------------------------------

  let zoom = 0, size = 1;
  const LEAST = 0.25, LARGEST = 4, LEGIBLE = 0.86;
  // Zoom 0 fits the width of the box; any other number is pixels per unit of the drawing.
  const current = () => svg.getBoundingClientRect().width / size;
  const scale = (value, at = null) => {
    const before = current(), view = box.getBoundingClientRect();
    const [px, py] = at ?? [view.width / 2, view.height / 2];
    const left = (box.scrollLeft + px) / before, top = (box.scrollTop + py) / before;
    const bounded = value && Math.min(LARGEST, Math.max(LEAST, value));
    if (bounded) { svg.style.width = `${Math.round(size * bounded)}px`; svg.style.minWidth = "0"; } else { svg.style.width = ""; svg.style.minWidth = `${Math.round(size * LEGIBLE)}px`; }
    if (bounded !== zoom) { const now = current(); box.scrollLeft = left * now - px; box.scrollTop = top * now - py; }
    zoom = bounded;
  };
  const into = node => {
    const bar = bars[node.number].getBoundingClientRect(), view = box.getBoundingClientRect();
    if (bar.left < view.left || bar.right > view.right) box.scrollLeft += (bar.left + bar.right - view.left - view.right) / 2;
    if (bar.top < view.top || bar.bottom > view.bottom) box.scrollTop += (bar.top + bar.bottom - view.top - view.bottom) / 2;
  };
  box.addEventListener("wheel", e => {
    if (!e.ctrlKey && !e.metaKey) return;
    e.preventDefault();
    const view = box.getBoundingClientRect();
    scale(current() * (e.deltaY < 0 ? 1.15 : 1 / 1.15), [e.clientX - view.left, e.clientY - view.top]);
  }, { passive: false });
  let held = null, dragged = false;
  box.addEventListener("pointerdown", e => { if (e.pointerType === "mouse" && e.button === 0) { held = [e.clientX, e.clientY, box.scrollLeft, box.scrollTop]; dragged = false; } });
  addEventListener("pointermove", e => {
    if (!held) return;
    const [x, y, left, top] = held;
    if (!dragged && Math.hypot(e.clientX - x, e.clientY - y) < 5) return;
    dragged = true;
    box.scrollLeft = left - (e.clientX - x); box.scrollTop = top - (e.clientY - y);
  });
  addEventListener("pointerup", () => { held = null; });
  svg.addEventListener("dragstart", e => e.preventDefault());

  // -- keys ---------------------------------------------------------------------------------------------------------------------------------

  const rove = node => {
    if (!node) return;
    if (focused) bars[focused.number].setAttribute("tabindex", "-1");
    focused = node;
    bars[node.number].setAttribute("tabindex", "0");
  };
  // Up and down go along the column; left and right to the nearest record of the next column, first among those that a shown line joins.
  const step = (node, key) => {
    const seen = nodes.filter(other => other !== node && !bars[other.number].classList.contains("off"));
    const nearest = (list, far) => list.reduce((best, other) => (best === null || far(other) < far(best) ? other : best), null);
    const down = key === "ArrowDown" ? 1 : -1;
    if (key === "ArrowUp" || key === "ArrowDown") return nearest(seen.filter(o => o.x === node.x && (o.y - node.y) * down > 0), o => Math.abs(o.y - node.y));
    const right = key === "ArrowRight" ? 1 : -1;
    const ahead = seen.filter(o => (o.x - node.x) * right > 0);
    const joined = new Set(node.edges.filter(shown).map(edge => (edge.from === node.number ? edge.to : edge.from)));
    const linked = ahead.filter(o => joined.has(o.number));
    return nearest(linked.length ? linked : ahead, o => Math.abs(o.x - node.x) * 10 + Math.abs(o.y - node.y));
  };
  for (const bar of bars) bar.setAttribute("tabindex", "-1");
  svg.addEventListener("click", e => {
    const bar = e.target.closest?.(".nodes > a");
    if (dragged) { e.preventDefault(); dragged = false; return; }
    if (!bar || e.ctrlKey || e.metaKey || e.shiftKey || e.button) return;
    e.preventDefault();
    choose(nodes[bars.indexOf(bar)]);
  });
  svg.addEventListener("focusin", e => { const n = bars.indexOf(e.target.closest(".nodes > a")); if (n >= 0) rove(nodes[n]); });
  svg.addEventListener("keydown", e => {
    const n = bars.indexOf(e.target.closest(".nodes > a"));
    if (n < 0 || !e.key.startsWith("Arrow") || e.altKey || e.ctrlKey || e.metaKey) return;
    e.preventDefault();
    const next = step(nodes[n], e.key);
    if (!next) return;
    rove(next);
    bars[next.number].focus({ preventScroll: true });
    into(next);
  });
  box.addEventListener("keydown", e => {
    if (e.ctrlKey || e.metaKey || e.altKey) return;
    const zooming = { "+": 1.25, "=": 1.25, "-": 0.8 }[e.key];
    if (zooming) { e.preventDefault(); scale(current() * zooming); }
    if (e.key === "0") scale(0);
    if (e.key === "Escape") clear.click();
  });

  // -- saving -------------------------------------------------------------------------------------------------------------------------------

  const LOOK = ["fill", "stroke", "stroke-width", "stroke-dasharray", "stroke-linecap", "opacity", "font-size", "font-weight", "paint-order"];
  const PLAIN = { stroke: "none", "stroke-dasharray": "none", "stroke-linecap": "butt", opacity: "1", "paint-order": "normal" };
  // What is shown, with the colours of the page written into every element, so that the file needs no style sheet.
  const standalone = () => {
    const copy = svg.cloneNode(true), [x, y, width, height] = svg.getAttribute("viewBox").split(" ");
    const drawn = "path, rect, text", originals = svg.querySelectorAll(drawn);
    copy.querySelectorAll(drawn).forEach((element, n) => {
      const look = getComputedStyle(originals[n]);
      for (const name of LOOK) {
        const value = look.getPropertyValue(name);
        if (element.tagName !== "text" && name.startsWith("font")) continue;
        if (value && value !== PLAIN[name]) element.setAttribute(name, value);
      }
    });
    [...copy.querySelectorAll(".nodes > a")].forEach((bar, n) => {
      const opacity = getComputedStyle(bars[n]).opacity, group = document.createElementNS(NS, location.protocol.startsWith("http") ? "a" : "g");
      if (group.tagName === "a") group.setAttribute("href", bars[n].href.baseVal ? new URL(bars[n].href.baseVal, location.href).href : "");
      group.setAttribute("transform", bar.getAttribute("transform"));
      if (opacity !== "1") group.setAttribute("opacity", opacity);
      if (bar.classList.contains("off")) group.setAttribute("class", "off");
      group.append(...bar.childNodes);
      bar.replaceWith(group);
    });
    for (const hidden of copy.querySelectorAll(".off")) hidden.remove();
    for (const element of [copy, ...copy.querySelectorAll("*")]) for (const name of ["class", "tabindex", "style", "id", "aria-hidden", "role"]) element.removeAttribute(name);
    for (const [name, value] of [["xmlns", NS], ["width", width], ["height", height], ["font-family", "'IBM Plex Sans', 'Helvetica Neue', Arial, sans-serif"], ["font-size", "12px"]]) copy.setAttribute(name, value);
    const sheet = document.createElementNS(NS, "rect");
    for (const [name, value] of [["x", x], ["y", y], ["width", width], ["height", height], ["fill", getComputedStyle(document.body).backgroundColor]]) sheet.setAttribute(name, value);
    copy.prepend(sheet);
    return new XMLSerializer().serializeToString(copy);
  };
  const save = () => {
    const address = URL.createObjectURL(new Blob([standalone()], { type: "image/svg+xml" }));
    const link = make("a", { href: address, download: "attribution-atlas.svg" });
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(address), 1000);
  };

  const button = (text, label, act) => { const made = make("button", { type: "button", "aria-label": label, title: label }, text); made.addEventListener("click", act); return made; };
  root.prepend(make("div", { class: "explorer-tools", role: "toolbar", "aria-label": "Picture" },
    button("+", "Larger", () => scale(current() * 1.25)), button("−", "Smaller", () => scale(current() * 0.8)), button("Fit", "Fit the width", () => scale(0)), button("Save as SVG", "Save as SVG", save),
    make("span", {}, "Ctrl and the wheel zoom, dragging moves; arrow keys go from record to record, Enter chooses, Escape clears.")));
  root.classList.add("live");
  root.atlas = { shortest: (from, to) => shortest(byId.get(from), byId.get(to), () => true)?.map(edge => edge.number) ?? null };
  onState(() => { read(); update(true); });
  read();
  update(true);
})();
