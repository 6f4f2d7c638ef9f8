// The matrix: a panel that tells what a cell says, and tools to filter, sort, group and pin. Without this script the tables stand as they are.
(() => {
  const tips = window.atlasMatrix;
  const tools = document.getElementById("matrix-tools");
  const tables = [...document.querySelectorAll("table.alive")];
  if (!tips || !tools || !tables.length) return;
  const { make, plural, asked, onState } = window.atlas;

  // -- what a cell says ---------------------------------------------------------------------------------------------------------------------

  const tip = make("div", { class: "matrix-tip", role: "tooltip", id: "matrix-tip", hidden: "" });
  document.body.append(tip);
  let current = null;
  const hide = () => { tip.hidden = true; current?.removeAttribute("aria-describedby"); current = null; };
  const tell = cell => {
    if (cell === current) return;
    hide();
    current = cell;
    const [head, ...lines] = tips[Number(cell.dataset.tip)];
    tip.replaceChildren(make("strong", {}, head), ...lines.map(line => make("p", {}, line)));
    tip.hidden = false;
    cell.setAttribute("aria-describedby", "matrix-tip");
    const box = cell.getBoundingClientRect(), size = tip.getBoundingClientRect();
    const left = Math.max(8, Math.min(box.left + box.width / 2 - size.width / 2, document.documentElement.clientWidth - size.width - 8));
    const above = box.top - size.height - 8;
    tip.style.left = `${left + scrollX}px`;
    tip.style.top = `${(above > 60 ? above : box.bottom + 8) + scrollY}px`;
  };
  for (const table of tables) {
    for (const event of ["mouseover", "focusin"]) table.addEventListener(event, e => { const cell = e.target.closest("a.cell"); if (cell) tell(cell); });
    for (const event of ["mouseout", "focusout"]) table.addEventListener(event, e => { if (!e.relatedTarget?.closest?.("a.cell, .matrix-tip")) hide(); });
  }
  addEventListener("keydown", e => { if (e.key === "Escape") hide(); });
  tip.addEventListener("mouseleave", hide);

  // -- tools --------------------------------------------------------------------------------------------------------------------------------

  const pinned = new Set();
  const text = make("input", { type: "search", placeholder: "Name of a method", "aria-label": "Show methods whose name contains" });
  // The results and their words are those of the legend.
  const results = [...document.querySelectorAll(".matrix-legend [data-result]")].map(one => [one.dataset.result, one.dataset.words]);
  const status = make("select", { "aria-label": "Show methods with a cell marked" }, ...[["", "any result"], ...results].map(([value, label]) => make("option", { value }, label)));
  const group = make("input", { type: "checkbox" }), only = make("input", { type: "checkbox" });
  const read = () => {
    const state = asked();
    pinned.clear();
    for (const id of (state.get("pin") ?? "").split(",").filter(Boolean)) pinned.add(id);
    text.value = state.get("text") ?? "";
    status.value = results.some(([value]) => value === state.get("status")) ? state.get("status") : "";
    group.checked = state.get("group") !== "no";
    only.checked = state.get("only") === "yes";
  };
  const counted = make("span", { class: "matrix-count", role: "status", "aria-live": "polite" });
  tools.append(make("label", {}, "Methods ", text), make("label", {}, "with a cell marked ", status), make("label", {}, group, " grouped by family"), make("label", {}, only, " pinned only"), counted);

  const rows = tables.map(table => [...table.querySelectorAll("tr[data-method]")]);
  const homes = new Map(rows.flat().map(row => [row, row.parentElement]));
  for (const row of rows.flat()) {
    const pin = make("button", { type: "button", class: "pin", title: "Pin this row", "aria-label": `Pin ${row.dataset.name}`, "aria-pressed": "false" }, "☆");
    pin.addEventListener("click", () => { const id = row.dataset.method; if (!pinned.delete(id)) pinned.add(id); apply(); });
    row.querySelector("th").prepend(pin);
  }
  const ranks = { holds: 4, "holds-under-condition": 3, empirical: 2, "no-check-yet": 1, fails: -1 };
  const rank = (row, column) => {
    const cells = [...(row.cells[column]?.querySelectorAll("a.cell") ?? [])];
    return cells.length ? Math.max(...cells.map(cell => (ranks[cell.dataset.run] ?? 1) * (cell.classList.contains("violates") ? -1 : 1))) : -9;
  };
  let sorted = null;
  for (const table of tables) for (const [number, head] of [...table.tHead.rows[0].cells].entries()) {
    const button = make("button", { type: "button", class: "sort", title: "Sort by this column", "aria-label": `Sort by ${head.textContent.trim()}` }, "↕");
    button.addEventListener("click", () => { sorted = sorted?.table === table && sorted.number === number ? null : { table, number }; apply(); });
    head.append(button);
  }

  const apply = () => {
    const wanted = text.value.trim().toLowerCase();
    let shown = 0;
    tables.forEach((table, which) => {
      for (const row of rows[which]) homes.get(row).append(row);
      const flat = sorted?.table === table || !group.checked;
      let loose = table.querySelector("tbody.loose");
      if (flat && !loose) table.append((loose = make("tbody", { class: "loose" })));
      if (flat) {
        const order = [...rows[which]];
        const number = sorted?.table === table ? sorted.number : 0;
        order.sort((a, b) => (number ? rank(b, number) - rank(a, number) : 0) || a.dataset.name.localeCompare(b.dataset.name, "en"));
        loose.append(...order);
      } else loose?.remove();
      for (const row of rows[which]) {
        const pin = pinned.has(row.dataset.method);
        const named = row.dataset.name.toLowerCase().includes(wanted) || row.dataset.method.includes(wanted);
        const has = !status.value || row.querySelector(`a.cell[data-run="${status.value}"]`);
        row.hidden = !pin && (only.checked || !named || !has);
        row.classList.toggle("pinned", pin);
        const button = row.querySelector(".pin");
        button.textContent = pin ? "★" : "☆";
        button.setAttribute("aria-pressed", String(pin));
        if (!row.hidden) shown += 1;
      }
      for (const body of table.tBodies) {
        const first = [...body.querySelectorAll("tr.pinned")];
        const at = body.querySelector("tr.group");
        if (at) at.after(...first); else body.prepend(...first);
        const visible = body.querySelectorAll("tr[data-method]:not([hidden])").length;
        body.hidden = !visible;
      }
      for (const [number, head] of [...table.tHead.rows[0].cells].entries()) {
        const here = sorted?.table === table && sorted.number === number;
        if (here) head.setAttribute("aria-sort", number ? "descending" : "ascending"); else head.removeAttribute("aria-sort");
      }
    });
    counted.textContent = plural(shown, "row");
    const parts = new URLSearchParams();
    if (text.value) parts.set("text", text.value);
    if (status.value) parts.set("status", status.value);
    if (!group.checked) parts.set("group", "no");
    if (only.checked) parts.set("only", "yes");
    if (pinned.size) parts.set("pin", [...pinned].join(","));
    const query = parts.toString();
    if (query || location.hash.startsWith("#?")) history.replaceState(null, "", query ? `#?${query}` : location.pathname.split("/").pop());
  };
  for (const control of [text, status, group, only]) control.addEventListener("input", apply);
  onState(() => { read(); apply(); });
  read();
  apply();
})();
