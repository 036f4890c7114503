// What the keyboard does: the search box of the frame, and the rows of a list. Everything works without.
(() => {
  "use strict";

  const typing = (target) => target.closest("input:not([type=checkbox]), textarea, select, [contenteditable]");

  // the search box

  function hits(form) {
    return [...form.querySelectorAll(".op-hit")];
  }

  // Hits are those of the box only if they were asked for with what stands there.
  function answered(form) {
    const found = form.querySelector("#found");
    return found && found.dataset.for === form.elements.q.value.trim();
  }

  function choose(form, place) {
    const all = hits(form);
    all.forEach((hit, number) => {
      hit.setAttribute("role", "option");
      hit.setAttribute("aria-selected", String(number === place));
    });
    const chosen = all[place];
    if (chosen) chosen.scrollIntoView({ block: "nearest" });
    form.elements.q.setAttribute("aria-activedescendant", chosen ? chosen.id : "");
  }

  function open(hit, form) {
    if (hit.dataset.fill === undefined) return void (location.href = hit.href);
    const box = form.elements.q;
    box.value = hit.dataset.fill;
    box.focus();
    box.dispatchEvent(new Event("input", { bubbles: true }));
  }

  function onBoxKey(event) {
    const form = event.target.form;
    const all = hits(form);
    const place = all.findIndex((hit) => hit.getAttribute("aria-selected") === "true");
    if (event.isComposing) return;
    if (event.key === "ArrowDown" && all.length) choose(form, (place + 1) % all.length);
    else if (event.key === "ArrowUp" && all.length) choose(form, (place + all.length - 1) % all.length);
    else if (event.key === "Escape") event.target.blur();
    else if (event.key === "Enter" && all.length && answered(form)) open(all[Math.max(place, 0)], form);
    else return;
    event.preventDefault();
  }

  function seek() {
    const box = document.getElementById("find");
    if (!box) return;
    box.focus();
    box.select();
  }

  // the rows of a list

  let current = -1;

  function rows() {
    return [...document.querySelectorAll("#list tbody tr")];
  }

  function mark(place) {
    const all = rows();
    current = Math.min(Math.max(place, -1), all.length - 1);
    all.forEach((row, number) => row.classList.toggle("op-current", number === current));
    if (all[current]) all[current].scrollIntoView({ block: "nearest" });
  }

  function act(selector) {
    const part = rows()[current]?.querySelector(selector);
    if (part) part.click();
    return Boolean(part);
  }

  const KEYS = {
    "/": () => (seek(), true),
    "?": () => (document.getElementById("keys")?.showModal(), true),
    j: () => (mark(current + 1), true),
    k: () => (mark(Math.max(current - 1, 0)), true),
    x: () => act(".op-pick input"),
    Enter: () => act(".op-card-title a, a"),
  };

  document.addEventListener("keydown", (event) => {
    if (event.target.id === "find") return onBoxKey(event);
    const modified = event.ctrlKey || event.metaKey || event.altKey;
    if (event.key.toLowerCase() === "k" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      return seek();
    }
    const busy = typing(event.target) || document.querySelector("dialog[open]");
    const pressed = event.key === "Enter" && event.target.closest("a, button, summary, input");
    if (modified || busy || pressed || !KEYS[event.key]) return;
    if (KEYS[event.key]()) event.preventDefault();
  });
  document.addEventListener("click", (event) => {
    const hit = event.target.closest("[data-fill]");
    const form = document.querySelector("[data-find]");
    if (!hit || !form) return;
    event.preventDefault();
    hit.closest("details")?.removeAttribute("open");
    open(hit, form);
  });
  document.addEventListener("htmx:after:init", (event) => {
    const box = event.target; // what was typed before the page was ready was heard by nobody
    if (box.id === "find" && box.value !== box.defaultValue) box.dispatchEvent(new Event("input", { bubbles: true }));
  });
  document.addEventListener("htmx:after:swap", (event) => {
    if (current >= 0) mark(current); // a list that draws itself anew
    const target = event.detail.ctx.target;
    const form = target instanceof Element && target.closest("[data-find]");
    if (!form) return;
    form.elements.q.setAttribute("aria-expanded", String(hits(form).length > 0));
    choose(form, 0);
  });
})();
