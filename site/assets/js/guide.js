// The guide: filters and sorts what Python worked out (guide/data.js). State is kept in the fragment, so that a choice can be shared.
(() => {
  const data = window.atlasGuide;
  const root = document.getElementById("guide");
  if (!data || !root) return;
  const { make, asked, onState } = window.atlas;
  const FEWEST = data.questions.find(q => q.id === "features").options[0][0];
  const questions = new Map(data.questions.map(q => [q.id, q]));
  const signed = value => (value > 0 ? "+" : value < 0 ? "−" : "") + Math.abs(value);

  // -- answers ------------------------------------------------------------------------------------------------------------------------------

  const read = () => {
    const answers = {};
    for (const [name, value] of asked()) {
      const question = questions.get(name);
      const given = value.split(",").filter(id => question?.options.some(option => option[0] === id));
      if (given.length) answers[name] = question.several ? given : given.slice(0, 1);
    }
    return answers;
  };
  const write = answers => {
    const parts = Object.entries(answers).map(([name, given]) => `${name}=${given.map(encodeURIComponent).join(",")}`);
    history.replaceState(null, "", parts.length ? `#?${parts.join("&")}` : location.pathname.split("/").pop());
  };

  // -- choice -------------------------------------------------------------------------------------------------------------------------------

  const choose = answers => {
    const features = answers.features?.[0] ?? FEWEST;
    const ranked = [], out = [];
    for (const method of data.methods) {
      const reasons = [];
      for (const [name, given] of Object.entries(answers)) for (const option of given) {
        const reason = method.against[name]?.[name === "budget" ? `${option}|${features}` : option];
        if (reason) reasons.push([name, ...reason]);
      }
      if (reasons.length) { out.push({ method, reasons }); continue; }
      const points = method.points.filter(([, , , , when]) => {
        if (!when) return true;
        const [name, option] = when.split(":");
        return name === "features" ? option === features : answers[name]?.includes(option);
      });
      ranked.push({ method, points, score: points.reduce((sum, point) => sum + point[1], 0), cost: method.cost[features] ?? "? evaluations" });
    }
    ranked.sort((a, b) => b.score - a.score || (a.method.name.toLowerCase() < b.method.name.toLowerCase() ? -1 : 1));
    return { ranked, out };
  };

  // -- page ---------------------------------------------------------------------------------------------------------------------------------

  const form = make("form", { class: "guide-form", "aria-label": "What matters to you" });
  for (const question of data.questions) {
    const group = make("fieldset", {}, make("legend", {}, question.ask));
    if (question.help) group.append(make("p", { class: "guide-help" }, question.help));
    const list = question.options.map(([id, label, help]) => {
      const box = make("input", { type: question.several ? "checkbox" : "radio", name: question.id, value: id });
      return make("label", {}, box, make("span", {}, label, ...(help ? [make("small", {}, help)] : [])));
    });
    if (!question.several) list.unshift(make("label", {}, make("input", { type: "radio", name: question.id, value: "", checked: "checked" }), make("span", {}, "Open")));
    group.append(make("div", { class: question.several ? "guide-options several" : "guide-options" }, ...list));
    form.append(group);
  }
  const reset = make("button", { type: "reset", class: "md-button" }, "Start again");
  form.append(reset);
  const status = make("p", { class: "guide-status", role: "status", "aria-live": "polite" });
  const ranking = make("ol", { class: "guide-ranking" });
  const outside = make("details", { class: "guide-out" });
  const results = make("div", { class: "guide-results", role: "region", "aria-label": "Methods in order" }, status, ranking, outside);
  root.replaceChildren(form, results);
  root.classList.add("live");

  const linked = (text, url) => (url ? make("a", { href: url }, text) : text);
  const bar = points => {
    const sums = data.criteria.map((_, i) => points.filter(p => p[0] === i).reduce((sum, p) => sum + p[1], 0));
    return make("span", { class: "guide-parts" }, ...sums.flatMap((sum, i) => sum ? [make("span", { class: `part-${i}` }, `${data.criteria[i]} `, make("b", {}, signed(sum)))] : []));
  };
  const detail = ({ method, points }) => {
    const parts = [make("ul", { class: "guide-points" }, ...points.map(([, value, text, url]) => make("li", {}, make("b", {}, signed(value)), " ", linked(data.texts[text], data.texts[url]))))];
    const told = (title, lines) => { if (lines.length) parts.push(make("h4", {}, title), make("ul", {}, ...lines.map(line => make("li", {}, line)))); };
    told("Use it well", method.advice.map(number => data.texts[number]));
    told("What it cannot tell you", method.limits.map(number => data.texts[number]));
    parts.push(make("h4", {}, "Code"), make("pre", {}, make("code", {}, method.code)));
    told("The same elsewhere", method.peers);
    return make("div", { class: "guide-detail" }, ...parts);
  };
  const entry = (item, place) => {
    const summary = make("summary", {}, make("span", { class: "guide-score" }, String(item.score)), make("span", { class: "guide-name" }, item.method.name), bar(item.points), make("span", { class: "guide-cost" }, item.cost));
    const node = make("details", {}, summary);
    const fill = () => { if (node.childElementCount === 1) node.append(make("p", {}, make("a", { href: item.method.url }, `All about ${item.method.name}`)), detail(item)); };
    // `toggle` comes some time after the part has opened; a click, also that of a key, comes before. What opens it otherwise still fills it.
    summary.addEventListener("click", fill);
    node.addEventListener("toggle", fill);
    if (place === 0) { node.open = true; fill(); }
    return make("li", { "data-method": item.method.id, "data-score": item.score }, node);
  };
  const show = answers => {
    const { ranked, out } = choose(answers);
    status.textContent = ranked.length ? `${ranked.length} of ${data.methods.length} methods remain${ranked.length === 1 ? "s" : ""}.` : "No method passes all of this. The reasons against each are below.";
    ranking.replaceChildren(...ranked.map(entry));
    outside.hidden = !out.length;
    if (!ranked.length) outside.open = true;
    outside.replaceChildren(make("summary", {}, `Ruled out: ${out.length}`), make("ul", {}, ...out.map(({ method, reasons }) => make("li", { "data-out": method.id }, make("a", { href: method.url }, method.name), ": ", ...reasons.flatMap(([, text, url], i) => [i ? "; " : "", linked(data.texts[text], data.texts[url])])))));
  };
  const collect = () => {
    const answers = {};
    for (const question of data.questions) {
      const given = [...form.querySelectorAll(`input[name="${question.id}"]:checked`)].map(input => input.value).filter(Boolean);
      if (given.length) answers[question.id] = given;
    }
    return answers;
  };
  const restore = () => {
    const answers = read();
    for (const input of form.elements) if (input.name) input.checked = input.value ? Boolean(answers[input.name]?.includes(input.value)) : !answers[input.name];
    show(answers);
  };
  form.addEventListener("change", () => { const answers = collect(); write(answers); show(answers); });
  form.addEventListener("reset", () => setTimeout(() => { write({}); show({}); }));
  onState(restore);
  restore();
})();
