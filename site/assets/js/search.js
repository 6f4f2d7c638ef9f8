"use strict";
/* The search of the frame finds words and their beginnings; here it learns names. It runs in a worker, whose messages pass through this script:
 * - The page that a query names exactly comes first, whatever the case, the spaces, hyphens and accents, in singular or plural. What a page is called
 *   stands in its title and in its tags (site/atlas_pages/keywords.py).
 * - A name typed without its accents also finds the texts that write them.
 * - A query without any result is asked once more, with one letter of each word wrong or missing.
 */
(() => {
  const [SETUP, QUERY, RESULT] = [0, 2, 3]; // kinds of messages of Material's worker
  const GREEK = "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron pi rho sigma sigma tau upsilon phi chi psi omega";
  const NAMES = GREEK.split(" ");
  const OPERATOR = /(^|\s)[-+]\S|[~^]\d|\b(title|text|tags):/; // a query in the language of the search names nothing

  const fold = text => text.normalize("NFKD").replace(/[\u0300-\u036f]/g, "").toLowerCase();

  const singular = word => (word.length > 3 ? word.replace(/ies$/, "y").replace(/([^s])s$/, "$1") : word);

  /** The ways to write a name that count as the same: its letters and digits alone; a sign of multiplication is an x or nothing. */
  function keys(text) {
    const found = new Set();
    const plain = fold(text).replace(/\\(?:var)?/g, "").replace(/\+/g, "plus").replace(/[α-ω]/g, letter => ` ${NAMES[letter.charCodeAt(0) - 945]} `);
    for (const sign of ["x", " "]) {
      const words = plain.replaceAll("×", sign).match(/[\p{L}\p{N}]+/gu) ?? [];
      found.add(words.map(singular).join("")).add(singular(words.join("")));
    }
    found.delete("");
    return found;
  }

  /** For each key the pages of that name, those first whose own name it is: a map of addresses to 0, or to 1 for another name. */
  function catalogue(docs) {
    const known = new Map();
    for (const doc of docs) {
      if (doc.location.includes("#")) continue;
      const add = (name, rank) => {
        for (const key of keys(name)) {
          if (!known.has(key)) known.set(key, new Map());
          const pages = known.get(key);
          pages.set(doc, Math.min(rank, pages.get(doc) ?? rank));
        }
      };
      (doc.tags ?? []).forEach((name, index) => add(name, index ? 1 : 0));
      add(doc.title.replace(/<[^>]*>/g, ""), 0);
    }
    return known;
  }

  /** For each word without its accents the forms with them that the texts use. */
  function accented(docs) {
    const known = new Map();
    for (const { title, text } of docs) {
      // Few texts have any: only those are cut into words.
      const words = /[\u00c0-\u024f]/.test(title + text) ? `${title} ${text}`.toLowerCase().match(/[a-z\u00c0-\u024f]{3,}/g) ?? [] : [];
      for (const word of words) {
        const plain = fold(word);
        if (plain === word) continue;
        if (!known.has(plain)) known.set(plain, new Set());
        known.get(plain).add(word);
      }
    }
    return known;
  }

  class Names {
    constructor(docs) {
      this.pages = catalogue(docs);
      this.forms = accented(docs);
    }

    named(query) {
      const found = new Map();
      if (OPERATOR.test(query)) return found;
      for (const key of keys(query)) {
        for (const [doc, rank] of this.pages.get(key) ?? []) found.set(doc, Math.min(rank, found.get(doc) ?? rank));
      }
      return found;
    }

    /** The words of a query that the texts write with accents, each with those forms. */
    meant(query) {
      return query.toLowerCase().split(/\s+/).filter(word => this.forms.has(word)).map(word => [word, [...this.forms.get(word)]]);
    }

    /** A query as the search can read it: letters as the texts write them, no hyphen at the end of a word, accented forms of words behind it. */
    widened(query) {
      const letters = query.replace(/\\(?:var)?/g, "").replace(/[ϕϑϵϱϖϰ]/g, letter => letter.normalize("NFKC"));
      return [letters.replace(/-+(?=\s|$)/g, ""), ...this.meant(query).flatMap(([, forms]) => forms)].join(" ");
    }

    /** A result says which words of the query it lacks: a word and its accented forms count as one there. */
    joined(query, items) {
      for (const [word, forms] of this.meant(query)) {
        for (const { terms } of items.flat()) {
          if (forms.some(form => terms[form]) && !terms[word]) delete terms[word];
          for (const form of forms) if (!terms[form]) delete terms[form];
        }
      }
    }

    /** Puts the pages that a query names first, also those that the search itself did not find. */
    order(query, items) {
      const named = this.named(query);
      if (!named.size) return;
      const ranks = new Map([...named].map(([doc, rank]) => [doc.location, rank]));
      const page = item => item[0].location.split("#")[0];
      const present = new Set(items.map(page));
      const score = items.length ? items[0][0].score : 1;
      const missed = [...named.keys()].filter(doc => !present.has(doc.location)).sort((one, other) => (other.boost ?? 1) - (one.boost ?? 1));
      items.push(...missed.map(doc => [{ ...doc, score, terms: {} }]));
      items.sort((one, other) => (ranks.get(page(one)) ?? 2) - (ranks.get(page(other)) ?? 2));
    }
  }

  /** Every longer word of a query with one letter wrong, missing or too many. */
  const loose = query => query.split(/[\s-]+/).map(word => (/^\p{L}{4,}$/u.test(word) ? `${word}~1` : word)).join(" ");

  const Plain = window.Worker;
  window.Worker = class extends Plain {
    constructor(...options) {
      super(...options);
      this.asked = [];
      // Added before the frame's own listener, which gets the same object.
      this.addEventListener("message", event => this.answer(event));
    }

    postMessage(message, ...options) {
      if (message.type === SETUP) this.names = new Names(message.data.docs);
      if (message.type === QUERY && this.names) {
        this.asked.push({ query: message.data, again: false });
        message = { ...message, data: this.names.widened(message.data) };
      }
      super.postMessage(message, ...options);
    }

    answer(event) {
      if (event.data?.type !== RESULT || !this.asked.length) return;
      const { query, again } = this.asked.shift();
      const { items } = event.data.data;
      this.names.joined(query, items);
      this.names.order(query, items);
      // Only for the last query: an answer to an earlier one is about to be replaced.
      if (items.length || again || this.asked.length || OPERATOR.test(query) || loose(query) === query) return;
      event.stopImmediatePropagation();
      this.asked.push({ query, again: true });
      super.postMessage({ type: QUERY, data: loose(query) });
    }
  };
})();
