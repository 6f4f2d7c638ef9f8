// Compare: the profiles that Python made (compare/data.js), side by side. The methods stand in the fragment, so that a comparison can be shared.
(() => {
  const data = window.atlasCompare;
  const root = document.getElementById("compare");
  if (!data || !root) return;
  const { make, asked, onState } = window.atlas;
  const byId = new Map(data.methods.map(method => [method.id, method]));
  const MOST = 4, START = ["integrated-gradients", "shapley-value"];

  const read = () => {
    const named = (asked().get("methods") ?? "").split(",").filter(id => byId.has(id));
    const found = [...new Set(named)].slice(0, MOST);
    for (const id of START) if (found.length < 2 && byId.has(id) && !found.includes(id)) found.push(id);
    return found;
  };
  let chosen = read();
  const only = make("input", { type: "checkbox" });
  const selects = make("div", { class: "compare-tools" });
  const table = make("table", { class: "matrix compared" });
  root.replaceChildren(selects, make("div", { class: "scroll" }, table));

  const picker = (id, place) => {
    const select = make("select", { "aria-label": `Method ${place + 1}` });
    if (place >= 2) select.append(make("option", { value: "" }, place < chosen.length ? "– remove –" : "add a method"));
    // A method stands in one column only.
    for (const method of data.methods) select.append(make("option", { value: method.id, ...(method.id !== id && chosen.includes(method.id) ? { disabled: "" } : {}) }, method.name));
    select.value = id ?? "";
    select.addEventListener("change", () => {
      if (select.value) chosen[place] = select.value; else chosen.splice(place, 1);
      history.replaceState(null, "", `#?methods=${chosen.join(",")}`);
      show();
      selects.querySelectorAll("select")[Math.min(place, selects.querySelectorAll("select").length - 1)].focus();
    });
    return select;
  };
  const filled = cell => {
    if (!cell) return make("td", { class: "none" }, "–");
    const [text, status = "", , url = "", run = ""] = cell;
    const inside = url ? make("a", { href: url }, text) : text;
    const mark = run === "" ? [] : [" ", make("span", { class: `badge run ${data.runs[run][0]}` }, data.runs[run][1])];
    return make("td", status ? { class: status } : {}, inside, ...mark);
  };
  const show = () => {
    const methods = chosen.map(id => byId.get(id));
    selects.replaceChildren(...Array.from({ length: Math.min(MOST, chosen.length + 1) }, (_, place) => picker(chosen[place], place)), make("label", {}, only, " only what differs"));
    const head = make("tr", {}, make("th", { scope: "col" }, "Aspect"), ...methods.map(m => make("th", { scope: "col" }, make("a", { href: m.url }, m.short))));
    const body = make("tbody", {}, make("tr", {}, make("th", { scope: "row" }, "Summary"), ...methods.map(m => make("td", { class: "summary" }, m.summary))));
    let group = "";
    data.labels.forEach(([name, label], number) => {
      const cells = methods.map(method => method.cells[number]);
      if (!cells.some(Boolean)) return;
      const differs = new Set(cells.map(cell => JSON.stringify((cell ?? ["–"]).slice(0, 3)))).size > 1;
      if (only.checked && !differs) return;
      if (name !== group) body.append(make("tr", { class: "group" }, make("th", { colspan: methods.length + 1, scope: "rowgroup" }, make("span", {}, (group = name)))));
      const title = make("th", { scope: "row" }, label, ...(differs ? [" ", make("span", { class: "differs", title: "They differ here" }, "≠", make("span", { class: "sr" }, " they differ"))] : []));
      body.append(make("tr", { class: differs ? "different" : "", "data-label": `${name}: ${label}` }, title, ...cells.map(filled)));
    });
    table.style.setProperty("--methods", methods.length);
    table.replaceChildren(make("thead", {}, head), body);
  };
  only.addEventListener("input", show);
  onState(() => { chosen = read(); show(); });
  show();
})();
